"""The text-to-speech language model: a voice's transcript and tokens, then the text to say, to audio tokens."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from . import vocabulary, warm
from .muon import Both, Muon
from .session import Session, cosine
from .step1 import END, Step1
from .utterances import CODES, Utterances

# From heads that see the last few tokens to heads that see everything alike; the published optional `alibi_slopes`.
SLOPES = [5.0, 2.0, 0.8, 0.3, 0.05, 0.005]
WATCHED = slice(4, 6)  # the heads that are led to the word being said,
GUIDED = (2, 3)  # in these layers
SHARPNESS = 2.0  # the bundle's scores are stretched so much: the command draws at 0.7, the model speaks best at 0.35
MIDDLE = 3  # after this layer the phones are asked for


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
    larger = {"hidden": hidden or old[1], "layers": layers or old[0]}
    net = SpeechModel(size, data.first, len(data.known.ids) + 1, slots, **larger)
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
        prefix = data.prefix(0.3 if fraction < 0.9 else 1)
        codes, led, phones, figures = losses(net, prefix, *data.tensors(waiting.pop()))
        session.update(codes + 0.5 * led + 0.3 * phones, **figures)
        if session.step_count % 100 == 0:
            average.load_state_dict(session.average, strict=False)
            session.log(**examine(average, data), utterances=sum(map(len, data.pools.values())))
