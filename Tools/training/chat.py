"""The chat model: everyday questions, typed or as audio tokens, to answers in text."""

import random

import numpy as np
import sentencepiece
import torch
from sentencepiece import sentencepiece_model_pb2

from . import domain
from .encoders import LINGUISTIC_CODES, SEMANTIC_CODES
from .session import Session, cosine
from .step1 import BOS, END, START, Step1, generate, write_vocabulary
from .tokens import interleaved

SYSTEM = [
    "You are a helpful assistant.",
    "You are Step, a small voice assistant.",
    "Answer shortly.",
    "你是一个小助手。",
    "Be friendly and brief.",
]
TAGS = ["(高兴1)", "(英文)", "(慢速1)", "(快速1)", "(中文)", "(悲伤1)"]


def vocabulary(work):
    """Unigram pieces of the domain's texts, and all of ASCII."""
    english, chinese = domain.english(), domain.chinese()
    lines = [text for wordings, answer in english for text in wordings + [answer] * 3]
    lines += [text for wordings, answer in chinese for text in (wordings + [answer]) * 2]
    lines += ["human", "assistant", "system"] * 50
    corpus = work / "chat-texts.txt"
    corpus.write_text("\n".join(lines + [line.lower() for line in lines]), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(work / "chat-pieces"),
        model_type="unigram",
        vocab_size=1150,
        character_coverage=1.0,
        normalization_rule_name="identity",
        byte_fallback=False,
        remove_extra_whitespaces=False,
        split_digits=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    trained = sentencepiece_model_pb2.ModelProto()
    trained.ParseFromString((work / "chat-pieces.model").read_bytes())
    pieces = [(piece.piece, piece.score) for piece in trained.pieces if piece.type == 1]
    known, lowest = {text for text, _ in pieces}, min(score for _, score in pieces)
    pieces += [(c, lowest - 0.1) for c in [chr(i) for i in range(33, 127)] + ["▁"] if c not in known]
    return write_vocabulary(pieces, work / "chat.model")


class Conversations:
    """Draws training conversations."""

    def __init__(self, work, text, seed):
        self.text, self.draw, self.random = text, np.random.default_rng(seed), random.Random(seed)
        self.first = text.piece_to_id("<audio_0>")
        self.codes = work.tokens()
        self.answers = {w: answer for wordings, answer in domain.english() for w in wordings}
        self.chinese = [w for wordings, _ in domain.chinese() for w in wordings]
        self.answers.update({w: answer for wordings, answer in domain.chinese() for w in wordings})
        self.recordings = {}
        for entry in work.manifest():
            if entry["kind"] == "q" and entry["id"] in self.codes:
                self.recordings.setdefault(entry["text"], []).append((entry["voice"], entry["id"]))
        fixed = {w for line in domain.FIXED for w in line[1:]}
        shown = fixed | set(domain.OFF_TOPIC) | set(domain.DEMONSTRATED)
        free = [w for w in self.answers if w not in shown and w[0].isascii()]
        self.held = set(self.random.sample(sorted(free), 60))
        self.held_ids = {
            i
            for text, found in self.recordings.items()
            if text not in domain.DEMONSTRATED
            for _, i in found
            if i % 25 == 3
        }
        self.typed = sorted(set(self.answers) - self.held)
        self.spoken = sorted(set(self.recordings) - self.held)
        self.fixed = sorted(fixed)

    def recording(self, index, noisy):
        """The audio ids of an utterance; noise changes some codes and cuts the beginning."""
        codes = interleaved(*self.codes[index])
        if noisy:
            changed = self.draw.random(len(codes)) < 0.05
            low = self.draw.integers(0, LINGUISTIC_CODES, len(codes))
            high = self.draw.integers(LINGUISTIC_CODES, LINGUISTIC_CODES + SEMANTIC_CODES, len(codes))
            codes = np.where(changed, np.where(np.arange(len(codes)) % 5 < 2, low, high), codes)
            if self.draw.random() < 0.3:
                codes = codes[5 * int(self.draw.integers(0, 3)) :]
        return (codes + self.first).tolist()

    def styled(self, text):
        """As people type: lower case, no mark at the end, shouting."""
        chance = self.draw.random()
        if text in self.chinese:
            return text + ("？" if chance < 0.4 else "?" if chance < 0.5 else "。" if chance < 0.6 else "")
        if chance < 0.45:
            return text
        if chance < 0.65:
            text = text.lower()
        if chance < 0.8:
            return text.rstrip(".?!")
        if chance < 0.9:
            return text.lower().rstrip(".?!")
        return text.upper() if chance < 0.95 else text + " "

    def question(self):
        """Its ids and the answer."""
        if self.draw.random() < 0.45:
            text = self.random.choice(self.spoken if self.draw.random() < 0.7 else self.fixed)
            usable = [i for _, i in self.recordings.get(text, []) if i not in self.held_ids]
            if usable:
                return self.recording(self.random.choice(usable), True), self.answers[text]
        chance = self.draw.random()
        if chance < 0.25:
            text = self.random.choice(self.chinese)
        elif chance < 0.62:
            text = self.random.choice(self.typed)
        else:
            text = self.random.choice(self.fixed if self.draw.random() < 0.9 else domain.OFF_TOPIC)
        tag = self.random.choice(TAGS) if self.draw.random() < 0.06 else ""
        return self.text.encode(tag + self.styled(text)), self.answers[text]

    def turn(self, role, content):
        return [START] + self.text.encode(role + "\n") + content + [END]

    def asked(self, question):
        return self.turn("human", question) + [START] + self.text.encode("assistant\n")

    def conversation(self):
        """Ids, and for each whether it is to be learnt."""
        ids = [BOS]
        if self.draw.random() < 0.15:
            ids += self.turn("system", self.text.encode(self.random.choice(SYSTEM)))
        learnt = [False] * len(ids)
        chance = self.draw.random()
        for _ in range(3 if chance < 0.03 else 2 if chance < 0.25 else 1):
            question, answer = self.question()
            asked, said = self.asked(question), self.text.encode(answer) + [END]
            ids += asked + said
            learnt += [False] * len(asked) + [True] * len(said)
        return ids, learnt

    def score(self, net, count):
        """Right answers in percent: typed, held-out wordings, held-out recordings by voice."""
        net.eval()
        pick = random.Random(1)

        def share(questions):
            right = [self.text.decode(generate(net, [BOS] + self.asked(q), 60)) == a for q, a in questions]
            return round(100 * sum(right) / max(1, len(right)), 1)

        def texts(pool):
            return [(self.text.encode(t), self.answers[t]) for t in pick.sample(pool, min(count, len(pool)))]

        scores = {"typed": share(texts(self.typed)), "held wording": share(texts(sorted(self.held)))}
        for voice in ("hib", "slt", "rms", "awb"):
            found = [
                (self.recording(i, False), self.answers[text])
                for text, entries in sorted(self.recordings.items())
                for own, i in entries
                if own == voice and i in self.held_ids and text not in self.held
            ]
            scores["heard " + voice] = share(pick.sample(found, min(len(found), count)))
        net.train()
        return scores


def train(work, minutes, seed=0):
    torch.manual_seed(seed)
    text = vocabulary(work)
    data = Conversations(work, text, seed)
    net = Step1(text.get_piece_size(), 192, 6, 2, 512, 4)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.02)
    session = Session(work, "chat", minutes, net, optimizer, cfg=net.cfg)
    for fraction in session:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (session.step_count + 1) / 100) * cosine(fraction)
        rows = [data.conversation() for _ in range(24)]
        longest = max(len(ids) for ids, _ in rows)
        ids, learnt = torch.zeros(24, longest, dtype=torch.long), torch.zeros(24, longest, dtype=torch.bool)
        for index, (one, two) in enumerate(rows):
            ids[index, : len(one)], learnt[index, : len(two)] = torch.tensor(one), torch.tensor(two)
        with torch.autocast("cpu", torch.bfloat16):
            states = net(ids[:, :-1])[0]
        session.update(net.loss(states[learnt[:, 1:]], ids[:, 1:][learnt[:, 1:]]).mean())
    session.log(**data.score(net, 100))
