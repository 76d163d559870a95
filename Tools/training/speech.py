"""The text-to-speech language model: a voice's transcript and tokens, then the text to say, to audio tokens."""

import copy
import json
import pathlib
import random
import wave

import numpy as np
import sentencepiece
import torch
import torch.nn.functional as F
from scipy.signal import resample_poly
from torch import nn

from . import spoken, vocabulary, warm
from .encoders import LINGUISTIC_CODES, SEMANTIC_CODES
from .muon import Both, Muon
from .session import Session, cosine
from .step1 import BOS, END, START, Step1, encoder
from .tokens import BundledTokenizer, interleaved

PROMPTS = pathlib.Path(__file__).parents[2] / "Sources/SpeechSynthesis/Resources/system_prompts.json"
TAGS = ["(高兴1)", "(英文)", "(慢速1)", "(快速1)", "(悲伤1)", "(高兴2)(英文)", "(快速2)"]
STYLES = """高兴1 高兴2 生气1 生气2 悲伤1 撒娇1 中文 英文 韩语 日语 四川话 粤语 广东话 慢速1 慢速2 快速1 快速2
RAP 哼唱""".split()
# From heads that see the last few tokens to heads that see everything alike; the published optional `alibi_slopes`.
SLOPES = [5.0, 2.0, 0.8, 0.3, 0.05, 0.005]
WATCHED = slice(4, 6)  # the heads that are led to the word being said,
GUIDED = (2, 3)  # in these layers
SHARPNESS = 2.0  # the bundle's scores are stretched so much: the command draws at 0.7, the model speaks best at 0.35
MIDDLE = 3  # after this layer the phones are asked for
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


class SpeechModel(Step1):
    """Step-1 with one table for input and output, whose rows of words are sums over their phones.

    Two things are thrown away after training: the table of phones (it is added to the rows) and the heads that tell the
    phone being said, the next one and the place in the word.
    """

    def __init__(self, size, first, phones, slots, width=192, heads=6, hidden=448, layers=5):
        super().__init__(size, width, heads, heads, hidden, layers, SLOPES)
        self.lm_head, self.first = None, first
        self.register_buffer("slots", slots, persistent=False)  # [V, SLOTS + 1], rows of `parts`; 0 for none
        self.parts = nn.Embedding(int(slots.max()) + 1, width, padding_idx=0)
        self.phones = nn.Linear(width, 2 * phones + vocabulary.SLOTS)
        self.split = [phones, phones, vocabulary.SLOTS]
        nn.init.normal_(self.parts.weight, 0, 0.02)
        with torch.no_grad():
            self.parts.weight[0] = 0
            self.model["embed_tokens"].weight[slots[:, 0] > 0] = 0
        self.model["embed_tokens"].weight.register_hook(lambda g: g.masked_fill((self.slots[:, :1] > 0), 0))

    def embed(self, ids):
        x = self.model["embed_tokens"](ids)
        spelled = self.slots[ids, 0] > 0
        return x.masked_scatter(spelled[..., None], self.parts(self.slots[ids[spelled]]).sum(-2))

    def follow(self, ids, past=None, watching=False):
        """States after the norm, the cache, states in the middle, and the attention of the led heads."""
        x, cache, seen, middle = self.embed(ids), [], [], None
        bias = self.bias(ids.shape[1], past[0][0].shape[2] if past else 0)
        for index, layer in enumerate(self.model["layers"]):
            watched = WATCHED if watching and index in GUIDED else None
            x, kept, attention = layer(x, bias, past[index] if past else None, watched)
            cache.append(kept)
            if watched:
                seen.append(attention[..., -ids.shape[1] :])
            if index == MIDDLE:
                middle = x
        return self.model["norm"](x), cache, middle, seen

    def logits(self, states):
        """Scores of the end token and of the audio tokens, [N, 1 + CODES]."""
        table = self.model["embed_tokens"].weight
        return F.linear(states, torch.cat([table[END : END + 1], table[self.first : self.first + CODES]]))


def folded(trained):
    """The tensors of the bundle from a checkpoint."""
    weights = dict(trained["ema"])
    extra = weights.pop("parts.weight")[trained["slots"]].sum(1)
    extra[trained["slots"][:, 0] == 0] = 0
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"] + extra
    weights["model.norm.weight"] = weights["model.norm.weight"] * SHARPNESS
    return {key: value for key, value in weights.items() if key.startswith("model.")}


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
        for kind, count in (("free", 1100), ("answers", 90), ("questions", 30)):
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


def losses(net, prefix, ids, learnt, owners):
    """Cross entropy of the codes, of the led heads, and of the phones; and figures to watch."""
    with torch.no_grad():  # the same for all utterances; nothing is learnt through it
        past = net.follow(prefix)[1]
    states, _, middle, seen = net.follow(ids[:, :-1], past, True)
    live = learnt[0] >= 0
    scores = net.logits(states[live])
    codes = F.cross_entropy(scores, learnt[0][live])
    spoken_now = learnt[1] >= 0
    mine = (owners[:, None, :] == learnt[1][:, :, None]) & spoken_now[:, :, None]  # [B, queries, keys]
    mass = torch.stack([(weights * mine[:, None]).sum(-1) for weights in seen])  # [layers, B, heads, queries]
    mass = mass.permute(1, 3, 0, 2)[spoken_now]
    led = -(mass + 1e-5).log().mean()
    parts = net.phones(middle[spoken_now]).split(net.split, -1)
    phones = [F.cross_entropy(part, wanted[spoken_now]) for part, wanted in zip(parts, learnt[2:])]
    figures = {"codes": codes, "led": mass.mean(), "now": phones[0], "next": phones[1], "place": phones[2]}
    return codes, led, sum(phones), figures


@torch.no_grad()
def examine(net, data):
    """Figures of held-out utterances without damage."""
    ids, learnt, owners = data.tensors(data.held[:24], 0)
    prefix = data.prefix()
    _, _, _, figures = losses(net, prefix, ids, learnt, owners)
    states = net.follow(ids[:, :-1], net.follow(prefix)[1])[0]
    right = (net.logits(states).argmax(-1) == learnt[0])[learnt[0] > 0]
    return {f"held_{k}": round(float(v), 3) for k, v in {**figures, "right": right.float().mean()}.items()}


def model(data, bundle, layers, hidden):
    """A new model, or, when `layers` or `hidden` is given, that of the bundle made as large."""
    size, slots = data.text.get_piece_size(), data.slots()
    if not (layers or hidden):
        net = SpeechModel(size, data.first, len(data.known.ids) + 1, slots)
        with torch.no_grad():  # codes of the same phone start alike
            means = torch.randn(len(data.known.ids) + 1, net.cfg["d"]) * 0.05
            net.model["embed_tokens"].weight[data.first : data.first + CODES] += data.sounds() @ means
        return net
    old = warm.sizes(bundle)
    if (layers or old[0]) < old[0] or (hidden or old[1]) < old[1]:
        raise SystemExit(f"--layers {layers} --hidden {hidden}: the bundle has {old[0]} and {old[1]}; give no less")
    net = SpeechModel(size, data.first, len(data.known.ids) + 1, slots, hidden=hidden or old[1], layers=layers or old[0])
    warm.start(net, bundle, data.text, SHARPNESS)
    return net


def train(work, minutes, bundle, layers=None, hidden=None, rate=0.012, size=1200, seed=0):
    """Trains from the start, or goes on from the bundle's model (see `model`)."""
    torch.manual_seed(seed)
    data = Utterances(work, bundle, seed)
    net, warmed = model(data, bundle, layers, hidden), bool(layers or hidden)
    matrices = [p for name, p in net.named_parameters() if p.dim() == 2 and ".layers." in name]
    names = {id(p) for p in matrices}
    others = [p for p in net.parameters() if id(p) not in names]
    rates = [rate, 0.2 * rate]
    optimizer = Both(
        Muon(matrices, lr=rates[0]),
        torch.optim.AdamW(others, lr=rates[1], betas=(0.9, 0.98), weight_decay=0.01),
    )
    facts = {"cfg": net.cfg, "slots": net.slots}
    session = Session(work, "speech", minutes, net, optimizer, decay=0.998, every=25, **facts)
    average, waiting = copy.deepcopy(net), []
    session.log(**examine(net, data))
    for fraction in session:
        if not waiting:
            data.refresh()
            waiting = data.batches(size, 2000 if warmed else 60 + 2000 * fraction)
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * min(1, (session.step_count + 1) / 100) * cosine(fraction)
        codes, led, phones, figures = losses(net, data.prefix(0.3 if fraction < 0.9 else 1), *data.tensors(waiting.pop()))
        session.update(codes + 0.5 * led + 0.3 * phones, **figures)
        if session.step_count % 100 == 0:
            average.load_state_dict(session.average, strict=False)
            session.log(**examine(average, data), utterances=sum(map(len, data.pools.values())))
