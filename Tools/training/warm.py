"""A speech model read back from a bundle and made larger without changing what it says, to go on learning from there.

The bundle holds the moving average with the rows of words folded; the phones under them are found again by least
squares.
Source of the growth: Chen et al., "Net2Net" (2016): what is new reads at random and writes nothing at first.
"""

import json
import pathlib

import sentencepiece
import torch
from safetensors.torch import load_file

PART = "Step-Audio-TTS-3B"


def sizes(bundle):
    """The layers and the width inside the feed-forward of a bundle's speech model."""
    facts = json.loads((pathlib.Path(bundle) / PART / "config.json").read_text("utf-8"))
    return facts["num_hidden_layers"], facts["intermediate_size"]


def table(bundle, text, rows):
    """The bundle's rows [V, width] in the order of the pieces of `text`, and which of them it knows."""
    known = sentencepiece.SentencePieceProcessor(model_file=str(pathlib.Path(bundle) / PART / "tokenizer.model"))
    old = {known.id_to_piece(i): i for i in range(known.get_piece_size())}
    places = torch.tensor([old.get(text.id_to_piece(i), -1) for i in range(text.get_piece_size())])
    return rows[places.clamp(min=0)], places >= 0


def parts(slots, rows, count):
    """Rows [count, width] of phones whose sums come nearest to those of words; `slots` [N, SLOTS + 1], 0 for none."""
    sums = torch.zeros(len(slots), count, dtype=torch.float64)
    sums.scatter_add_(1, slots, torch.ones(slots.shape, dtype=torch.float64))
    sums[:, 0] = 0
    squares = sums.T @ sums + 1e-4 * torch.eye(count, dtype=torch.float64)
    found = torch.linalg.solve(squares, sums.T @ rows.double())
    found[0] = 0
    return found.float()


def grown(old, new, writes):
    """`new` with `old` in its corner; beyond it what is there is kept, or set to nothing where it would be written."""
    result = torch.zeros_like(new) if writes else new.clone()
    if old is not None:
        result[tuple(slice(n) for n in old.shape)] = old
    return result


@torch.no_grad()
def start(net, bundle, text, sharpness):
    """Fills a speech model, not smaller than the bundle's, with the bundle's weights."""
    stored = load_file(pathlib.Path(bundle) / PART / "model.safetensors")
    tensors = {key: value.float() for key, value in stored.items()}
    tensors["model.norm.weight"] /= sharpness
    rows, known = table(bundle, text, tensors.pop("model.embed_tokens.weight"))
    own = net.model["embed_tokens"].weight
    spelled = net.slots[:, 0] > 0
    own[known & ~spelled] = rows[known & ~spelled]
    chosen = known & spelled
    net.parts.weight.copy_(parts(net.slots[chosen], rows[chosen], len(net.parts.weight)))
    far = (net.parts(net.slots[chosen]).sum(1) - rows[chosen]).abs().max()
    print(f"rows of words found again within {far:.3f}", flush=True)
    state = net.state_dict()
    for name, value in state.items():
        if name.startswith("model.") and "embed_tokens" not in name:
            if value.dim() == 2:
                value.normal_(0, value.shape[1] ** -0.5)
            value.copy_(grown(tensors.get(name), value, name.endswith(("o_proj.weight", "down_proj.weight"))))
