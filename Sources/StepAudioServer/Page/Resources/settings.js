// The settings panel: voices, styles, speed and volume, kept for the next visit.

import { showError } from "./clone.js";
import { phrase, tagName } from "./text.js";

const find = (id) => document.getElementById(id);
const tags = {
  emotion: ["高兴1", "高兴2", "生气1", "生气2", "悲伤1", "撒娇1"],
  "spoken-language": ["中文", "英文", "韩语", "日语", "四川话", "粤语"],
  pace: ["慢速2", "慢速1", "快速1", "快速2"],
};
const fields = ["voice", ...Object.keys(tags), "speed", "volume"];
let voices = [];

/** Fills the choices in the page's language. */
export function fillChoices() {
  for (const [id, names] of Object.entries(tags)) {
    const chosen = find(id).value || localStorage.getItem(id) || "";
    find(id).replaceChildren(new Option(phrase("auto"), ""), ...names.map((name) => new Option(tagName(name), name)));
    find(id).value = chosen;
  }
  showValues();
}

/** Shows the server's voices. */
export function fillVoices(list) {
  voices = list;
  const chosen = localStorage.getItem("voice");
  find("voice").replaceChildren(...voices.map((voice) => new Option(voice.origin === "user" ? `${voice.name} (${phrase("own")})` : voice.name, voice.id)));
  find("voice").value = voices.some((voice) => voice.id === chosen) ? chosen : (voices.find((voice) => voice.is_default)?.id ?? "");
  showValues();
}

/** Chooses a voice. */
export function chooseVoice(id) {
  localStorage.setItem("voice", id);
  find("voice").value = id;
  showValues();
}

/** Wires the fields; `onChange` hears every change. */
export function setUpSettings(onChange) {
  for (const id of fields) {
    const saved = localStorage.getItem(id);
    if (saved && ["speed", "volume"].includes(id)) find(id).value = saved;
    find(id).addEventListener(find(id).type === "range" ? "input" : "change", () => {
      localStorage.setItem(id, find(id).value);
      showError("settings-error");
      showValues();
      onChange();
    });
  }
}

/** The session's part of the settings. */
export function sessionSettings(handsFree) {
  const value = (id) => find(id).value || null;
  return {
    type: "realtime",
    output_modalities: ["audio"],
    audio: {
      input: { turn_detection: handsFree ? { type: "server_vad" } : null },
      output: { voice: value("voice") ?? "default", speed: Number(find("speed").value) },
    },
    step_audio: { emotion: value("emotion"), language: value("spoken-language"), pace: value("pace"), volume: Number(find("volume").value) },
  };
}

function showValues() {
  find("speed-value").textContent = `${Number(find("speed").value).toFixed(2)}×`;
  find("volume-value").textContent = `${Math.round(find("volume").value * 100)} %`;
  find("remove-voice").hidden = voices.find((voice) => voice.id === find("voice").value)?.origin !== "user";
}
