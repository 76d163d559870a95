"""The text-to-speech language model: a voice's transcript and tokens, then the text to say, to audio tokens."""

import json
import pathlib
import random

import numpy as np
import sentencepiece
import torch

from .encoders import LINGUISTIC_CODES, SEMANTIC_CODES
from .features import Corpus
from .session import Session, cosine
from .step1 import BOS, END, START, Step1, encoder, write_vocabulary
from .tokens import interleaved

PROMPTS = pathlib.Path(__file__).parents[2] / "Sources/SpeechSynthesis/Resources/system_prompts.json"
SPEAKERS = {"Hibari": "hib", "Sally": "slt", "Robert": "rms", "Alan": "awb"}
TAGS = ["(高兴1)", "(英文)", "(慢速1)", "(快速1)", "(悲伤1)", "(高兴2)(英文)", "(快速2)"]
STYLES = """高兴1 高兴2 生气1 生气2 悲伤1 撒娇1 中文 英文 韩语 日语 四川话 粤语 广东话 慢速1 慢速2 快速1 快速2
RAP 哼唱""".split()


def vocabulary(work, prompts):
    """Characters, roles and style words; whole lines of the system prompts, so that those stay short."""
    pieces = [(chr(i), -6.0) for i in range(33, 127)] + [(c, -6.0) for c in "▁，。？！、（）"]
    pieces += [(space + word, -8.0) for space in ("", "▁") for word in ("human", "assistant", "system")]
    lines = set()
    for prompt in prompts.values():
        for part in prompt.replace("{}", "\n").split("\n"):
            for line in part.replace("，", "，|").replace("：", "：|").split("|"):
                if len(line) > 3:
                    lines.add(line.replace(" ", "▁"))
    pieces += [(line, -9.0) for line in sorted(lines)] + [(style, -9.0) for style in STYLES]
    write_vocabulary(pieces, work / "speech.model")


class Utterances:
    """Prompts and targets in the main voice."""

    def __init__(self, work, seed):
        prompts = json.loads(PROMPTS.read_text("utf-8"))
        self.prompts = {key: prompts[key] for key in ("rap", "vocal", "wo_spk", "with_spk")}
        vocabulary(work, self.prompts)
        self.draw, self.random = np.random.default_rng(seed), random.Random(seed)
        self.text = encoder(work / "speech.model")
        # The first text after an added token carries the dummy prefix.
        self.prefixed = sentencepiece.SentencePieceProcessor(model_file=str(work / "speech.model"))
        self.first = self.text.piece_to_id("<audio_0>")
        tokens = work.tokens()
        everything = [entry for entry in Corpus(work).entries if entry["id"] in tokens]
        self.codes = {entry["id"]: self.trimmed(interleaved(*tokens[entry["id"]])) for entry in everything}
        entries = [entry for entry in everything if entry["al"]]
        kinds = {kind: [entry for entry in entries if entry["kind"] == kind] for kind in ("ans", "q", "gen")}
        self.answers, self.questions = kinds["ans"], kinds["q"]
        self.held, self.generic = kinds["gen"][:40], kinds["gen"][40:]
        short = [e for e in everything if e["kind"] == "gen" and 1.8 < e["sec"] < 3.2 and len(self.codes[e["id"]]) > 40]
        self.prompters = sorted(short, key=lambda e: e["id"])
        self.named = {
            name: [e for e in self.prompters if e["voice"] == voice and e["sec"] < 2.6][3]
            for name, voice in SPEAKERS.items()
        }

    @staticmethod
    def trimmed(codes):
        """Without the silence at both ends."""
        return codes[10 : len(codes) - 15] if len(codes) > 60 else codes

    def fragment(self, text):
        return [BOS] + self.prefixed.encode(text)

    def audio(self, entry):
        return (self.codes[entry["id"]] + self.first).tolist()

    def prefix(self):
        """Everything before the text to say, as the command builds it: a known voice, or one to clone."""
        if self.draw.random() < 0.7:
            chosen = "Hibari" if self.draw.random() < 0.6 else self.random.choice(list(SPEAKERS))
            entry, system = self.named[chosen], self.prompts["with_spk"].replace("{}", chosen)
        else:
            entry, system = self.random.choice(self.prompters), self.prompts["wo_spk"]
        ids = [BOS, START] + self.fragment("system\n" + system) + [END, START] + self.fragment("human\n")
        ids += self.text.encode(entry["text"]) + [END, START] + self.fragment("assistant\n") + self.audio(entry)
        return ids + [END, START] + self.fragment("human\n")

    def said(self, text):
        """Ids of the text and of the start of the answer."""
        return self.text.encode(text) + [END, START] + self.fragment("assistant\n")

    def damaged(self, codes, share):
        """History with wrong codes in it, against drift."""
        changed = self.draw.random(len(codes)) < share
        low = self.draw.integers(0, LINGUISTIC_CODES, len(codes))
        high = self.draw.integers(LINGUISTIC_CODES, LINGUISTIC_CODES + SEMANTIC_CODES, len(codes))
        return np.where(changed, np.where(np.arange(len(codes)) % 5 < 2, low, high), codes)

    def batch(self, size):
        """Ids, and targets (-100 where nothing is learnt)."""
        rows = []
        for _ in range(size):
            chance = self.draw.random()
            kind = self.answers if chance < 0.2 else self.questions if chance < 0.35 else self.generic
            entry = self.random.choice(kind)
            tag = self.random.choice(TAGS) if self.draw.random() < 0.08 else ""
            start = self.said(tag + entry["text"])
            codes = self.codes[entry["id"]]
            seen = self.damaged(codes, 0.12 if self.draw.random() < 0.7 else 0.0)
            rows.append((start, codes, start + (seen + self.first).tolist() + [END]))
        longest = max(len(row) for _, _, row in rows)
        ids = torch.zeros(size, longest, dtype=torch.long)
        targets = torch.full((size, longest - 1), -100)
        for index, (start, codes, row) in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            targets[index, len(start) - 1 : len(row) - 1] = torch.tensor((codes + self.first).tolist() + [END])
        return ids, targets


def train(work, minutes, seed=0):
    torch.manual_seed(seed)
    data = Utterances(work, seed)
    chosen = {name: {"id": entry["id"], "text": entry["text"]} for name, entry in data.named.items()}
    (work / "prompts.json").write_text(json.dumps(chosen))
    net = Step1(data.text.get_piece_size(), 224, 7, 1, 640, 6)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.05)
    session = Session(work, "speech", minutes, net, optimizer, decay=0.998, cfg=net.cfg)
    for fraction in session:
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * min(1, (session.step_count + 1) / 200) * cosine(fraction)
        prefix = data.prefix()
        ids, targets = data.batch(20)
        with torch.autocast("cpu", torch.bfloat16):
            past = net(torch.tensor([prefix]))[1]
            states = net(ids[:, :-1], past)[0]
        learnt = targets != -100
        session.update(net.loss(states[learnt], targets[learnt]).mean())
