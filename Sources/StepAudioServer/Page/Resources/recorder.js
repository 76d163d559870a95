// Runs beside the page on the audio thread: microphone samples at any rate become 24 kHz pieces of 40 ms.

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    const taps = 63, cutoff = Math.min(0.5, 11000 / sampleRate);
    this.filter = Float32Array.from({ length: taps }, (_, n) => {
      const t = n - (taps - 1) / 2;
      const sinc = t === 0 ? 2 * cutoff : Math.sin(2 * Math.PI * cutoff * t) / (Math.PI * t);
      return sinc * (0.54 - 0.46 * Math.cos((2 * Math.PI * n) / (taps - 1)));
    });
    this.step = sampleRate / 24000;
    this.held = new Float32Array(taps);
    this.position = taps;
    this.piece = new Float32Array(960);
    this.filled = 0;
  }

  // The low-passed signal at a whole position.
  at(index) {
    let sum = 0;
    const start = index - this.filter.length + 1;
    for (let n = 0; n < this.filter.length; n++) sum += this.filter[n] * this.held[start + n];
    return sum;
  }

  process(inputs) {
    const input = inputs[0]?.[0];
    if (!input) return true;
    const grown = new Float32Array(this.held.length + input.length);
    grown.set(this.held);
    grown.set(input, this.held.length);
    this.held = grown;
    while (this.position + 1 < this.held.length) {
      const whole = Math.floor(this.position), part = this.position - whole;
      this.piece[this.filled++] = this.step === 1 ? this.held[whole] : this.at(whole) * (1 - part) + (part ? this.at(whole + 1) * part : 0);
      this.position += this.step;
      if (this.filled === this.piece.length) {
        this.port.postMessage(this.piece.slice());
        this.filled = 0;
      }
    }
    const drop = Math.max(0, Math.floor(this.position) - this.filter.length);
    this.held = this.held.slice(drop);
    this.position -= drop;
    return true;
  }
}
registerProcessor("recorder", Recorder);
