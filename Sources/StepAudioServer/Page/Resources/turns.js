// The turns of the conversation on the page.

import { RATE, SoundView, joined, stopReplay, wav } from "./sound.js";
import { phrase } from "./text.js";

const list = document.getElementById("turns"), talk = document.getElementById("talk");

/** One turn: its text, its sound, what it took. */
export class Turn {
  pieces = [];
  text = "";

  constructor(who, { onAgain } = {}) {
    this.who = who;
    this.element = list.appendChild(document.createElement("li"));
    this.element.className = `turn ${who}`;
    this.element.setAttribute("aria-label", phrase(who === "user" ? "you" : "answer"));
    this.bubble = this.element.appendChild(Object.assign(document.createElement("div"), { className: "bubble" }));
    this.said = this.bubble.appendChild(Object.assign(document.createElement("p"), { className: "said" }));
    this.meta = this.element.appendChild(Object.assign(document.createElement("div"), { className: "meta" }));
    this.onAgain = onAgain;
    document.getElementById("empty").hidden = true;
    this.reveal();
  }

  /** Three dots until something comes. */
  wait() {
    this.dots = this.bubble.appendChild(Object.assign(document.createElement("span"), { className: "dots", innerHTML: "<i></i><i></i><i></i>" }));
    this.reveal();
  }

  addText(text) {
    this.dots?.remove();
    this.text += text;
    this.said.textContent = this.text;
    this.reveal();
  }

  addSound(samples) {
    this.dots?.remove();
    this.pieces.push(samples);
    this.view ??= new SoundView(this.bubble.appendChild(document.createElement("div")));
    this.view.update(joined(this.pieces));
    this.reveal();
  }

  get seconds() { return this.pieces.reduce((sum, piece) => sum + piece.length, 0) / RATE; }

  /** What the turn took, and what can be done with it. */
  finish({ firstAudio, factor, isCut, error } = {}) {
    this.dots?.remove();
    this.meta.replaceChildren();
    const note = (text, kind) => this.meta.appendChild(Object.assign(document.createElement("span"), { textContent: text, className: kind ?? "" }));
    if (error) note(error, "failed");
    if (firstAudio !== undefined) note(phrase("firstAudio", Math.round(firstAudio)));
    if (factor) note(phrase("factor", factor.toFixed(2)));
    if (isCut) note(phrase("stopped", this.seconds.toFixed(1)));
    this.element.classList.toggle("cut", Boolean(isCut));
    if (this.onAgain) this.action(phrase(error ? "retry" : "again"), this.onAgain);
    if (this.pieces.length) this.action(phrase("save"), () => this.save());
  }

  action(name, onclick) {
    this.meta.appendChild(Object.assign(document.createElement("button"), { type: "button", textContent: name, onclick }));
  }

  /** Keeps only what was heard. */
  truncate(milliseconds) {
    const whole = joined(this.pieces).subarray(0, Math.round((milliseconds * RATE) / 1000));
    this.pieces = whole.length ? [whole] : [];
    this.view?.update(whole);
  }

  save() {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(wav(joined(this.pieces))), download: "stepaudio.wav" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  remove() {
    stopReplay();
    this.element.remove();
  }

  reveal() {
    talk.scrollTop = talk.scrollHeight;
  }
}
