"""The Step-1 language model and its text vocabulary.

Source: Press et al., "Train Short, Test Long" (2021), for the slopes; here the bias grows with the square root of the
distance. Shazeer, "GLU Variants Improve Transformer" (2020); Ainslie et al., "GQA" (2023).
"""

import math

import sentencepiece
import torch
import torch.nn.functional as F
from sentencepiece import sentencepiece_model_pb2
from torch import nn

from .encoders import LINGUISTIC_CODES, SEMANTIC_CODES

BOS, END, START = 1, 3, 4  # <s>, <|EOT|>, <|BOT|>


def slopes(heads):
    regular = 2 ** int(math.log2(heads))
    exponents = [-8 * k / regular for k in range(1, regular + 1)]
    exponents += [-4 * (2 * k + 1) / regular for k in range(heads - regular)]
    return 2.0 ** torch.tensor(exponents)


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        y = x.float()
        return (y * torch.rsqrt((y * y).mean(-1, keepdim=True) + 1e-5)).to(x.dtype) * self.weight


class Attention(nn.Module):
    def __init__(self, width, heads, groups):
        super().__init__()
        self.h, self.g = heads, groups
        self.q_proj, self.o_proj = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        narrow = groups * width // heads
        self.k_proj, self.v_proj = nn.Linear(width, narrow, bias=False), nn.Linear(width, narrow, bias=False)

    def forward(self, x, bias, past, watched=None):
        """Also returns the keys and values, and the attention of the heads of the slice `watched`."""
        batch, count, width = x.shape
        size = width // self.h

        def heads(z, number):
            return z.reshape(batch, count, number, size).transpose(1, 2)

        query, key, value = heads(self.q_proj(x), self.h), heads(self.k_proj(x), self.g), heads(self.v_proj(x), self.g)
        if past is not None:
            key, value = (torch.cat([old.expand(batch, -1, -1, -1), new], 2) for old, new in zip(past, (key, value)))
        keys, values = (z.repeat_interleave(self.h // self.g, 1) for z in (key, value))
        if watched is None:
            mask = bias.to(query.dtype)[None]  # with four axes the quick kernel takes it
            seen, mixed = None, F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        else:
            weights = (query @ keys.transpose(2, 3) * size**-0.5 + bias).softmax(-1)
            seen, mixed = weights[:, watched], weights @ values
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, count, width)), (key, value), seen


class FeedForward(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, width, heads, groups, hidden):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(width), RMSNorm(width)
        self.self_attn, self.mlp = Attention(width, heads, groups), FeedForward(width, hidden)

    def forward(self, x, bias, past, watched=None):
        mixed, kept, seen = self.self_attn(self.input_layernorm(x), bias, past, watched)
        x = x + mixed
        return x + self.mlp(self.post_attention_layernorm(x)), kept, seen


class Step1(nn.Module):
    """Ids [B, T] to hidden states after the final norm, and the cache."""

    def __init__(self, vocabulary, width, heads, groups, hidden, layers, biases=None):
        super().__init__()
        self.cfg = {"v": vocabulary, "d": width, "h": heads, "g": groups, "f": hidden, "n": layers}
        if biases:
            self.cfg["slopes"] = biases
        parts = {
            "embed_tokens": nn.Embedding(vocabulary, width),
            "layers": nn.ModuleList([Layer(width, heads, groups, hidden) for _ in range(layers)]),
            "norm": RMSNorm(width),
        }
        self.model = nn.ModuleDict(parts)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.slopes = torch.tensor(biases) if biases else slopes(heads)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, 0, 0.02)
        for layer in self.model["layers"]:
            for last in (layer.self_attn.o_proj, layer.mlp.down_proj):
                nn.init.normal_(last.weight, 0, 0.02 / math.sqrt(2 * layers))

    def bias(self, count, past):
        distance = torch.arange(count)[:, None] + past - torch.arange(count + past)[None]
        bias = -self.slopes[:, None, None] * distance.clamp(min=0).float().sqrt()
        return bias.masked_fill((distance < 0)[None], -1e9)

    def forward(self, ids, past=None):
        x = self.model["embed_tokens"](ids)
        bias = self.bias(ids.shape[1], past[0][0].shape[2] if past else 0)
        cache = []
        for index, layer in enumerate(self.model["layers"]):
            x, kept, _ = layer(x, bias, past[index] if past else None)
            cache.append(kept)
        return self.model["norm"](x), cache

    def loss(self, states, targets):
        """Cross entropy of states [N, width] over the whole vocabulary, by token."""
        logits = F.linear(states.bfloat16(), self.lm_head.weight.bfloat16()).float()
        return F.cross_entropy(logits, targets, reduction="none")


def write_vocabulary(pieces, path):
    """A Unigram model of special tokens, bytes, (text, score) pieces and the audio tokens.

    Returns an encoder that puts no space before text, as the fast tokenizer does after an added token.
    """
    model = sentencepiece_model_pb2.ModelProto()
    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece

    def add(text, score, kind):
        piece = model.pieces.add()
        piece.piece, piece.score, piece.type = text, score, kind

    add("<unk>", 0, kinds.UNKNOWN)
    for text in ["<s>", "</s>", "<|EOT|>", "<|BOT|>"]:
        add(text, 0, kinds.CONTROL)
    for byte in range(256):
        add(f"<0x{byte:02X}>", 0, kinds.BYTE)
    for text, score in pieces:
        add(text, score, kinds.NORMAL)
    for code in range(LINGUISTIC_CODES + SEMANTIC_CODES):
        add(f"<audio_{code}>", 0, kinds.USER_DEFINED)
    trainer, rules = model.trainer_spec, model.normalizer_spec
    trainer.model_type, trainer.byte_fallback = trainer.UNIGRAM, True
    trainer.unk_id, trainer.bos_id, trainer.eos_id, trainer.pad_id = 0, BOS, 2, -1
    trainer.vocab_size = len(model.pieces)
    trainer.split_digits = trainer.allow_whitespace_only_pieces = True
    rules.name, rules.add_dummy_prefix = "identity", True
    rules.remove_extra_whitespaces, rules.escape_whitespaces = False, True
    path.write_bytes(model.SerializeToString())
    return encoder(path)


def encoder(path):
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    model.normalizer_spec.add_dummy_prefix = False
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model.SerializeToString())
    return processor


def generate(net, ids, limit):
    """The likeliest continuation up to the end token."""
    found = []
    with torch.no_grad():
        states, past = net(torch.tensor([ids]))
        while len(found) < limit:
            token = int(net.lm_head(states[:, -1]).argmax())
            if token == END:
                break
            found.append(token)
            states, past = net(torch.tensor([[token]]), past)
    return found
