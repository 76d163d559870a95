// The page: asks, hears and shows the answers.

import { setUpClone, showError } from "./clone.js";
import { chooseVoice, fillChoices, fillVoices, sessionSettings, setUpSettings } from "./settings.js";
import { Microphone, Player, audio, fromBase64, stopReplay, toBase64 } from "./sound.js";
import { Talk } from "./talk.js";
import { applyPhrases, phrase, switchLanguage } from "./text.js";
import { Turn } from "./turns.js";

const find = (id) => document.getElementById(id);
const talk = new Talk(), player = new Player(), microphone = new Microphone();
let key = sessionStorage.getItem("key") ?? "";
let answer, active = false, askedAt = 0, handsFree = false, holding = false, question, recent = [], recorded = 0, turns = [];

// What the page is doing.

function show(kind) {
  find("state").dataset.kind = kind;
  find("state").textContent = phrase(kind);
  find("stop").disabled = !(active || player.playing);
}

const rest = () => show(microphone.isOpen ? "listening" : talk.connecting ? "connecting" : "ready");

function notice(text, action) {
  find("notice").replaceChildren(Object.assign(document.createElement("span"), { textContent: text ?? "" }));
  if (action) find("notice").append(Object.assign(document.createElement("button"), { type: "button", textContent: action.name, onclick: action.run }));
  find("notice").hidden = !text;
}

async function request(path, options = {}) {
  const reply = await fetch(path, { ...options, headers: key ? { Authorization: `Bearer ${key}` } : {} });
  if (reply.status === 401) {
    await askForKey(Boolean(key));
    return request(path, options);
  }
  const body = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(body.error?.message ?? reply.statusText), { param: body.error?.param });
  return body;
}

function askForKey(wasWrong) {
  showError("key-error", wasWrong ? phrase("keyWrong") : "");
  find("key-dialog").showModal();
  return new Promise((resolve) => {
    find("key-dialog").onclose = () => {
      key = find("key").value.trim();
      sessionStorage.setItem("key", key);
      resolve();
    };
  });
}

// Asking.

function connect() {
  if (talk.connected) return;
  show("connecting");
  talk.connect(key);
}

function ensureTalk() {
  notice();
  audio();
  stopReplay();
  if (!talk.connected) connect();
}

function addQuestion() {
  const turn = new Turn("user");
  turns.push(turn);
  return turn;
}

function respond(extra) {
  askedAt = performance.now();
  active = true;
  show("thinking");
  talk.send({ type: "response.create", ...extra });
}

function ask(text) {
  if (!text.trim()) return;
  ensureTalk();
  interrupt();
  addQuestion().addText(text.trim());
  talk.send({ type: "conversation.item.create", item: { type: "message", role: "user", content: [{ type: "input_text", text: text.trim() }] } });
  respond();
}

/** Ends the answer where it was heard. */
function interrupt() {
  const heard = Math.round(player.heard), isHeard = player.playing;
  player.stop();
  if (active) talk.send({ type: "response.cancel" });
  if (answer?.item && (active || isHeard)) {
    talk.send({ type: "conversation.item.truncate", item_id: answer.item, content_index: 0, audio_end_ms: heard });
    answer.truncate(heard);
    answer.finish({ firstAudio: answer.firstAudio, isCut: true });
  }
  active = false;
  rest();
}

function again(turn) {
  ensureTalk();
  interrupt();
  if (turn.item) talk.send({ type: "conversation.item.delete", item_id: turn.item });
  turn.remove();
  respond({ response: { step_audio: { ...sessionSettings(handsFree).step_audio, seed: Math.floor(Math.random() * 1e9) } } });
}

// The microphone.

function onPiece(piece) {
  const level = Math.sqrt(piece.reduce((sum, sample) => sum + sample * sample, 0) / piece.length);
  find("microphone").style.setProperty("--level", Math.min(1, level * 6).toFixed(2));
  if (handsFree) {
    recent.push(piece);
    if (question) question.addSound(piece);
    else if (recent.length > 12) recent.shift();
  } else if (question) {
    question.addSound(piece);
  }
  recorded += piece.length;
  talk.send({ type: "input_audio_buffer.append", audio: toBase64(piece) });
}

async function openMicrophone() {
  try {
    await microphone.open(onPiece);
    return true;
  } catch (error) {
    notice(phrase("noMicrophone", error.message));
    return false;
  }
}

function closeMicrophone() {
  microphone.close();
  find("microphone").style.setProperty("--level", 0);
}

async function hold() {
  if (holding || handsFree) return;
  holding = true;
  ensureTalk();
  interrupt();
  find("microphone").setAttribute("aria-pressed", "true");
  talk.send({ type: "input_audio_buffer.clear" });
  recorded = 0;
  question = addQuestion();
  if (!(await openMicrophone()) || !holding) return release();
  rest();
}

function release() {
  if (!holding && !(microphone.isOpen && !handsFree)) return;
  holding = false;
  closeMicrophone();
  find("microphone").setAttribute("aria-pressed", "false");
  const turn = question;
  question = undefined;
  if (recorded < 24000 * 0.3) {
    turn?.remove();
    turns = turns.filter((other) => other !== turn);
    talk.send({ type: "input_audio_buffer.clear" });
    if (find("notice").hidden) notice(phrase("tooShort"));
    return rest();
  }
  turn.finish();
  talk.send({ type: "input_audio_buffer.commit" });
  respond();
}

async function setHandsFree(wanted) {
  handsFree = wanted;
  find("hands-free").setAttribute("aria-pressed", String(wanted));
  find("hint").dataset.text = wanted ? "hintFree" : "hint";
  applyPhrases();
  question = undefined;
  recent = [];
  if (wanted) {
    ensureTalk();
    talk.send({ type: "input_audio_buffer.clear" });
    talk.send({ type: "session.update", session: sessionSettings(true) });
    if (!(await openMicrophone())) return setHandsFree(false);
  } else {
    closeMicrophone();
    if (talk.connected) talk.send({ type: "session.update", session: sessionSettings(false) });
  }
  find("microphone").setAttribute("aria-pressed", String(wanted));
  rest();
}

// What the server says.

talk.on("open", () => {
  talk.send({ type: "session.update", session: sessionSettings(handsFree) });
  if (!active) rest();
});

talk.on("lost", () => {
  if (handsFree) setHandsFree(false);
  holding = active = false;
  answer?.finish({ error: phrase("lost") });
  show("offline");
  notice(phrase("lost"), { name: phrase("reconnect"), run: () => { notice(); clear(); connect(); } });
});

talk.on("error", ({ error }) => {
  // A cancellation may cross the answer's end.
  if (["response_cancel_not_active"].includes(error.code)) return;
  if (error.param?.startsWith("session") || error.param?.startsWith("step_audio") || error.param === "voice") showError("settings-error", error.message);
  else notice(error.message);
});

talk.on("input_audio_buffer.speech_started", () => {
  if (!handsFree) return;
  const heard = Math.round(player.heard);
  if (player.playing) {
    player.stop();
    if (answer?.item) talk.send({ type: "conversation.item.truncate", item_id: answer.item, content_index: 0, audio_end_ms: heard });
    answer?.truncate(heard);
    answer?.finish({ firstAudio: answer.firstAudio, isCut: true });
  }
  stopReplay();
  question = addQuestion();
  for (const piece of recent) question.addSound(piece);
  show("hearing");
});

talk.on("input_audio_buffer.speech_stopped", () => {
  question?.finish();
  question = undefined;
  recent = [];
  askedAt = performance.now();
});

talk.on("response.created", () => {
  active = true;
  answer = new Turn("assistant");
  const turn = answer;
  turn.onAgain = () => again(turn);
  turns.push(turn);
  turn.wait();
  player.begin();
  show("thinking");
});

talk.on("response.output_item.added", ({ item }) => { if (answer) answer.item = item.id; });
talk.on("response.output_audio_transcript.delta", ({ delta }) => answer?.addText(delta));

talk.on("response.output_audio.delta", ({ item_id, delta }) => {
  if (answer?.item !== item_id || !active) return;
  const samples = fromBase64(delta);
  answer.firstAudio ??= performance.now() - askedAt;
  answer.addSound(samples);
  player.add(samples);
  show("speaking");
});

talk.on("response.done", ({ response }) => {
  const turn = answer;
  if (response.status === "cancelled") {
    turn?.finish({ firstAudio: turn.firstAudio, isCut: true });
  } else {
    active = false;
    turn?.finish({
      firstAudio: turn.firstAudio, factor: response.timings?.real_time_factor,
      error: response.status === "failed" ? phrase("failed", response.status_details?.error?.message ?? "") : undefined,
    });
    if (response.status === "failed") notice();
    find("announcer").textContent = turn?.text ?? "";
  }
  if (!player.playing) { active = false; rest(); } else show("speaking");
});

// A turn that was cut keeps the words that were heard.
talk.on("conversation.item.truncated", ({ item_id }) => talk.send({ type: "conversation.item.retrieve", item_id }));
talk.on("conversation.item.retrieved", ({ item }) => {
  const turn = turns.find((other) => other.item === item.id);
  if (!turn) return;
  turn.text = item.content[0]?.transcript ?? turn.text;
  turn.said.textContent = turn.text;
});

player.onEnd = () => { if (!active) rest(); };
(function follow() {
  if (player.playing && answer?.view) answer.view.mark(player.heard / 1000 / Math.max(0.01, answer.seconds));
  requestAnimationFrame(follow);
})();

// The controls.

function clear() {
  player.stop();
  stopReplay();
  if (handsFree) setHandsFree(false);
  talk.close();
  turns.forEach((turn) => turn.remove());
  turns = [];
  answer = question = undefined;
  active = holding = false;
  find("empty").hidden = false;
  notice();
  rest();
}

function phrases() {
  applyPhrases();
  find("language").textContent = phrase("other");
  find("suggestions").replaceChildren(...phrase("suggestions").map((text) => {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("button"), { type: "button", textContent: text, onclick: () => ask(text) }));
    return item;
  }));
  fillChoices();
  show(find("state").dataset.kind || "loading");
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme ?? "");
}

function openSettings(isOpen) {
  find("settings").classList.toggle("open", isOpen);
  find("open-settings").setAttribute("aria-expanded", String(isOpen));
  if (isOpen) find("close-settings").focus();
}

find("composer").onsubmit = (event) => {
  event.preventDefault();
  ask(find("text").value);
  find("text").value = "";
  grow();
};
const grow = () => { const box = find("text"); box.style.height = "auto"; box.style.height = `${box.scrollHeight}px`; };
find("text").oninput = grow;
find("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); find("composer").requestSubmit(); }
};
find("microphone").onpointerdown = (event) => { if (handsFree) return setHandsFree(false); event.target.setPointerCapture?.(event.pointerId); hold(); };
for (const type of ["pointerup", "pointercancel"]) find("microphone").addEventListener(type, release);
find("microphone").oncontextmenu = (event) => event.preventDefault();
addEventListener("keydown", (event) => {
  if (event.key === "Escape") { openSettings(false); if (active || player.playing) interrupt(); }
  const isFree = document.activeElement === document.body || document.activeElement === find("microphone");
  if (event.key === " " && isFree) { event.preventDefault(); if (!event.repeat) hold(); }
});
addEventListener("keyup", (event) => { if (event.key === " ") release(); });
addEventListener("blur", release);
find("hands-free").onclick = () => setHandsFree(!handsFree);
find("stop").onclick = interrupt;
find("clear").onclick = clear;
find("language").onclick = () => { switchLanguage(); phrases(); };
find("theme").onclick = () => {
  const isDark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(isDark ? "light" : "dark");
};
find("open-settings").onclick = () => openSettings(true);
find("close-settings").onclick = () => { openSettings(false); find("open-settings").focus(); };
find("remove-voice").onclick = async () => {
  try {
    const { id } = await request(`/v1/audio/voices/${encodeURIComponent(find("voice").value)}`, { method: "DELETE" });
    await loadVoices();
    find("announcer").textContent = phrase("removed", id);
    update();
  } catch (error) {
    showError("settings-error", error.message);
  }
};

const update = () => { if (talk.connected) talk.send({ type: "session.update", session: sessionSettings(handsFree) }); };
const loadVoices = async () => fillVoices((await request("/v1/audio/voices")).data);

setUpSettings(update);
setUpClone(request, async (voice) => {
  await loadVoices();
  chooseVoice(voice.id);
  find("announcer").textContent = phrase("added", voice.id);
  update();
});

async function begin() {
  setTheme(localStorage.getItem("theme") || undefined);
  show("loading");
  phrases();
  for (;;) {
    try {
      const health = await (await fetch("/health")).json();
      find("version").textContent = health.version;
      if (health.status === "ok") break;
      if (health.status === "failed") return notice(phrase("failed", health.reason));
    } catch {
      show("offline");
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  await loadVoices();
  show("ready");
}
begin().catch((error) => notice(phrase("failed", error.message)));
