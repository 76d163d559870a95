"""What the speech model learns from: many short sentences of the stated vocabulary in the main voice, as codes with the
word and the phone under each.

Sentences of the grammar, rows of words in any order (so that every word has many neighbours), the questions and answers
of the everyday domain. None of the sentences of Tools/evaluation is used.
"""

import json
import pathlib
import random

import numpy as np
from scipy.signal import resample_poly

from . import domain, vocabulary
from .paths import RATE
from .sentences import Grammar
from .teachers import Hibari
from .tokens import BundledTokenizer, interleaved

EVALUATION = pathlib.Path(__file__).parents[1] / "evaluation"
SMALL = """the the the the a a of of to to and and in in is is it was for on with he she they we you I at by from this that
his her my your our not are were be have has had will can do but or if what who where when there one two some all very
""".split()
SHARD = 250  # utterances a file
CENTERS = np.array([0.03, 0.09, 0.02, 0.06, 0.1])  # seconds of a group's five codes, of 0.12
FRONT, BACK = 2, 3  # silent groups that are cut at the ends


def held():
    """Sentences that are never trained on, in lower case."""
    lines = [line for path in EVALUATION.glob("*sentences.txt") for line in path.read_text("utf-8").splitlines()]
    return {line.strip().lower() for line in lines}


def endings(draw):
    return draw.choices([".", "?", "!", ""], [80, 10, 4, 6])[0]


class Texts:
    """Draws sentences without end."""

    def __init__(self, known, seed):
        self.draw, self.known = random.Random(seed), known
        rare = [word for word in known.others if word.islower() and len(word) > 3]
        self.grammar = Grammar(rare, seed)
        self.unlisted = sorted(vocabulary.scowl(35) - set(known.common) - set(known.others))
        self.held = held()

    def row(self):
        """One to seven words in any order."""
        draw, words = self.draw, []
        for _ in range(draw.choices(range(1, 8), [4, 8, 16, 22, 22, 16, 12])[0]):
            chance = draw.random()
            kind = SMALL if chance < 0.27 else self.known.common if chance < 0.62 else self.known.others
            words.append(draw.choice(kind if chance < 0.97 else self.unlisted))
            if draw.random() < 0.04:
                words[-1] += ","
        text = " ".join(words).rstrip(",")
        return text[0].upper() + text[1:] + endings(draw)

    def __iter__(self):
        seen = set()
        while True:
            text = self.row() if self.draw.random() < 0.55 else self.grammar.sentence()
            if len(text) <= 64 and text.isascii() and text.lower() not in self.held and text not in seen:
                seen.add(text)
                yield text


def domain_texts():
    """Every answer, and every question that the teacher may read."""
    intents = domain.english()
    answers = sorted({answer for _, answer in intents if answer.isascii()})
    questions = sorted({text for wordings, _ in intents for text in wordings if domain.is_spoken(text)})
    return answers, questions


class Reader:
    """Reads a text and tells its codes and what lies under each."""

    def __init__(self, work, bundle):
        self.teacher, self.tokenizer = Hibari(), BundledTokenizer(bundle)
        if not (work / "vocabulary.json").exists():
            vocabulary.build(work, self.teacher.phones)
        self.known = vocabulary.Vocabulary(work)

    def __call__(self, text, seed):
        """Rows [T, 5] of a text, its sentences read one by one so that the pauses between them are short."""
        rows, words = [], 0
        for sentence in self.teacher.voice.split_sentences(text):
            found = self.sentence(sentence.strip(), seed)
            if found is None:
                return None
            found[:, 1] += words
            words += len(sentence.split())
            rows.append(found)
        return np.concatenate(rows)

    def sentence(self, text, seed):
        """Code, and word, phone, place in the word and next phone under it; None when words and phones differ."""
        samples, phones, durations, _ = self.teacher.read(text, seed)
        codes = interleaved(*self.tokenizer(resample_poly(samples, 320, 441).astype(np.float32)))
        word, place, units, bounds, before = 0, 0, [], [], None
        ends = np.cumsum(durations) * 0.0125
        ends *= len(samples) / RATE / ends[-1]
        for position, (phone, end) in enumerate(zip(phones, ends)):
            if phone == " " or phone == before == "":  # two silences in a row stand between sentences
                word, place = word + 1, 0
            before, symbol = phone, phone
            if phone and phone in vocabulary.STRESS:  # a mark lasts a while, and is part of the phone behind it
                symbol = phone + phones[position + 1]
            elif position and phones[position - 1] and phones[position - 1] in vocabulary.STRESS:
                symbol = phones[position - 1] + phone
            units.append((word, self.known.ids.get(symbol, 0), min(place, vocabulary.SLOTS - 1)))
            bounds.append(end)
            if vocabulary.symbols(phone):
                place += 1
        if word + 1 != len(text.split()):
            return None
        groups = len(codes) // 5
        times = (np.arange(groups)[:, None] * 0.12 + CENTERS).reshape(-1)
        under = np.clip(np.searchsorted(bounds, times), 0, len(units) - 1)
        following = [0] * len(units)  # the next phone, silences passed over
        for i in range(len(units) - 2, -1, -1):
            after = units[i + 1][1]
            following[i] = following[i + 1] if after in (0, units[i][1]) else after
        rows = np.array([(*units[i], following[i]) for i in under], np.int16).reshape(-1, 4)
        cut = slice(5 * FRONT, 5 * (groups - BACK))
        return np.concatenate([codes[:, None].astype(np.int16), rows], 1)[cut]


def write(path, texts, rows):
    """One shard: the texts, and the rows of all of them behind each other."""
    temporary = path.with_suffix(".tmp.npz")
    np.savez(
        temporary,
        texts=np.array(json.dumps(texts)),
        rows=np.concatenate(rows),
        counts=np.array([len(r) for r in rows]),
    )
    temporary.rename(path)


def read(path):
    """(text, rows [T, 5]) of a shard: code, word, phone, place in the word, next phone."""
    with np.load(path) as archive:
        texts, rows, counts = json.loads(str(archive["texts"])), archive["rows"], archive["counts"]
    return list(zip(texts, np.split(rows, np.cumsum(counts)[:-1])))


def build(work, count, bundle, known=0, seed=11):
    """Writes spoken/<kind>-<number>.npz; goes on where it was stopped.

    The free sentences up to `known` are passed over but for the first shard, which holds the held-out ones: a model
    that goes on from a bundle has learnt from them.
    """
    folder = work / "spoken"
    folder.mkdir(exist_ok=True)
    reader = Reader(work, bundle)
    answers, questions = domain_texts()
    source = iter(Texts(reader.known, seed))
    free = [next(source) for _ in range(count)]
    listed = [("answers", answers), ("questions", questions[::3]), ("free", free)]
    for kind, texts in listed:
        for start in range(0, len(texts), SHARD):
            path = folder / f"{kind}-{start // SHARD:04d}.npz"
            if path.exists() or (kind == "free" and 0 < start < known):
                continue
            read_texts, rows = [], []
            for index, text in enumerate(texts[start : start + SHARD]):
                found = reader(text, start + index)
                if found is not None and len(found) >= 15:
                    read_texts.append(text)
                    rows.append(found)
            write(path, read_texts, rows)
            print(f"spoken {kind} {start + len(rows)} of {len(texts)}", flush=True)
