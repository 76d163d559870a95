"""The flow-matching decoder: tokens to mel, guided by a prompt's mel and a speaker embedding.

The encoder is trained first, against the mel itself, from embeddings that start as the mean sound around each token;
then everything together. Source: Lipman et al., "Flow Matching for Generative Modeling" (2023); Du et al., "CosyVoice"
(2024), whose names the weights bear; Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import speaker
from .encoders import LINGUISTIC_CODES, SEMANTIC_CODES
from .features import Corpus
from .paths import RATE
from .session import Session, cosine
from .tokens import interleaved
from .vocoder import HOP, mel_spectrogram

VOCABULARY = LINGUISTIC_CODES + SEMANTIC_CODES
WIDTH, HEADS, HIDDEN, BLOCKS, CHANNELS = 192, 4, 768, 4, 192
TOKEN_RATE = 125 / 3
GROUPS = 18  # of five tokens in a training piece: 2.16 s


def frame_count(tokens):
    return int(tokens / TOKEN_RATE * RATE / HOP)


def relative_positions(count):
    """Sinusoids of the distances count - 1 down to 1 - count."""
    distances = torch.arange(count - 1, -count, -1).float()
    waves = torch.exp(torch.arange(0, WIDTH, 2).float() * -(math.log(10000) / WIDTH))
    angles = distances[:, None] * waves
    return torch.stack([angles.sin(), angles.cos()], 2).reshape(2 * count - 1, WIDTH)


class RelativeAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear_q, self.linear_k, self.linear_v, self.linear_out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.linear_pos = nn.Linear(WIDTH, WIDTH, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(HEADS, WIDTH // HEADS))
        self.pos_bias_v = nn.Parameter(torch.zeros(HEADS, WIDTH // HEADS))

    def forward(self, x, positions):
        batch, count, _ = x.shape

        def heads(z):
            return z.reshape(z.shape[0], -1, HEADS, WIDTH // HEADS).transpose(1, 2)

        query, key, value = heads(self.linear_q(x)), heads(self.linear_k(x)), heads(self.linear_v(x))
        position = heads(self.linear_pos(positions)[None])
        content = (query + self.pos_bias_u[None, :, None]) @ key.transpose(-1, -2)
        distance = (query + self.pos_bias_v[None, :, None]) @ position.transpose(-1, -2)
        distance = F.pad(distance, (1, 0)).reshape(batch, HEADS, 2 * count, count)[:, :, 1:]
        distance = distance.reshape(batch, HEADS, count, 2 * count - 1)[..., :count]
        weights = ((content + distance) / math.sqrt(WIDTH // HEADS)).softmax(-1)
        return self.linear_out((weights @ value).transpose(1, 2).reshape(batch, count, WIDTH))


class EncoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = RelativeAttention()
        self.feed_forward = nn.ModuleDict({"w_1": nn.Linear(WIDTH, HIDDEN), "w_2": nn.Linear(HIDDEN, WIDTH)})
        self.norm_ff, self.norm_mha = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x, positions):
        x = x + self.self_attn(self.norm_mha(x), positions)
        return x + self.feed_forward["w_2"](F.silu(self.feed_forward["w_1"](self.norm_ff(x))))


class InputLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH))

    def forward(self, x):
        return self.out(x) * math.sqrt(WIDTH)


class TokenEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = InputLayer()
        self.encoders = nn.ModuleList([EncoderLayer() for _ in range(BLOCKS)])
        self.after_norm = nn.LayerNorm(WIDTH)

    def forward(self, x):
        positions = relative_positions(x.shape[1])
        x = self.embed(x)
        for layer in self.encoders:
            x = layer(x, positions)
        return self.after_norm(x)


class Regulator(nn.Module):
    """Stretches [B, tokens, 80] to [B, 80, frames]."""

    def __init__(self):
        super().__init__()
        layers = []
        for _ in range(4):
            layer = nn.Conv1d(80, 80, 3, padding=1)
            with torch.no_grad():  # nearly the identity
                layer.weight.mul_(0.3)
                layer.weight[:, :, 1] += torch.eye(80)
            layers += [layer, nn.GroupNorm(1, 80), nn.Mish()]
        self.model = nn.Sequential(*layers, nn.Conv1d(80, 80, 1))

    def forward(self, x, frames):
        return self.model(F.interpolate(x.transpose(1, 2), size=frames, mode="linear"))


def time_embedding(t, width=320):
    waves = torch.exp(-torch.arange(width // 2) * math.log(10000) / (width // 2 - 1))
    angles = 1000 * t[:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], 1)


def convolution_block(inputs, outputs):
    layers = nn.Sequential(nn.Conv1d(inputs, outputs, 3, padding=1), nn.GroupNorm(8, outputs), nn.Mish())
    return nn.ModuleDict({"block": layers})


class TimedBlock(nn.Module):
    def __init__(self, inputs, outputs, timed):
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(timed, outputs))
        self.block1, self.block2 = convolution_block(inputs, outputs), convolution_block(outputs, outputs)
        self.res_conv = nn.Conv1d(inputs, outputs, 1)
        nn.init.constant_(self.block2["block"][1].weight, 0.2)

    def forward(self, x, t):
        return self.block2["block"](self.block1["block"](x) + self.mlp(t)[:, :, None]) + self.res_conv(x)


class Attention(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.h = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, 64 * heads, bias=False) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(64 * heads, channels)])

    def forward(self, x):
        batch, count, _ = x.shape
        parts = (f(x).reshape(batch, count, self.h, 64).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v))
        mixed = F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(batch, count, -1)
        return self.to_out[0](mixed)


class Gelu(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)

    def forward(self, x):
        return F.gelu(self.proj(x))


class TransformerBlock(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.norm1, self.norm3 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        layers = nn.Sequential(Gelu(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels))
        self.ff = nn.ModuleDict({"net": layers})
        with torch.no_grad():
            self.attn1.to_out[0].weight.mul_(0.3)
            self.ff["net"][2].weight.mul_(0.3)

    def forward(self, x):
        x = x + self.attn1(self.norm1(x))
        return x + self.ff["net"](self.norm3(x))


class Resample(nn.Module):
    def __init__(self, channels, up):
        super().__init__()
        kind = nn.ConvTranspose1d(channels, channels, 4, 2, 1) if up else nn.Conv1d(channels, channels, 3, 2, 1)
        self.conv = kind

    def forward(self, x):
        return self.conv(x)


class Estimator(nn.Module):
    """The velocity field: state, mean and condition [B, 80, T], speaker [B, 80], time [B] to [B, 80, T]."""

    def __init__(self, channels=CHANNELS, middle=2, heads=3):
        super().__init__()
        timed = 4 * channels
        layers = {"linear_1": nn.Linear(320, timed), "linear_2": nn.Linear(timed, timed)}
        self.time_mlp = nn.ModuleDict(layers)

        def stage(inputs, last=None):
            parts = [TimedBlock(inputs, channels, timed), nn.ModuleList([TransformerBlock(channels, heads)])]
            return nn.ModuleList(parts + ([last] if last is not None else []))

        def convolution():
            return nn.Conv1d(channels, channels, 3, padding=1)

        self.down_blocks = nn.ModuleList([stage(320, Resample(channels, False)), stage(channels, convolution())])
        self.mid_blocks = nn.ModuleList([stage(channels) for _ in range(middle)])
        self.up_blocks = nn.ModuleList(
            [stage(2 * channels, Resample(channels, True)), stage(2 * channels, convolution())]
        )
        self.final_block = convolution_block(channels, channels)
        self.final_proj = nn.Conv1d(channels, 80, 1)
        self.start_near_identity(channels)

    def start_near_identity(self, channels):
        """The first estimate follows the state and the mean, which saves minutes of training."""
        with torch.no_grad():
            first = self.down_blocks[0][0].res_conv
            first.weight.mul_(0.2)
            first.bias.zero_()
            first.weight[:80, :80, 0] += torch.eye(80)
            first.weight[80:160, 80:160, 0] += torch.eye(80) / 3
            for layer in (self.down_blocks[1][2], self.up_blocks[1][2]):
                layer.weight.mul_(0.3)
                layer.weight[:, :, 1] += torch.eye(channels)
            last = self.up_blocks[1][0].res_conv
            last.weight.mul_(0.3)
            last.weight[:, channels:, 0] += torch.eye(channels)
            self.final_proj.weight.mul_(0.5)

    def forward(self, x, mean, t, speaker_vector, condition):
        timed = self.time_mlp["linear_2"](F.silu(self.time_mlp["linear_1"](time_embedding(t))))

        def run(stage, x):
            x = stage[0](x, timed)
            for block in stage[1]:
                x = block(x.transpose(1, 2)).transpose(1, 2)
            return x

        spread = speaker_vector[:, :, None].expand(-1, -1, x.shape[2])
        x = torch.cat([x, mean, spread, condition], 1)
        skipped = []
        for stage in self.down_blocks:
            x = run(stage, x)
            skipped.append(x)
            x = stage[2](x)
        for stage in self.mid_blocks:
            x = run(stage, x)
        for stage in self.up_blocks:
            kept = skipped.pop()
            x = stage[2](run(stage, torch.cat([x[:, :, : kept.shape[2]], kept], 1)))
        return self.final_proj(self.final_block["block"](x))


class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.spk_embed_affine_layer = nn.Linear(192, 80)
        self.encoder = TokenEncoder()
        self.encoder_proj = nn.Linear(WIDTH, 80)
        self.length_regulator = Regulator()
        self.decoder = nn.ModuleDict({"estimator": Estimator()})

    def mean(self, tokens, frames):
        """Tokens [B, N] to the mean mel [B, 80, frames]."""
        return self.length_regulator(self.encoder_proj(self.encoder(self.input_embedding(tokens))), frames)


class Pieces:
    """Random pieces of one length: half of them in the main voice, the rest in all others alike."""

    def __init__(self, work, draw):
        self.corpus, self.draw, self.cache = Corpus(work), draw, {}
        self.tokens = work.tokens()
        entries = [e for e in self.corpus.split()[0] if e["sec"] > 1.2 and e["id"] in self.tokens]
        self.entries = [entry for entry in entries if entry["al"]]
        self.voices = [self.entries]
        for voice in sorted({entry["voice"] for entry in entries if not entry["al"]}):
            self.voices.append([entry for entry in entries if entry["voice"] == voice])
        self.frames = frame_count(GROUPS * 5)

    def utterance(self, entry):
        """Tokens and the mel."""
        if entry["id"] not in self.cache:
            mel = mel_spectrogram(torch.tensor(self.corpus.samples(entry))[None])[0]
            self.cache[entry["id"]] = torch.tensor(interleaved(*self.tokens[entry["id"]])), mel.half()
        return self.cache[entry["id"]]

    def piece(self):
        """Tokens, mel, and the voice's index."""
        while True:
            main = len(self.voices) == 1 or self.draw.random() < 0.5
            voice = 0 if main else int(self.draw.integers(1, len(self.voices)))
            entries = self.voices[voice]
            tokens, mel = self.utterance(entries[int(self.draw.integers(len(entries)))])
            groups = len(tokens) // 5
            if groups < GROUPS:
                # A short utterance is said again until the piece is full.
                frames = int(round(groups * 0.12 * RATE / HOP))
                again = GROUPS // max(groups, 1) + 2
                tokens = tokens.repeat(again)
                mel = mel[:, :frames]
                mel = F.pad(mel.float(), (0, max(0, frames - mel.shape[1])), mode="replicate").repeat(1, again)
                groups = len(tokens) // 5
            start = int(self.draw.integers(0, groups - GROUPS + 1))
            first = int(round(start * 0.12 * RATE / HOP))
            part = mel[:, first : first + self.frames].float()
            if part.shape[1] == self.frames:
                return tokens[start * 5 : (start + GROUPS) * 5], part, voice

    def batch(self, size):
        tokens, mels, voices = zip(*[self.piece() for _ in range(size)])
        return torch.stack(tokens), torch.stack(mels), voices

    def embeddings(self, work, count=60):
        """Speaker embeddings of some utterances of each voice: any of them may stand for it."""
        net = speaker.load(work)

        def embed(entry):
            return speaker.embed(net, self.corpus.samples16(entry))

        return [F.normalize(torch.stack([embed(entry) for entry in found[:count]])) for found in self.voices]

    def mean_sounds(self, count=2500):
        """A start for the token embeddings: the principal parts of the mean cepstra around each token."""
        bands = torch.arange(80) + 0.5
        basis = torch.stack([torch.cos(math.pi * bands * k / 80) for k in range(20)]) / 20
        sums, sizes = torch.zeros(VOCABULARY, 13 * 20), torch.zeros(VOCABULARY)
        for entry in self.entries[:count]:
            tokens, mel = self.utterance(entry)
            around = F.pad(basis @ (mel.float() + 6.5), (6, 6), mode="replicate").unfold(1, 13, 1)
            around = around.permute(1, 0, 2).reshape(mel.shape[1], -1)
            index = torch.arange(len(tokens))
            slot, group = index % 5, index // 5
            times = torch.where(slot < 2, (group * 2 + slot) * 0.06, (group * 3 + slot - 2) * 0.04) + 0.02
            frames = (times * RATE / HOP).long().clamp(max=len(around) - 1)
            sums.index_add_(0, tokens, around[frames])
            sizes.index_add_(0, tokens, torch.ones(len(tokens)))
        live = sizes > 0
        sums /= sizes.clamp(min=1)[:, None]
        centered = sums - sums[live].mean(0)
        _, _, axes = torch.linalg.svd(centered[live], full_matrices=False)
        projected = centered @ axes[:WIDTH].T
        return projected / projected[live].std()

    def mean_frame(self):
        return torch.stack([self.utterance(entry)[1].float().mean(1) for entry in self.entries[:300]]).mean(0)


def train(work, minutes, seed=1):
    """The first quarter (15 minutes at most) for the encoder, the rest for everything."""
    alone = min(15, minutes / 4)
    draw = np.random.default_rng(seed)
    torch.manual_seed(seed)
    pieces, net = Pieces(work, draw), Flow()
    with torch.no_grad():
        net.input_embedding.weight.copy_(pieces.mean_sounds())
        net.length_regulator.model[12].bias.copy_(pieces.mean_frame())
        net.decoder["estimator"].final_proj.bias.copy_(pieces.mean_frame())
        embeddings = pieces.embeddings(work)
    decoder = list(net.decoder.parameters())
    names = {id(parameter) for parameter in decoder}
    encoder = [parameter for parameter in net.parameters() if id(parameter) not in names]
    groups = [{"params": encoder, "lr": 2e-3}, {"params": decoder, "lr": 1e-3}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)
    session = Session(work, "flow", minutes, net, optimizer, decay=0.999)
    for _ in session:
        first = session.now < alone
        fraction = session.now / alone if first else (session.now - alone) / (minutes - alone)
        rate = 1e-3 * cosine(min(fraction, 1))
        warm = min(1, (session.step_count + 1) / 100)
        optimizer.param_groups[0]["lr"] = (2e-3 * (1 - 0.5 * fraction) if first else rate) * warm
        optimizer.param_groups[1]["lr"] = rate * min(1, max(0, session.now - alone) * 2 + 0.02)
        tokens, mel, voices = pieces.batch(10 if first else 5)
        with torch.autocast("cpu", torch.bfloat16):
            mean = net.mean(tokens, pieces.frames)
        mean = mean.float()
        distance = (mean - mel).abs().mean()
        if first:
            session.update(distance, mean=distance)
            continue
        known = torch.stack([embeddings[v][int(draw.integers(len(embeddings[v])))] for v in voices])
        velocity = matching(net, draw, mean, mel, known)
        session.update(distance + velocity, mean=distance, velocity=velocity)


def matching(net, draw, mean, mel, embeddings):
    """The flow-matching loss; a fifth of the rows sees no condition, for guidance."""
    size, _, frames = mel.shape
    condition = torch.zeros_like(mel)
    for index in range(size):
        if draw.random() < 0.5:
            count = int(draw.integers(0, frames * 0.5))
            condition[index, :, :count] = mel[index, :, :count]
    keep = torch.tensor(draw.random(size) > 0.2).float()
    voice = net.spk_embed_affine_layer(embeddings)
    t = 1 - torch.cos(torch.tensor(draw.random(size)).float() * math.pi / 2)
    noise = torch.randn_like(mel)
    state = (1 - (1 - 1e-6) * t[:, None, None]) * noise + t[:, None, None] * mel
    kept = keep[:, None, None]
    with torch.autocast("cpu", torch.bfloat16):
        velocity = net.decoder["estimator"](state, mean * kept, t, voice * keep[:, None], condition * kept)
    return ((velocity.float() - (mel - (1 - 1e-6) * noise)) ** 2).mean()
