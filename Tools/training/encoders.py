"""The two encoders of the audio tokenizer, and what trains them: phones by CTC, phones by frame where the teacher's
alignment is known, and the sound itself.

Source: Gao et al., "SAN-M: Memory Equipped Self-Attention for End-to-End Speech Recognition" (2020), in the chunked form
of FunASR's streaming Paraformer; Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), for
the semantic encoder's shape.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import features
from .features import Corpus
from .session import Session

LINGUISTIC_CODES, SEMANTIC_CODES = 512, 1024


def sinusoids(positions, width, divisor):
    waves = torch.exp(-torch.arange(width // 2) * math.log(10000) / divisor)
    angles = positions[:, None] * waves[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


class MemoryAttention(nn.Module):
    """A SAN-M block over windows of nine rows: five of the past, four new; keys of four windows back stay visible."""

    def __init__(self, inputs, width, heads, hidden):
        super().__init__()
        self.h, self.i, self.d = heads, inputs, width
        self.norm1 = nn.LayerNorm(inputs, eps=1e-12)
        self.qkv = nn.Linear(inputs, 3 * width)
        self.out = nn.Linear(width, width)
        self.fsmn = nn.Conv1d(width, width, 11, groups=width, bias=False)
        self.norm2 = nn.LayerNorm(width, eps=1e-12)
        self.w1 = nn.Linear(width, hidden)
        self.w2 = nn.Linear(hidden, width)
        nn.init.normal_(self.fsmn.weight, 0, 0.05)

    def forward(self, x, mask):
        batch, windows, rows, _ = x.shape
        query, key, value = self.qkv(self.norm1(x)).chunk(3, -1)
        flat = value.reshape(batch * windows, rows, self.d).transpose(1, 2)
        memory = (self.fsmn(F.pad(flat, (5, 5))) + flat).transpose(1, 2).reshape(batch, windows, rows, self.d)

        def visible(z):
            past = [F.pad(z[:, :, :4], (0, 0, 0, 0, back, 0))[:, :windows] for back in (4, 3, 2, 1)]
            return torch.cat(past + [z], 2)

        def heads(z):
            return z.reshape(batch * windows, -1, self.h, self.d // self.h).transpose(1, 2)

        keys, values = visible(key), visible(value)
        seen = mask[None].expand(batch, windows, -1).reshape(batch * windows, 1, 1, -1)
        mixed = F.scaled_dot_product_attention(heads(query), heads(keys), heads(values), attn_mask=seen)
        mixed = self.out(mixed.transpose(1, 2).reshape(batch, windows, rows, self.d)) + memory
        x = mixed if self.i != self.d else x + mixed
        return x + self.w2(F.relu(self.w1(self.norm2(x))))


class Linguistic(nn.Module):
    """Stacked filter bank [B, T, 560] to states [B, T, width], 16.7 a second."""

    rate = 100 / 6
    frames = 6

    def __init__(self, phones, width=160, heads=4, hidden=512, blocks=6):
        super().__init__()
        self.d, self.h = width, heads
        self.layers = nn.ModuleList(
            [MemoryAttention(560 if i == 0 else width, width, heads, hidden) for i in range(blocks)]
        )
        self.after = nn.LayerNorm(width, eps=1e-12)
        self.head = nn.Linear(width, 2 * phones)
        self.mel = nn.Linear(width, 480)
        self.register_buffer("shift", torch.zeros(560), persistent=False)
        self.register_buffer("scale", torch.ones(560), persistent=False)

    def normalize(self, x):
        return (x + self.shift) * self.scale

    def forward(self, x, lengths=None):
        count = x.shape[1]
        x = x * math.sqrt(self.d) + sinusoids(torch.arange(1, count + 1).float(), 560, 279)[None]
        windows = (count + 3) // 4
        x = F.pad(x, (0, 0, 5, 4 * windows - count)).unfold(1, 9, 4).permute(0, 1, 3, 2)
        back = torch.arange(windows)[:, None] - (4 - torch.arange(16)[None] // 4)
        mask = torch.cat([back >= 0, torch.ones(windows, 9, dtype=torch.bool)], 1)
        for layer in self.layers:
            x = layer(x, mask)
        return self.after(x[:, :, 5:]).reshape(x.shape[0], 4 * windows, self.d)[:, :count]


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.h = heads
        self.attn_ln, self.mlp_ln = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.v, self.o = (nn.Linear(width, width) for _ in range(3))
        self.k = nn.Linear(width, width, bias=False)
        self.m0, self.m2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask):
        batch, count, width = x.shape
        y = self.attn_ln(x)
        query, key, value = (f(y).reshape(batch, count, self.h, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.o(mixed.transpose(1, 2).reshape(batch, count, width))
        return x + self.m2(F.gelu(self.m0(self.mlp_ln(x))))


class Semantic(nn.Module):
    """Log mel [B, T, 128] to unit vectors [B, T / 4, width], 25 a second."""

    rate = 25
    frames = 4

    def __init__(self, phones, width=192, heads=6, blocks=4):
        super().__init__()
        self.d = width
        self.c1, self.c2 = nn.Conv1d(128, width, 3, 2, 1), nn.Conv1d(width, width, 3, 2, 1)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(blocks)])
        self.head = nn.Linear(width, 2 * phones)
        self.mel = nn.Sequential(nn.Linear(width, 256), nn.GELU(), nn.Linear(256, 512))
        self.register_buffer("pe", sinusoids(torch.arange(1500).float(), width, width // 2 - 1))

    def normalize(self, x):
        return x

    def forward(self, x, lengths):
        y = F.gelu(self.c2(F.gelu(self.c1(x.transpose(1, 2))))).transpose(1, 2)
        y = y + self.pe[None, : y.shape[1]]
        mask = (torch.arange(y.shape[1])[None] < lengths[:, None])[:, None, None, :]
        for block in self.blocks:
            y = block(y, mask)
        return F.normalize(y, dim=-1)


def kmeans(points, count, rounds, seed=0):
    """Lloyd's algorithm; an empty cluster takes a random point."""
    generator = torch.Generator().manual_seed(seed)
    centers = points[torch.randperm(len(points), generator=generator)[:count]].clone()
    for _ in range(rounds):
        nearest = torch.cat([torch.cdist(part, centers).argmin(1) for part in points.split(8192)])
        sums = torch.zeros_like(centers).index_add_(0, nearest, points)
        sizes = torch.bincount(nearest, minlength=count).float()
        fresh = points[torch.randint(len(points), (count,), generator=generator)]
        centers = torch.where((sizes == 0)[:, None], fresh, sums / sizes.clamp(min=1)[:, None])
    return centers


def quantized(states, book):
    return book[torch.cdist(states, book).argmin(-1)]


class Codebook:
    """Codes that follow the states by a moving average while the encoder trains."""

    def __init__(self, points, count, weight):
        self.book = kmeans(points, count, 8)
        sizes = torch.bincount(torch.cdist(points, self.book).argmin(1), minlength=count).float()
        self.counts = sizes / len(points) * weight
        self.sums = self.book * self.counts[:, None]

    def __call__(self, states, live):
        """States replaced by their codes (straight through), and the commitment loss."""
        index = torch.cdist(states.reshape(-1, states.shape[-1]), self.book).argmin(1).reshape(states.shape[:2])
        codes = self.book[index]
        loss = ((states - codes) ** 2).sum(-1).mean() * 0.25
        with torch.no_grad():
            seen, used = states.detach()[live], index[live]
            sums = torch.zeros_like(self.book).index_add_(0, used, seen)
            self.sums.lerp_(sums, 0.02)
            self.counts.lerp_(torch.bincount(used, minlength=len(self.book)).float(), 0.02)
            alive = self.counts > 0.01
            self.book[alive] = (self.sums / self.counts.clamp(min=1e-4)[:, None])[alive]
        return states + (codes - states).detach(), loss


class Trainer:
    """Trains one of the encoders (`linguistic` or `semantic`)."""

    def __init__(self, work, kind, minutes, seed=3):
        self.corpus, self.kind = Corpus(work), kind
        self.is_linguistic = kind == "linguistic"
        self.draw = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.train, self.held = self.corpus.split()
        self.main = [entry for entry in self.train if entry["voice"] == "hib"]
        self.others = [entry for entry in self.train if entry["voice"] != "hib"]
        self.net = (Linguistic if self.is_linguistic else Semantic)(self.corpus.phone_count)
        self.gain = 1 if self.is_linguistic else 4  # unit vectors are small for the heads
        if self.is_linguistic:
            rows = np.concatenate([self.features(entry, True) for entry in self.train[:300]])
            self.net.shift, self.net.scale = torch.tensor(-rows.mean(0)), torch.tensor(1 / rows.std(0))
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
        self.session = Session(work, kind, minutes, self.net, optimizer, clip=2.0)
        self.codes = None

    def features(self, entry, noisy):
        samples = self.corpus.samples16(entry)
        samples = features.normalized(features.augmented(samples, self.draw) if noisy else samples)
        return features.linguistic(samples) if self.is_linguistic else features.semantic(samples)

    def batch(self, count):
        """As many of the main voice as of all others."""
        half = count // 2
        return [group[i] for group in (self.main, self.others) for i in self.draw.integers(len(group), size=half)]

    def states(self, entries, noisy, training):
        rows = [self.features(entry, noisy) for entry in entries]
        counts = torch.tensor([len(row) for row in rows])
        x = torch.zeros(len(rows), int(counts.max()), rows[0].shape[1])
        for index, row in enumerate(rows):
            x[index, : len(row)] = torch.tensor(row)
        live = (torch.arange(x.shape[1])[None] < counts[:, None])[..., None]
        lengths = counts if self.is_linguistic else ((counts + 1) // 2 + 1) // 2
        x = self.net.normalize(x) * live
        with torch.autocast("cpu", torch.bfloat16, enabled=training):
            states = self.net(x, lengths)
        return x, live, states.float(), lengths

    def step(self):
        entries = self.batch(14)
        x, live, states, lengths = self.states(entries, True, True)
        commitment = 0
        if self.codes:
            states, commitment = self.codes(states, torch.arange(states.shape[1])[None] < lengths[:, None])
        with torch.autocast("cpu", torch.bfloat16):
            logits, mel = self.net.head(states * self.gain).float(), self.net.mel(states * self.gain).float()
        size = states.shape[0]
        phones = logits.reshape(size, -1, self.corpus.phone_count).log_softmax(-1)
        targets = [self.corpus.target(entry) for entry in entries]
        ctc = F.ctc_loss(
            phones.transpose(0, 1),
            torch.tensor(sum(targets, [])),
            lengths * 2,
            torch.tensor([len(target) for target in targets]),
            zero_infinity=True,
        )
        total, steps = 0, 0
        for index, entry in enumerate(entries):
            if entry["al"]:
                count = int(lengths[index]) * 2
                labels = torch.tensor(self.corpus.labels(entry, self.net.rate * 2, count))
                total = total + F.nll_loss(phones[index, :count], labels, reduction="sum")
                steps += count
        if self.is_linguistic:
            wanted, heard, share = x[:, :, 80:], mel, 0.15
        else:
            wanted, heard, share = x, mel.reshape(size, -1, 128)[:, : x.shape[1]], 4
        sound = (((heard - wanted) ** 2) * live).sum() / live.sum() / wanted.shape[-1]
        frame = total / max(steps, 1)
        self.session.update(0.5 * ctc + frame + share * sound + commitment, ctc=ctc, frame=frame, sound=sound)

    def collect(self, batches, noisy):
        """States of many utterances, [N, width]."""
        found = []
        with torch.no_grad():
            for _ in range(batches):
                _, _, states, lengths = self.states(self.batch(14), noisy, False)
                found += [states[i, :count] for i, count in enumerate(lengths)]
        return torch.cat(found)

    def error(self, book):
        """Phone error rate of held-out utterances by voice, heard through the codes."""
        wrong, total = {}, {}
        self.net.eval()
        with torch.no_grad():
            for entry in self.held:
                states = self.states([entry], False, False)[2]
                logits = self.net.head(quantized(states[0], book) * self.gain).reshape(-1, self.corpus.phone_count)
                target = self.corpus.target(entry)
                voice = entry["voice"]
                wrong[voice] = wrong.get(voice, 0) + distance(greedy(logits), target)
                total[voice] = total.get(voice, 0) + len(target)
        self.net.train()
        return {voice: round(100 * wrong[voice] / total[voice], 1) for voice in wrong}

    def run(self):
        for fraction in self.session:
            rate = 2e-3 * min(1, (self.session.step_count + 1) / 100) * (1 - 0.97 * fraction)
            for group in self.session.optimizer.param_groups:
                group["lr"] = rate
            if not self.is_linguistic and not self.codes and fraction > 0.5:
                self.codes = Codebook(self.collect(100, True), SEMANTIC_CODES, 14 * 60)
            self.step()
        if self.is_linguistic:
            book = kmeans(torch.cat([self.collect(75, True), self.collect(75, False)]), LINGUISTIC_CODES, 12)
        else:
            book = self.codes.book
        facts = {"book": book, "cmvn": (self.net.shift, self.net.scale) if self.is_linguistic else None}
        self.session.save(**facts)
        self.session.log(phone_error=self.error(book))


def greedy(logits):
    """The best CTC path without blanks and repeats."""
    path, last = [], 0
    for phone in logits.argmax(-1).tolist():
        if phone not in (last, 0):
            path.append(phone)
        last = phone
    return path


def distance(one, other):
    """Levenshtein's."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
