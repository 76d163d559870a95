// Adding a voice: record it or choose a file, say what it says, send it.

import { Microphone, SoundView, joined, wav } from "./sound.js";
import { phrase } from "./text.js";

const find = (id) => document.getElementById(id);

/** Shows or hides an error beside its field. */
export function showError(id, text) {
  find(id).textContent = text ?? "";
  find(id).hidden = !text;
}

/** Wires the form; `request` talks to the server, `onAdded` hears the new voice. */
export function setUpClone(request, onAdded) {
  let sound, microphone, pieces = [], view;
  const button = find("clone-record");

  const fail = (error) => showError("clone-sound-error", phrase("noMicrophone", error.message));
  const label = (name) => { button.lastElementChild.dataset.text = name; button.lastElementChild.textContent = phrase(name); };

  const stop = () => {
    microphone?.close();
    microphone = undefined;
    button.setAttribute("aria-pressed", "false");
    label("record");
    if (!pieces.length) return;
    const samples = joined(pieces);
    sound = wav(samples);
    show(samples);
  };

  const show = (samples) => {
    find("clone-sound").hidden = false;
    view ??= new SoundView(find("clone-sound"));
    view.update(samples);
  };

  button.onclick = async () => {
    if (microphone) return stop();
    showError("clone-sound-error");
    pieces = [];
    microphone = new Microphone();
    try {
      await microphone.open((piece) => {
        pieces.push(piece);
        show(joined(pieces));
        if (pieces.length >= 750) stop();
      });
      button.setAttribute("aria-pressed", "true");
      label("stopRecording");
    } catch (error) {
      microphone = undefined;
      fail(error);
    }
  };

  find("clone-file").onchange = async (event) => {
    const file = event.target.files[0];
    if (!file) return;
    sound = file;
    showError("clone-sound-error");
    try {
      const context = new OfflineAudioContext(1, 1, 24000);
      show((await context.decodeAudioData(await file.arrayBuffer())).getChannelData(0));
    } catch {
      find("clone-sound").hidden = true; // The server may still read it.
    }
  };

  find("clone-form").onsubmit = async (event) => {
    event.preventDefault();
    const name = find("clone-name").value.trim(), text = find("clone-text").value.trim();
    showError("clone-name-error", name ? "" : phrase("nameMissing"));
    showError("clone-text-error", text ? "" : phrase("textMissing"));
    showError("clone-sound-error", sound ? "" : phrase("soundMissing"));
    if (!name || !text || !sound) return;
    const form = new FormData();
    form.append("name", name);
    form.append("transcript", text);
    form.append("audio_sample", sound, "voice.wav");
    const submit = event.target.querySelector(".primary");
    submit.disabled = true;
    try {
      const voice = await request("/v1/audio/voices", { method: "POST", body: form });
      event.target.reset();
      sound = undefined;
      find("clone-sound").hidden = true;
      find("clone").open = false;
      onAdded(voice);
    } catch (error) {
      const place = { name: "clone-name-error", transcript: "clone-text-error" }[error.param] ?? "clone-sound-error";
      showError(place, error.message);
    } finally {
      submit.disabled = false;
    }
  };
}
