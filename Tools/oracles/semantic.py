"""The semantic tokenizer: a Whisper-like encoder and one vector quantiser, as a module that exports to ONNX.

Legend: N samples (16 kHz), F frames of log-mel (10 ms), S codes (40 ms), D width, H heads, C codes of the codebook.
Sources: xingchensong/S3Tokenizer model.py (speech_tokenizer_v1_25hz); Du et al., "CosyVoice" (2024).
"""

import math

import onnx
import torch
from torch import nn
from torch.nn import functional as F

from .audio import whisper_log_mel
from .draws import Draws

PIECE, SHORTEST = 480000, 480


class Attention(nn.Module):
    """Full attention over [1, S, D]; the key has no bias."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x, mask):
        batch, length, width = x.shape
        scale = (width // self.heads) ** -0.25
        q = self.query(x).view(batch, length, self.heads, -1).permute(0, 2, 1, 3) * scale
        k = self.key(x).view(batch, length, self.heads, -1).permute(0, 2, 3, 1) * scale
        v = self.value(x).view(batch, length, self.heads, -1).permute(0, 2, 1, 3)
        mixed = (q @ k + mask).softmax(-1) @ v
        return self.out(mixed.permute(0, 2, 1, 3).flatten(2))


class Block(nn.Module):
    """Attention and feed-forward, each behind its norm."""

    def __init__(self, width, heads):
        super().__init__()
        self.attn = Attention(width, heads)
        self.attn_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, x, mask):
        x = x + self.attn(self.attn_ln(x), mask)
        return x + self.mlp(self.mlp_ln(x))


class Encoder(nn.Module):
    """Log-mel [1, 128, F] to hidden states [1, S, D], S = ceil(F / 4)."""

    def __init__(self, width, heads, layers, places):
        super().__init__()
        self.conv1 = nn.Conv1d(128, width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.positional_embedding = nn.Parameter(torch.zeros(places, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))

    def forward(self, features, length):
        def valid(length, count):
            return (torch.arange(count)[None] < length[:, None])[:, None].to(features.dtype)
        x = F.gelu(self.conv1(features * valid(length, features.shape[2])))
        length = (length - 1) // 2 + 1
        x = F.gelu(self.conv2(x * valid(length, x.shape[2])))
        length = (length - 1) // 2 + 1
        mask = (1 - valid(length, x.shape[2]))[:, None] * -1e10
        x = x.permute(0, 2, 1)
        x = x + self.positional_embedding[: x.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        return x


class Codebook(nn.Module):
    """Normalised states [S, D] to the index of the nearest codeword."""

    def __init__(self, count, width):
        super().__init__()
        self.register_buffer("embed", torch.zeros(count, width))

    def distances(self, x):
        embed = self.embed.t()
        return -(x.pow(2).sum(1, keepdim=True) - 2 * x @ embed + embed.pow(2).sum(0, keepdim=True))

    def forward(self, x):
        return self.distances(x).argmax(-1)


class Nest(nn.Module):
    """Calls its only child: the graph's node names carry the nesting."""

    def __init__(self, name, child):
        super().__init__()
        self.add_module(name, child)
        self.inner = name

    def forward(self, x):
        child = getattr(self, self.inner)
        return child[0](x) if isinstance(child, nn.ModuleList) else child(x)


class Tokenizer(nn.Module):
    """feats [1, 128, F], feats_length [1] to indices [1, S]."""

    def __init__(self, width, heads, layers, places, count):
        super().__init__()
        self.encoders = Encoder(width, heads, layers, places)
        layer = Nest("_codebook", Codebook(count, width))
        self.quantizer = Nest("rq", Nest("model", Nest("layers", nn.ModuleList([layer]))))

    @property
    def codebook(self):
        return self.quantizer.rq.model.layers[0]._codebook

    def forward(self, features, length):
        x = self.encoders(features, length)
        x = F.normalize(x.reshape(-1, x.shape[2]), dim=-1)
        return self.quantizer(x)[None]


def pieces(waveform):
    """The cuts of [N] at 30 s; what is shorter than 480 samples is dropped."""
    cuts = [waveform[start: start + PIECE] for start in range(0, len(waveform), PIECE)]
    return [cut for cut in cuts if len(cut) >= SHORTEST]


def log_mel(waveform):
    """[N] to [128, F], every piece on its own."""
    parts = [whisper_log_mel(piece) for piece in pieces(waveform)]
    return torch.cat(parts, 1) if parts else torch.zeros(128, 0)


def codes(model, waveform):
    """[N] to (codes [S], the smallest gap between first and second squared distance)."""
    result, gap = [], math.inf
    for piece in pieces(waveform):
        features = whisper_log_mel(piece)[None]
        length = torch.tensor([features.shape[2]], dtype=torch.int32)
        hidden = F.normalize(model.encoders(features, length)[0], dim=-1)
        best = model.codebook.distances(hidden).topk(2).values
        gap = min(gap, (best[:, 0] - best[:, 1]).min().item())
        result.append(model(features, length)[0])
    return (torch.cat(result) if result else torch.zeros(0, dtype=torch.int64)), gap


def random_model(width, heads, layers, places, count):
    """A tokenizer with random weights; the codebook is filled by the caller."""
    draws, model = Draws("semantic"), Tokenizer(width, heads, layers, places, count)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "_ln.weight" in name:
                tensor.copy_(draws.scale(width))
            elif name.endswith("bias"):
                tensor.copy_(draws.bias(len(tensor)))
            elif name.endswith("positional_embedding"):
                half = width // 2
                rate = torch.exp(-torch.arange(half) * math.log(10000.0) / (half - 1))
                angle = torch.arange(places)[:, None] * rate
                tensor.copy_(torch.cat([angle.sin(), angle.cos()], 1) * 0.5 + draws.normal(places, width, scale=0.05))
            else:
                tensor.copy_(draws.weight(*tensor.shape, gain=1.5))
    return model.eval()


def export(model, path):
    """Writes the graph with the published file's node names; throws when it lacks one."""
    example = (torch.zeros(1, 128, 52), torch.tensor([52], dtype=torch.int32))
    torch.onnx.export(
        model, example, path, dynamo=False, opset_version=14, do_constant_folding=True,
        input_names=["feats", "feats_length"], output_names=["indices"],
        dynamic_axes={"feats": {2: "F"}, "indices": {1: "S"}})
    graph = onnx.load(path)
    names = {node.name for node in graph.graph.node}
    for node in graph.graph.node:
        short = node.name.removeprefix("/encoders")
        if short not in names:
            names.add(short)
            node.name = short
    for needed in ["/conv1/Conv", "/blocks.0/attn/query/MatMul", "/blocks.0/attn/query/Add",
                   "/blocks.0/attn/key/MatMul", "/blocks.0/mlp/mlp.0/MatMul", "/blocks.0/attn_ln/Add_1",
                   "/quantizer/rq/model/layers.0/_codebook/MatMul"]:
        assert needed in names, (needed, sorted(names))
    onnx.checker.check_model(graph)
    onnx.save(graph, path)
