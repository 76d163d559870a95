"""Prompt layouts of the speech model and of the chat model.

Sources: stepfun-ai/Step-Audio tts.py (tokenize, detect_instruction_name) and stepaudio.py (apply_chat_template).
"""

import json
import re
from pathlib import Path

SYSTEM = Path(__file__).parents[2] / "Sources/SpeechSynthesis/Resources/system_prompts.json"
BEGIN, TURN, END = 1, 4, 3


def instruction(text):
    """The name in the leading bracket of `text`, or nothing."""
    found = re.match(r"^([（(][^()]*[）)]).*$", text, re.DOTALL)
    return found.group(1).strip("()（）") if found else ""


def system_prompt(text, speaker):
    """One of the four strings."""
    strings = json.loads(SYSTEM.read_text())
    if instruction(text) in ("RAP", "哼唱"):
        return strings["vocal" if "哼唱" in text else "rap"]
    return strings["with_spk"].replace("{}", speaker) if speaker else strings["wo_spk"]


def speech(tokenizer, adds_begin, text, speaker, prompt_text, prompt_ids):
    """Ids of the speech model's prompt; every fragment carries BOS where the tokenizer adds it."""
    def encoded(fragment):
        return [BEGIN] * adds_begin + tokenizer.encode(fragment)

    def stripped(fragment):
        return encoded("\n" + fragment)[len(encoded("\n")):]
    human, assistant = encoded("human\n"), encoded("assistant\n")
    return [
        BEGIN,
        TURN, *encoded("system\n" + system_prompt(text, speaker)), END,
        TURN, *human, *stripped(prompt_text), END,
        TURN, *assistant, *prompt_ids, END,
        TURN, *human, *stripped(text), END,
        TURN, *assistant,
    ]


def chat(tokenizer, adds_begin, messages):
    """(text, ids) of the chat model's prompt; an audio part holds its token string."""
    text = ""
    for message in messages:
        role = "human" if message["role"] == "user" else message["role"]
        content = message["content"]
        if isinstance(content, dict):
            content = content[content["type"]]
        text += f"<|BOT|>{role}\n" + ("" if content is None else content + "<|EOT|>")
    if not text.endswith("<|BOT|>assistant\n"):
        text += "<|BOT|>assistant\n"
    return text, [BEGIN] * adds_begin + tokenizer.encode(text)
