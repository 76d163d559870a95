"""The speech model's network in PyTorch: pre-norm blocks, grouped keys and values, square-root bias, SwiGLU.

Random weights. Four layers stand for all, one after the other: together they are several times larger than the caches,
so memory is read as by a whole model. Legend: L tokens, D width.
"""

import argparse
import json
import time

import torch
from torch.nn import functional as F

from . import shapes

DISTINCT = 4
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Network:
    """Weights, keys and values of one sequence."""

    def __init__(self, layers, precision, room):
        kind = TYPES[precision]

        def matrix(outputs, inputs):
            return torch.empty(outputs, inputs, dtype=kind).uniform_(-0.02, 0.02)
        self.count = layers
        self.layers = [{name: matrix(*shape) for name, shape in shapes.MATRICES.items()}
                       for _ in range(min(layers, DISTINCT))]
        self.head = matrix(shapes.VOCABULARY, shapes.WIDTH)
        self.ones = torch.ones(shapes.WIDTH, dtype=kind)
        place = torch.arange(1, shapes.HEADS + 1)
        self.slopes = (2.0 ** (-8.0 * place / shapes.HEADS))[:, None, None]
        size = (shapes.GROUPS, room, shapes.HEAD_SIZE)
        self.cache = [(torch.zeros(size, dtype=kind), torch.zeros(size, dtype=kind)) for _ in range(layers)]

    def norm(self, x):
        return F.rms_norm(x, (shapes.WIDTH,), self.ones, 1e-5)

    def __call__(self, x, start):
        """New rows [L, D] after `start` others to the logits of the last one."""
        length, end = len(x), start + len(x)
        distance = torch.arange(start, end)[:, None] - torch.arange(end)[None]
        bias = -self.slopes * distance.clamp(min=0).float().sqrt()
        bias = bias.masked_fill(distance < 0, -torch.inf).to(x.dtype)[None]
        for index in range(self.count):
            weights = self.layers[index % len(self.layers)]
            y = self.norm(x)

            def heads(name):
                return F.linear(y, weights[name]).view(length, -1, shapes.HEAD_SIZE).transpose(0, 1)
            keys, values = self.cache[index]
            keys[:, start:end], values[:, start:end] = heads("attn_k"), heads("attn_v")
            mixed = F.scaled_dot_product_attention(
                heads("attn_q")[None], keys[None, :, :end], values[None, :, :end], attn_mask=bias, enable_gqa=True)
            x = x + F.linear(mixed[0].transpose(0, 1).reshape(length, -1), weights["attn_output"])
            y = self.norm(x)
            inner = F.silu(F.linear(y, weights["ffn_gate"])) * F.linear(y, weights["ffn_up"])
            x = x + F.linear(inner, weights["ffn_down"])
        return F.linear(self.norm(x[-1:]), self.head)


def seconds(layers, precision, prompt=0, tokens=0, context=0, runs=3):
    """Seconds of each run after a first one: a prompt, or one token after `context` others."""
    network = Network(layers, precision, prompt + context + tokens)
    kind, times = TYPES[precision], []
    for run in range(1 + (runs if prompt else tokens)):
        rows = torch.randn(prompt or 1, shapes.WIDTH).to(kind)
        start = time.perf_counter()
        network(rows, 0 if prompt else context + max(0, run - 1))
        times.append(time.perf_counter() - start)
    return times[1:]


def main():
    parser = argparse.ArgumentParser()
    for name, value in (("layers", 8), ("prompt", 0), ("tokens", 0), ("context", 0), ("runs", 3), ("threads", 2)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--precision", choices=TYPES, default="bf16")
    options = vars(parser.parse_args())
    torch.set_num_threads(options.pop("threads"))
    with torch.inference_mode():
        print(json.dumps(seconds(**options)))


if __name__ == "__main__":
    main()
