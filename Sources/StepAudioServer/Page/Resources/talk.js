// The conversation with the server over /v1/realtime.

/** A connection; its events are the server's, by type, and `open` and `lost`. */
export class Talk extends EventTarget {
  #socket;
  #waiting = [];

  connect(key) {
    this.close();
    const url = new URL("/v1/realtime", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, key ? ["realtime", `openai-insecure-api-key.${key}`] : ["realtime"]);
    this.#socket = socket;
    socket.onopen = () => {
      this.dispatchEvent(new Event("open"));
      for (const event of this.#waiting.splice(0)) this.send(event);
    };
    socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.dispatchEvent(new Event("lost"));
    };
  }

  get connecting() { return this.#socket?.readyState === WebSocket.CONNECTING; }
  get connected() { return this.#socket?.readyState === WebSocket.OPEN; }

  /** Sends an event now, or once the connection is there. */
  send(event) {
    if (this.connected) this.#socket.send(JSON.stringify(event));
    else this.#waiting.push(event);
  }

  on(type, action) {
    this.addEventListener(type, (event) => action(event.detail));
  }

  close() {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#waiting = [];
    socket?.close();
  }
}
