// Sound in the page: the microphone, playing answers as they come, replay, WAV files, waveforms. All at 24 kHz.

import { phrase } from "./text.js";

export const RATE = 24000;
let context;

/** The page's audio context; made by the first gesture. */
export function audio() {
  context ??= new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  if (context.state === "suspended") context.resume();
  return context;
}

/** The microphone; `onPiece` hears Float32Array pieces of 40 ms. */
export class Microphone {
  async open(onPiece) {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error(phrase("noMicrophoneHere"));
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 } });
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule("/assets/recorder.js");
    const source = this.context.createMediaStreamSource(this.stream);
    this.node = new AudioWorkletNode(this.context, "recorder", { numberOfOutputs: 0 });
    this.node.port.onmessage = (event) => onPiece(event.data);
    source.connect(this.node);
    await this.context.resume();
    this.isOpen = true;
  }

  close() {
    this.isOpen = false;
    this.node?.port.close();
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.stream = this.context = this.node = undefined;
  }
}

/** Plays pieces one behind the other as they arrive, and knows how much was heard. */
export class Player {
  #sources = new Set();
  #next = 0;
  #start = 0;
  #queued = 0;
  onEnd = () => {};

  begin() {
    this.stop();
    this.#queued = 0;
    this.#next = 0;
  }

  add(samples) {
    const context = audio();
    const buffer = context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    const now = context.currentTime;
    // The first piece waits a moment, so that the next arrives in time; a gap starts anew.
    if (this.#next < now) {
      this.#next = now + 0.06;
      this.#start = this.#next - this.#queued;
    }
    source.start(this.#next);
    this.#next += buffer.duration;
    this.#queued += buffer.duration;
    this.#sources.add(source);
    source.onended = () => {
      this.#sources.delete(source);
      if (this.#sources.size === 0) this.onEnd();
    };
  }

  get playing() { return this.#sources.size > 0; }

  /** Milliseconds that were heard. */
  get heard() {
    if (!context) return 0;
    return Math.max(0, Math.min(this.#queued, context.currentTime - this.#start)) * 1000;
  }

  stop() {
    for (const source of this.#sources) {
      source.onended = null;
      source.stop();
    }
    this.#sources.clear();
    this.#next = 0;
  }
}

export const joined = (pieces) => {
  const whole = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) { whole.set(piece, at); at += piece.length; }
  return whole;
};

export function toBase64(samples) {
  const bytes = new Uint8Array(samples.length * 2), view = new DataView(bytes.buffer);
  samples.forEach((sample, index) => view.setInt16(index * 2, Math.max(-1, Math.min(1, sample)) * 32767, true));
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

export function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0)), view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length >> 1 }, (_, index) => view.getInt16(index * 2, true) / 32768);
}

/** A WAV file of the samples. */
export function wav(samples) {
  const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const word = (at, text) => [...text].forEach((character, index) => view.setUint8(at + index, character.charCodeAt(0)));
  word(0, "RIFF"); view.setUint32(4, 36 + samples.length * 2, true); word(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 2, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true); word(36, "data"); view.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, index) => view.setInt16(44 + index * 2, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}

const SVG = "http://www.w3.org/2000/svg";
const icon = (path) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}" fill="currentColor"/></svg>`;
const PLAY = icon("M8 5.5v13l11-6.5z"), PAUSE = icon("M7 5h4v14H7zM13 5h4v14h-4z");
let replaying;

/** A waveform with a replay button. `update` takes the samples so far; `mark` shows how much was heard. */
export class SoundView {
  constructor(host) {
    host.classList.add("sound");
    this.button = Object.assign(document.createElement("button"), { type: "button", className: "play", innerHTML: PLAY });
    this.button.setAttribute("aria-label", phrase("play"));
    this.button.onclick = () => this.toggle();
    this.wave = document.createElementNS(SVG, "svg");
    this.wave.setAttribute("class", "wave");
    this.wave.setAttribute("viewBox", "0 0 300 34");
    this.wave.setAttribute("preserveAspectRatio", "none");
    this.wave.setAttribute("aria-hidden", "true");
    this.base = this.wave.appendChild(document.createElementNS(SVG, "path"));
    this.done = this.wave.appendChild(document.createElementNS(SVG, "path"));
    this.done.setAttribute("class", "done");
    this.time = document.createElement("time");
    host.replaceChildren(this.button, this.wave, this.time);
    this.samples = new Float32Array();
  }

  update(samples) {
    this.samples = samples;
    const bars = 60, size = Math.max(1, Math.ceil(samples.length / bars));
    this.bars = Array.from({ length: bars }, (_, bar) => {
      let peak = 0;
      for (let at = bar * size; at < Math.min(samples.length, (bar + 1) * size); at += 8) peak = Math.max(peak, Math.abs(samples[at]));
      const x = bar * 5 + 2.5, half = Math.max(1, Math.min(16, Math.sqrt(peak) * 17));
      return `M${x} ${17 - half}V${17 + half}`;
    });
    this.base.setAttribute("d", this.bars.join(""));
    this.time.textContent = phrase("seconds", (samples.length / RATE).toFixed(1));
  }

  mark(share) {
    this.done.setAttribute("d", (this.bars ?? []).slice(0, Math.round(share * 60)).join(""));
  }

  toggle() {
    if (replaying) {
      const other = replaying;
      other.halt();
      if (other === this) return;
    }
    if (!this.samples.length) return;
    const context = audio(), buffer = context.createBuffer(1, this.samples.length, RATE);
    buffer.copyToChannel(this.samples, 0);
    this.source = context.createBufferSource();
    this.source.buffer = buffer;
    this.source.connect(context.destination);
    this.source.onended = () => this.halt();
    const start = context.currentTime;
    this.source.start();
    this.button.innerHTML = PAUSE;
    this.button.setAttribute("aria-label", phrase("pause"));
    replaying = this;
    const draw = () => {
      if (replaying !== this) return;
      this.mark(Math.min(1, (context.currentTime - start) / buffer.duration));
      requestAnimationFrame(draw);
    };
    draw();
  }

  halt() {
    if (this.source) { this.source.onended = null; this.source.stop(); this.source = undefined; }
    if (replaying === this) replaying = undefined;
    this.button.innerHTML = PLAY;
    this.button.setAttribute("aria-label", phrase("play"));
    this.mark(1);
  }
}

/** Ends a replay, when something else is to be heard. */
export const stopReplay = () => replaying?.halt();
