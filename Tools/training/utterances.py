"""What the speech model is trained on: prompts as the command builds them, utterances, damaged history."""

import json
import pathlib
import random
import wave

import numpy as np
import sentencepiece
import torch
from scipy.signal import resample_poly

from . import spoken, vocabulary
from .encoders import LINGUISTIC_CODES, SEMANTIC_CODES
from .step1 import BOS, END, START, encoder
from .tokens import BundledTokenizer, interleaved

PROMPTS = pathlib.Path(__file__).parents[2] / "Sources/SpeechSynthesis/Resources/system_prompts.json"
TAGS = ["(高兴1)", "(英文)", "(慢速1)", "(快速1)", "(悲伤1)", "(高兴2)(英文)", "(快速2)"]
STYLES = """高兴1 高兴2 生气1 生气2 悲伤1 撒娇1 中文 英文 韩语 日语 四川话 粤语 广东话 慢速1 慢速2 快速1 快速2
RAP 哼唱""".split()
CODES = LINGUISTIC_CODES + SEMANTIC_CODES


def system_lines(prompts):
    """Whole lines of the system prompts, as pieces, so that those stay short."""
    lines = set()
    for prompt in prompts.values():
        for part in prompt.replace("{}", "\n").split("\n"):
            for line in part.replace("，", "，|").replace("：", "：|").split("|"):
                if len(line) > 3:
                    lines.add(line.replace(" ", "▁"))
    return lines


class Utterances:
    """Prompts and targets in the main voice."""

    def __init__(self, work, bundle, seed):
        self.work, self.known = work, vocabulary.Vocabulary(work)
        prompts = json.loads(PROMPTS.read_text("utf-8"))
        self.prompts = {key: prompts[key] for key in ("rap", "vocal", "wo_spk", "with_spk")}
        vocabulary.write(work, self.known, system_lines(self.prompts), STYLES)
        self.draw, self.random = np.random.default_rng(seed), random.Random(seed)
        self.text = encoder(work / "speech.model")
        # The first text after an added token carries the dummy prefix.
        self.prefixed = sentencepiece.SentencePieceProcessor(model_file=str(work / "speech.model"))
        self.first = self.text.piece_to_id("<audio_0>")
        self.space = self.text.piece_to_id("▁")
        self.voice = self.recording(pathlib.Path(bundle))
        self.rows, self.pools = {}, {"free": [], "answers": [], "questions": []}
        self.refresh()
        self.alike = self.like_codes()
        self.held = self.pools["free"][: spoken.SHARD // 2]

    def refresh(self):
        """Takes the shards in that are new; the first half of the first is held out."""
        for path in sorted((self.work / "spoken").glob("*-????.npz")):
            if path.name not in self.rows:
                self.rows[path.name] = spoken.read(path)
                for text, rows in self.rows[path.name]:
                    often = 4 if path.name.startswith("answers") and not {"plus", "minus"} & set(text.split()) else 1
                    self.pools[path.name.split("-")[0]] += [self.prepared(text, rows)] * often

    def slots(self):
        """Rows of the phone table for each piece: one a place and phone, one for the number of phones."""
        count, size = len(self.known.ids) + 1, self.text.get_piece_size()
        slots = torch.zeros(size, vocabulary.SLOTS + 1, dtype=torch.long)
        for text, phones in self.known.phones.items():
            if phones:
                rows = [1 + place * count + self.known.ids[phone] for place, phone in enumerate(phones)]
                slots[self.text.piece_to_id(text), : len(rows)] = torch.tensor(rows)
                slots[self.text.piece_to_id(text), -1] = 1 + vocabulary.SLOTS * count + len(rows)
        return slots

    @staticmethod
    def recording(bundle):
        """The default speaker: name, transcript, codes."""
        name, text = next(iter(json.loads((bundle / "speakers/speakers_info.json").read_text("utf-8")).items()))
        with wave.open(str(bundle / f"speakers/{name}_prompt.wav")) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        return name, text, interleaved(*BundledTokenizer(bundle)(resample_poly(samples, 320, 441)))

    def sounds(self):
        """How often each code lies over each phone, [CODES, phones], as shares."""
        counts = np.full((CODES, len(self.known.ids) + 1), 0.02)
        for shard in self.rows.values():
            rows = np.concatenate([rows for _, rows in shard])
            np.add.at(counts, (rows[:, 0], rows[:, 2]), 1)
        return torch.tensor(counts / counts.sum(1, keepdims=True), dtype=torch.float32)

    def like_codes(self):
        """All codes over each phone, by phone and codebook, as often as they were seen."""
        rows = np.concatenate([rows for shard in self.rows.values() for _, rows in shard])
        order = np.lexsort((rows[:, 0] >= LINGUISTIC_CODES, rows[:, 2]))
        rows = rows[order]
        keys = np.stack([rows[:, 2], rows[:, 0] >= LINGUISTIC_CODES], 1)
        starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(1)])
        return {tuple(keys[at]): part for at, part in zip(starts, np.split(rows[:, 0].astype(np.int64), starts[1:]))}

    def fragment(self, text):
        return [BOS] + self.prefixed.encode(text)

    def prepared(self, text, rows):
        """Ids of the text, the word that each belongs to (-1 for none), and the rows of the codes."""
        ids = self.text.encode(text)
        words = np.cumsum([piece == self.space for piece in ids])
        words[np.array(ids) == self.space] = -1
        return ids, words, rows

    def prefix(self, share=1.0):
        """Everything before the text to say, as the command builds it: the known voice, or an utterance to clone.

        In a share of 1 - `share` only its end, which is quicker to attend to.
        """
        end = [END, START] + self.fragment("human\n")
        if self.draw.random() >= share:
            return torch.tensor([end])
        if self.draw.random() < 0.9:
            name, text, codes = self.voice
            text, system = self.text.encode(text), self.prompts["with_spk"].replace("{}", name)
        else:
            text, _, rows = self.random.choice(self.pools["free"])
            codes, system = rows[:, 0], self.prompts["wo_spk"]
        ids = [BOS, START] + self.fragment("system\n" + system) + [END, START] + self.fragment("human\n")
        ids += text + [END, START] + self.fragment("assistant\n") + (codes + self.first).tolist()
        return torch.tensor([ids + end])

    def damaged(self, rows, share):
        """History with wrong codes in it, against drift: half of them any, half such as lie over the same phone."""
        codes = rows[:, 0].astype(np.int64)
        kinds = (np.arange(len(codes)) % 5 >= 2).astype(np.int64)
        for index in np.flatnonzero(self.draw.random(len(codes)) < share):
            alike = self.alike.get((rows[index, 2], kinds[index]), ())
            if len(alike) and self.draw.random() < 0.5:
                codes[index] = alike[self.draw.integers(len(alike))]
            else:
                codes[index] = self.draw.integers(*((0, LINGUISTIC_CODES), (LINGUISTIC_CODES, CODES))[kinds[index]])
        return codes

    def batches(self, size, longest):
        """Utterances of like length, about `size` ids together; none has more codes than `longest`."""
        pool = []
        for kind, count in (("free", 900), ("answers", 220), ("questions", 30)):
            known = self.pools[kind][len(self.held) if kind == "free" else 0 :]
            fitting = [u for u in known if len(u[2]) <= longest]
            pool += self.random.choices(fitting, k=min(count, 2 * len(fitting))) if fitting else []
        pool.sort(key=lambda u: len(u[2]) + len(u[0]) + self.random.random() * 8)
        found, batch = [], []
        for one in pool:
            batch.append(one)
            if len(batch) * (len(one[2]) + len(one[0]) + 7) > size:
                found.append(batch)
                batch = []
        self.random.shuffle(found)
        return found

    def tensors(self, batch, damage=0.1):
        """Ids [B, T]; targets, words, phones, next phones and places at T - 1, all -1 where nothing is learnt; the
        word of each text id."""
        turn = [END, START] + self.fragment("assistant\n")
        lengths = [len(ids) + len(turn) + len(rows) + 1 for ids, _, rows in batch]
        ids = torch.zeros(len(batch), max(lengths), dtype=torch.long)
        learnt = torch.full((5, len(batch), max(lengths) - 1), -1)
        owners = torch.full((len(batch), max(lengths) - 1), -2)
        for index, (text, words, rows) in enumerate(batch):
            tag = self.text.encode(self.random.choice(TAGS)) if damage and self.draw.random() < 0.05 else []
            if max(lengths) - lengths[index] < len(tag):
                tag = []
            codes = rows[:, 0].astype(np.int64)
            seen = self.damaged(rows, damage if self.draw.random() < 0.7 else 0.0)
            start = tag + text + turn
            row = start + (seen + self.first).tolist() + [END]
            ids[index, : len(row)] = torch.tensor(row)
            where = slice(len(start) - 1, len(row) - 2)
            learnt[0, index, where] = torch.tensor(codes + 1)
            learnt[0, index, len(row) - 2] = 0
            learnt[1:, index, where] = torch.tensor(rows[:, [1, 2, 4, 3]].T.astype(np.int64))
            owners[index, len(tag) : len(tag) + len(text)] = torch.tensor(words)
        return ids, learnt, owners
