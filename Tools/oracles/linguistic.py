"""The linguistic tokenizer: streaming filter bank, stacked frames, SAN-M encoder in chunks, nearest centroid.

Legend: N samples (16 kHz), T rows (60 ms), D width, H heads, K kernel of the memory block.
Sources: stepfun-ai/Step-Audio funasr_detach (wav_frontend.py, scama/encoder.py, sanm/attention.py,
paraformer_streaming/model.py) and FunASR 1.0.14; Gao et al., "San-m" (2020) and "Paraformer" (2022).
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

from .audio import kaldi_filter_bank
from .draws import Draws

PIECE = 3840
CHUNK, OVERLAP, LOOK_BACK = 4, 5, 16
STACK, STRIDE = 7, 6


def stack(rows, final):
    """Stacks R [n, 80] into rows of seven frames, six apart; gives ([T, 560], the frames to keep)."""
    total, result = len(rows), []
    planned = math.ceil((total - 3) / STRIDE)
    for index in range(planned):
        part = rows[STRIDE * index: STRIDE * index + STACK]
        if len(part) < STACK:
            if not final:
                planned = index
                break
            part = torch.cat([part, part[-1:].repeat(STACK - len(part), 1)])
        result.append(part.reshape(-1))
    keep = rows[min(total - 1, STRIDE * planned):]
    return (torch.stack(result) if result else torch.zeros(0, STACK * 80)), keep


class FrontEnd:
    """Filter bank and stacking, fed in pieces."""

    def __init__(self, shift, scale):
        self.shift, self.scale = shift, scale
        self.samples = np.zeros(0, np.float32)
        self.frames = torch.zeros(0, 80)

    def feed(self, piece, final):
        """One piece of samples to normalised rows [T, 560]."""
        signal = np.concatenate([self.samples, piece])
        count = (len(signal) - 400) // 160 + 1 if len(signal) >= 400 else 0
        self.samples = signal[160 * count:]
        nothing = torch.zeros(0, STACK * 80)
        if count == 0:
            return nothing
        rows = kaldi_filter_bank(signal * np.float32(32768), "hamming")
        if len(self.frames) == 0:
            self.frames = rows[:1].repeat((STACK - 1) // 2, 1)
        rows = torch.cat([self.frames, rows])
        if len(rows) < STACK:
            self.frames = rows
            return nothing
        stacked, self.frames = stack(rows, final)
        return (stacked + self.shift) * self.scale


def chunks(waveform, shift, scale):
    """The normalised rows of [N], one tensor [T, 560] a chunk."""
    front, result = FrontEnd(shift, scale), []
    for start in range(0, len(waveform), PIECE):
        piece = waveform[start: start + PIECE]
        # A whole last piece is not final: the empty one after it is.
        rows = front.feed(piece, final=len(piece) < PIECE)
        if len(rows):
            result.append(rows)
    return result


def positions(first, count, width):
    """Sinusoids [count, width] of the positions from `first` on: sines, then cosines."""
    half = width // 2
    rate = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000.0) / (half - 1)))
    angle = torch.arange(first, first + count, dtype=torch.float32)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], 1)


class Encoder:
    """SAN-M in chunks of four rows behind five of overlap. `state` has the checkpoint's names."""

    def __init__(self, state, heads):
        self.state, self.heads = state, heads
        names = {name.split(".feed_forward")[0] for name in state if ".feed_forward.w_1.weight" in name}
        self.layers = sorted(names, key=lambda name: ("encoders0" not in name, int(name.split(".")[-1])))

    def linear(self, x, name):
        return F.linear(x, self.state[name + ".weight"], self.state[name + ".bias"])

    def norm(self, x, name):
        weight = self.state[name + ".weight"]
        return F.layer_norm(x, weight.shape, weight, self.state[name + ".bias"], 1e-12)

    def attention(self, y, name, cache):
        """y [W, D_in] to [W, D]; `cache` holds keys and values of earlier rows."""
        q, k, v = self.linear(y, name + ".linear_q_k_v").chunk(3, -1)
        kernel = self.state[name + ".fsmn_block.weight"]
        side = (kernel.shape[-1] - 1) // 2
        memory = v + F.conv1d(F.pad(v.t()[None], (side, side)), kernel, groups=v.shape[1])[0].t()
        keys, values = torch.cat([cache[0], k]), torch.cat([cache[1], v])
        kept = [torch.cat([old, new[:-OVERLAP]])[-LOOK_BACK:] for old, new in zip(cache, (k, v))]

        def split(x):
            return x.reshape(len(x), self.heads, -1).transpose(0, 1)
        scores = split(q * (q.shape[1] // self.heads) ** -0.5) @ split(keys).transpose(1, 2)
        mixed = (scores.softmax(-1) @ split(values)).transpose(0, 1).reshape(len(y), -1)
        return self.linear(mixed, name + ".linear_out") + memory, kept

    def __call__(self, pieces):
        """Chunks of rows [T, 560] to hidden states [sum T, D]."""
        width = self.state["encoder.after_norm.weight"].shape[0]
        overlap = torch.zeros(OVERLAP, STACK * 80)
        caches = [[torch.zeros(0, width)] * 2 for _ in self.layers]
        start, result = 0, []
        for rows in pieces:
            x = rows * width**0.5 + positions(start + 1, len(rows), rows.shape[1])
            start += len(rows)
            x = torch.cat([overlap, x])
            overlap = x[-OVERLAP:]
            for index, name in enumerate(self.layers):
                mixed, caches[index] = self.attention(
                    self.norm(x, name + ".norm1"), name + ".self_attn", caches[index])
                x = x + mixed if x.shape == mixed.shape else mixed
                inner = F.relu(self.linear(self.norm(x, name + ".norm2"), name + ".feed_forward.w_1"))
                x = x + self.linear(inner, name + ".feed_forward.w_2")
            result.append(self.norm(x, "encoder.after_norm")[-len(rows):])
        return torch.cat(result) if result else torch.zeros(0, width)


def codes(hidden, centroids):
    """Nearest centroids of hidden [T, D]: (codes [T], the smallest gap between first and second distance)."""
    distance = torch.cdist(hidden.double(), centroids.double())
    best = distance.topk(2, largest=False).values
    gap = (best[:, 1] - best[:, 0]).min().item() if len(hidden) else math.inf
    return distance.argmin(1), gap


def layer_names(blocks):
    """The checkpoint's prefixes of the layers."""
    return ["encoder.encoders0.0"] + [f"encoder.encoders.{index}" for index in range(blocks - 1)]


def random_state(width, hidden, blocks, kernel):
    """Random weights under the names of model.pt."""
    draws, state = Draws("linguistic"), {}
    for index, name in enumerate(layer_names(blocks)):
        fan = STACK * 80 if index == 0 else width
        state |= {
            f"{name}.norm1.weight": draws.scale(fan), f"{name}.norm1.bias": draws.bias(fan),
            f"{name}.self_attn.linear_q_k_v.weight": draws.weight(3 * width, fan, gain=1.4),
            f"{name}.self_attn.linear_q_k_v.bias": draws.bias(3 * width),
            f"{name}.self_attn.linear_out.weight": draws.weight(width, width),
            f"{name}.self_attn.linear_out.bias": draws.bias(width),
            f"{name}.self_attn.fsmn_block.weight": draws.normal(width, 1, kernel, scale=0.25),
            f"{name}.norm2.weight": draws.scale(width), f"{name}.norm2.bias": draws.bias(width),
            f"{name}.feed_forward.w_1.weight": draws.weight(hidden, width, gain=1.4),
            f"{name}.feed_forward.w_1.bias": draws.bias(hidden),
            f"{name}.feed_forward.w_2.weight": draws.weight(width, hidden),
            f"{name}.feed_forward.w_2.bias": draws.bias(width),
        }
    state["encoder.after_norm.weight"] = draws.scale(width)
    state["encoder.after_norm.bias"] = draws.bias(width)
    return state
