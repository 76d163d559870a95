"""Step-1, the decoder behind speech and chat, and the rules of sampling; fp32 arithmetic.

Legend: L tokens, D width, H heads, G groups of keys and values, V tokens of the vocabulary.
Sources: stepfun-ai/Step-Audio-TTS-3B modeling_step1.py; vllm-project/vllm step1.py; Press et al., "Train Short, Test
Long" (2021) for the slopes; stepfun-ai/Step-Audio tts.py for the repetition rule; Holtzman et al. (2020) for top-p.
"""

import math

import torch
from torch.nn import functional as F

from .draws import Draws


def slopes(heads):
    """One slope a head: powers for the largest power of two, then those between."""
    even = 2 ** int(math.log2(heads))
    first = [2 ** (-8 * k / even) for k in range(1, even + 1)]
    return torch.tensor(first + [2 ** (-4 * (2 * m + 1) / even) for m in range(heads - even)])


class Model:
    """A causal decoder with an attention bias of -slope sqrt(distance)."""

    def __init__(self, config, state):
        self.config = config
        self.state = {name: tensor.float() for name, tensor in state.items()}
        self.slopes = slopes(config["num_attention_heads"])

    def norm(self, x, name):
        root = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return x * root * self.state[name + ".weight"]

    def linear(self, x, name):
        return F.linear(x, self.state[name + ".weight"])

    def logits(self, ids):
        """ids [L] to logits [L, V]."""
        heads, groups = self.config["num_attention_heads"], self.config["num_attention_groups"]
        x = self.state["model.embed_tokens.weight"][ids]
        place = torch.arange(len(ids))
        distance = place[:, None] - place[None]
        bias = -self.slopes[:, None, None] * distance.clamp(min=0).float().sqrt()
        bias = bias.masked_fill(distance < 0, -math.inf)
        for index in range(self.config["num_hidden_layers"]):
            name = f"model.layers.{index}"
            y = self.norm(x, name + ".input_layernorm")

            def split(kind, count):
                return self.linear(y, f"{name}.self_attn.{kind}_proj").view(len(ids), count, -1).transpose(0, 1)
            q, k, v = split("q", heads), split("k", groups), split("v", groups)
            k, v = (part.repeat_interleave(heads // groups, 0) for part in (k, v))
            mixed = ((q @ k.transpose(1, 2)) / q.shape[-1] ** 0.5 + bias).softmax(-1) @ v
            x = x + self.linear(mixed.transpose(0, 1).reshape(len(ids), -1), name + ".self_attn.o_proj")
            y = self.norm(x, name + ".post_attention_layernorm")
            inner = F.silu(self.linear(y, name + ".mlp.gate_proj")) * self.linear(y, name + ".mlp.up_proj")
            x = x + self.linear(inner, name + ".mlp.down_proj")
        return self.linear(self.norm(x, "model.norm"), "lm_head")

    def greedy(self, ids, count):
        """(the `count` most likely ids after `ids`, the smallest gap between first and second logit)."""
        ids, gap = ids.clone(), math.inf
        for _ in range(count):
            best = self.logits(ids)[-1].topk(2)
            gap = min(gap, (best.values[0] - best.values[1]).item())
            ids = torch.cat([ids, best.indices[:1]])
        return ids[-count:], gap


def random_state(config, name, dtype):
    """Random weights under the checkpoint's names, rounded to `dtype`."""
    draws = Draws(name)
    width, hidden, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    keys = width // config["num_attention_heads"] * config["num_attention_groups"]
    state = {"model.embed_tokens.weight": draws.normal(vocabulary, width)}
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        state |= {
            f"{layer}.input_layernorm.weight": draws.scale(width),
            f"{layer}.self_attn.q_proj.weight": draws.weight(width, width, gain=1.5),
            f"{layer}.self_attn.k_proj.weight": draws.weight(keys, width, gain=1.5),
            f"{layer}.self_attn.v_proj.weight": draws.weight(keys, width),
            f"{layer}.self_attn.o_proj.weight": draws.weight(width, width),
            f"{layer}.post_attention_layernorm.weight": draws.scale(width),
            f"{layer}.mlp.gate_proj.weight": draws.weight(hidden, width, gain=1.5),
            f"{layer}.mlp.up_proj.weight": draws.weight(hidden, width),
            f"{layer}.mlp.down_proj.weight": draws.weight(width, hidden),
        }
    state["model.norm.weight"] = draws.scale(width)
    state["lm_head.weight"] = draws.weight(vocabulary, width, gain=3)
    return {key: tensor.to(dtype) for key, tensor in state.items()}


def probabilities(logits, history, temperature, top_p, top_k, repetition_rule):
    """Logits [V] to probabilities [V]: repetition rule, temperature, top-k, top-p. top-k 0 and top-p 1 are off."""
    scores = logits.clone()
    if repetition_rule and len(history) >= 10 and (history[-10:] == history[-1]).sum() >= 2:
        scores[history[-1]] = -math.inf
    if temperature <= 0:
        return F.one_hot(scores.argmax(), len(scores)).float()
    scores = scores / temperature
    if 0 < top_k < len(scores):
        scores = scores.masked_fill(scores < scores.topk(top_k).values[-1], -math.inf)
    if top_p < 1:
        ascending, order = scores.sort()
        outside = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
        outside[-1] = False
        scores = scores.masked_fill(torch.zeros_like(outside).scatter(0, order, outside), -math.inf)
    return scores.softmax(-1)
