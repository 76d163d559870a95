"""The corpus: sentences of our own making, read by the teachers.

Kinds: `q` questions of the everyday domain, `ans` its answers, `gen` sentences of a grammar.
"""

import json
import random

import numpy as np

from . import domain
from .paths import RATE
from .sentences import sentences
from .teachers import ESPEAK, FLITE, Hibari, program


def jobs(assets, count, seed=5):
    """(voice, kind, text) of every utterance."""
    draw = random.Random(seed)
    intents = domain.english()
    listed = [("hib", "ans", answer) for answer in sorted({answer for _, answer in intents}) if answer.isascii()]
    for wordings, _ in intents:
        for text in filter(domain.is_spoken, wordings):
            listed.append(("hib", "q", text))
            listed += [(voice, "q", text) for voice in draw.sample(FLITE, 2)]
            if draw.random() < 0.15:
                listed.append((draw.choice(ESPEAK), "q", text))
    generic = sentences(assets, count)
    listed += [("hib", "gen", text) for text in generic]
    listed += [(draw.choice(FLITE), "gen", text) for text in generic[: min(count // 2, 2000)]]
    draw.shuffle(listed)
    return listed


def build(work, count):
    """Reads every text and writes audio/<id>.npz and manifest.jsonl; goes on where it was stopped."""
    teacher = Hibari()
    path = work / "manifest.jsonl"
    done = sum(1 for _ in open(path, encoding="utf-8")) if path.exists() else 0
    listed = jobs(teacher.assets, count)
    with open(path, "a", encoding="utf-8") as manifest:
        for index, (voice, kind, text) in enumerate(listed):
            if index < done:
                continue
            entry = {"id": index, "voice": voice, "kind": kind, "text": text, "al": int(voice == "hib")}
            arrays = {}
            if voice == "hib":
                samples, phones, durations, pitch = teacher.read(text, index)
                arrays = {"D": durations.astype(np.float32), "f0": pitch.astype(np.float32)}
            else:
                samples, phones = program(voice, text), teacher.phones(text)
            arrays["a"] = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
            np.savez(work.audio / f"{index}.npz", **arrays)
            entry.update(ph=phones, sec=len(samples) / RATE)
            manifest.write(json.dumps(entry) + "\n")
            manifest.flush()
            if index % 500 == 0:
                print(f"corpus {index} of {len(listed)}", flush=True)
