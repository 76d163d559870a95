// The page's words in English and Chinese.

const words = {
  en: {
    other: "中文", switchLanguage: "Chinese", theme: "Light or dark", clear: "New talk", settings: "Settings", close: "Close",
    conversation: "Conversation", composer: "Your turn", welcome: "Ask by voice or by text",
    welcomeMore: "Hold the microphone and speak, or type a question. The answer is spoken while it is made.",
    question: "Question", placeholder: "Type a question", send: "Send", handsFree: "Hands-free", stop: "Stop",
    holdToTalk: "Hold to talk", hint: "Hold the button or the space bar to talk · Esc stops", hintFree: "Just speak; you can interrupt the answer",
    voice: "Voice", removeVoice: "Remove this voice", emotion: "Emotion", spokenLanguage: "Language", pace: "Pace", speed: "Speed", volume: "Volume",
    clone: "Clone a voice", cloneMore: "A clear recording of 1 to 30 seconds of one speaker, and what it says.", cloneName: "Name",
    cloneText: "What is said", record: "Record", stopRecording: "Stop recording", chooseFile: "Choose a file", addVoice: "Add the voice", health: "Health", skip: "Skip to the question",
    keyTitle: "API key", keyMore: "This server asks for a key. It is kept in this tab only.", keyUse: "Use this key", keyWrong: "The key is wrong.",
    ready: "Ready", connecting: "Connecting", loading: "Loading the models", listening: "Listening", hearing: "I hear you", thinking: "Thinking", speaking: "Speaking", offline: "Not connected",
    you: "You", answer: "Answer", recording: "Your recording", play: "Play", pause: "Pause", save: "Save", again: "Regenerate", retry: "Try again", cut: "stopped",
    firstAudio: "first audio {0} ms", factor: "real-time factor {0}", seconds: "{0} s", stopped: "stopped at {0} s",
    noMicrophone: "The microphone cannot be used: {0}", noMicrophoneHere: "This browser gives no microphone to this page. Open it at localhost or over https.",
    lost: "The connection was lost.", reconnect: "Connect again", tooShort: "Hold the button while you speak.", failed: "It did not work: {0}",
    nameMissing: "Give the voice a name.", textMissing: "Write down what the recording says.", soundMissing: "Record the voice or choose a file.", added: "The voice {0} was added.", removed: "The voice {0} was removed.",
    auto: "Automatic", own: "mine", suggestions: ["What is the capital of France?", "What day comes after Monday?", "How do you spell cat?", "What is three plus four?"],
    tags: { "高兴1": "Happy", "高兴2": "Very happy", "生气1": "Angry", "生气2": "Very angry", "悲伤1": "Sad", "撒娇1": "Coaxing", "中文": "Chinese", "英文": "English", "韩语": "Korean", "日语": "Japanese", "四川话": "Sichuanese", "粤语": "Cantonese", "慢速1": "Slow", "慢速2": "Very slow", "快速1": "Fast", "快速2": "Very fast" },
  },
  zh: {
    other: "English", switchLanguage: "英文", theme: "浅色或深色", clear: "新对话", settings: "设置", close: "关闭",
    conversation: "对话", composer: "输入", welcome: "用语音或文字提问",
    welcomeMore: "按住麦克风说话,或输入问题。回答会边生成边播放。",
    question: "问题", placeholder: "输入问题", send: "发送", handsFree: "免按", stop: "停止",
    holdToTalk: "按住说话", hint: "按住按钮或空格键说话 · Esc 停止", hintFree: "直接说话,可以随时打断回答",
    voice: "音色", removeVoice: "删除这个音色", emotion: "情绪", spokenLanguage: "语言", pace: "节奏", speed: "语速", volume: "音量",
    clone: "克隆音色", cloneMore: "一段 1 到 30 秒、单人、清晰的录音,以及它的文字。", cloneName: "名称",
    cloneText: "录音的文字", record: "录音", stopRecording: "停止录音", chooseFile: "选择文件", addVoice: "添加音色", health: "状态", skip: "跳到输入框",
    keyTitle: "API 密钥", keyMore: "此服务器需要密钥。密钥只保存在这个标签页。", keyUse: "使用此密钥", keyWrong: "密钥不正确。",
    ready: "就绪", connecting: "正在连接", loading: "正在加载模型", listening: "正在听", hearing: "听到了", thinking: "正在思考", speaking: "正在说", offline: "未连接",
    you: "你", answer: "回答", recording: "你的录音", play: "播放", pause: "暂停", save: "保存", again: "重新生成", retry: "重试", cut: "已停止",
    firstAudio: "首段音频 {0} 毫秒", factor: "实时率 {0}", seconds: "{0} 秒", stopped: "停在 {0} 秒",
    noMicrophone: "无法使用麦克风:{0}", noMicrophoneHere: "浏览器不允许此页面使用麦克风。请用 localhost 或 https 打开。",
    lost: "连接已断开。", reconnect: "重新连接", tooShort: "说话时请按住按钮。", failed: "没有成功:{0}",
    nameMissing: "请填写名称。", textMissing: "请写下录音的文字。", soundMissing: "请录音或选择文件。", added: "已添加音色 {0}。", removed: "已删除音色 {0}。",
    auto: "自动", own: "我的", suggestions: ["What is the capital of France?", "What color is the sky?", "What is the opposite of hot?", "What is your name?"],
    tags: { "高兴1": "高兴", "高兴2": "很高兴", "生气1": "生气", "生气2": "很生气", "悲伤1": "悲伤", "撒娇1": "撒娇", "慢速1": "慢", "慢速2": "很慢", "快速1": "快", "快速2": "很快" },
  },
};

let chosen = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

/** A phrase, its {0} filled in. */
export function phrase(name, ...values) {
  const text = words[chosen][name] ?? words.en[name] ?? name;
  return typeof text === "string" ? text.replace(/\{(\d)\}/g, (_, index) => values[index] ?? "") : text;
}

/** What a style tag is called. */
export const tagName = (tag) => words[chosen].tags[tag] ?? tag;

/** Writes the phrases into the page. */
export function applyPhrases(root = document) {
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = phrase(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", phrase(element.dataset.label));
    if (element.tagName === "BUTTON") element.title = phrase(element.dataset.label);
  }
  for (const element of root.querySelectorAll("[data-placeholder]")) element.placeholder = phrase(element.dataset.placeholder);
}

/** Takes the other language. */
export function switchLanguage() {
  chosen = chosen === "zh" ? "en" : "zh";
  localStorage.setItem("language", chosen);
}
