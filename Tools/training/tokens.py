"""Codes of every utterance of the corpus, and their 2:3 interleaving."""

import pathlib

import numpy as np
import onnxruntime
import torch

from . import features
from .encoders import LINGUISTIC_CODES, Linguistic, Semantic
from .features import Corpus


class BundledTokenizer:
    """The two encoders of an exported bundle, for training on after it without the checkpoints."""

    # Their names in FunASR's file, and ours.
    NAMES = {
        "self_attn.linear_q_k_v": "qkv",
        "self_attn.linear_out": "out",
        "self_attn.fsmn_block": "fsmn",
        "feed_forward.w_1": "w1",
        "feed_forward.w_2": "w2",
    }

    def __init__(self, bundle):
        folder = pathlib.Path(bundle) / "Step-Audio-Tokenizer"
        model = next(folder.glob("*/*/model.pt"))
        tensors = {}
        for name, value in torch.load(model, weights_only=True).items():
            name = name.removeprefix("encoder.")
            if name.startswith("encoders"):
                stack, index, rest = name.split(".", 2)
                for theirs, ours in self.NAMES.items():
                    rest = rest.replace(theirs, ours)
                name = f"layers.{0 if stack == 'encoders0' else int(index) + 1}.{rest}"
            tensors[name.replace("after_norm", "after")] = value.float()
        self.linguistic = Linguistic(1)
        missing, unknown = self.linguistic.load_state_dict(tensors, strict=False)
        if unknown or {name.split(".")[0] for name in missing} - {"head", "mel"}:
            raise SystemExit(f"{model}: tensors {missing + unknown} do not fit")
        rows = [line.split("[")[1].rstrip("] \n") for line in open(model.parent / "am.mvn") if "LearnRateCoef" in line]
        self.linguistic.shift, self.linguistic.scale = (torch.tensor([float(x) for x in row.split()]) for row in rows)
        self.book = torch.tensor(np.load(folder / "linguistic_tokenizer.npy"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.semantic = onnxruntime.InferenceSession(folder / "speech_tokenizer_v1.onnx", options)

    @torch.no_grad()
    def __call__(self, samples):
        """Linguistic and semantic codes of samples at 16 kHz."""
        samples = features.normalized(samples)
        rows = torch.tensor(features.linguistic(samples))[None]
        if rows.shape[1] == 0:
            return np.zeros(0, np.int16), np.zeros(0, np.int16)
        states = self.linguistic(self.linguistic.normalize(rows))[0]
        mel = features.semantic(samples).T[None]
        feed = {"feats": mel, "feats_length": np.array([mel.shape[2]], np.int32)}
        codes = self.semantic.run(None, feed)[0][0]
        return torch.cdist(states, self.book).argmin(1).numpy().astype(np.int16), codes.astype(np.int16)


class Tokenizer:
    """The two trained encoders."""

    def __init__(self, work):
        one = torch.load(work.checkpoint("linguistic"), weights_only=False)
        two = torch.load(work.checkpoint("semantic"), weights_only=False)
        phones = [part["net"]["head.weight"].shape[0] // 2 for part in (one, two)]
        self.linguistic, self.semantic = Linguistic(phones[0]), Semantic(phones[1])
        self.linguistic.load_state_dict(one["net"])
        self.semantic.load_state_dict(two["net"], strict=False)
        self.linguistic.shift, self.linguistic.scale = one["cmvn"]
        self.books = one["book"], two["book"]

    @torch.no_grad()
    def __call__(self, samples):
        """Linguistic and semantic codes of samples at 16 kHz."""
        samples = features.normalized(samples)
        rows = torch.tensor(features.linguistic(samples))[None]
        if rows.shape[1] == 0:
            return np.zeros(0, np.int16), np.zeros(0, np.int16)
        one = self.linguistic(self.linguistic.normalize(rows))[0]
        mel = torch.tensor(features.semantic(samples))[None]
        two = self.semantic(mel, torch.tensor([((mel.shape[1] + 1) // 2 + 1) // 2]))[0]
        codes = [torch.cdist(states, book).argmin(1) for states, book in zip((one, two), self.books)]
        return tuple(code.numpy().astype(np.int16) for code in codes)


def interleaved(linguistic, semantic):
    """Two linguistic codes, three semantic ones (offset by the first codebook), and so on."""
    groups = min(len(linguistic) // 2, len(semantic) // 3)
    if groups == 0:
        return np.zeros(0, np.int64)
    columns = [linguistic[i : 2 * groups : 2] for i in range(2)]
    columns += [semantic[i : 3 * groups : 3].astype(np.int64) + LINGUISTIC_CODES for i in range(3)]
    return np.stack(columns, 1).reshape(-1).astype(np.int64)


def build(work):
    corpus = Corpus(work)
    tokenizer = Tokenizer(work)
    arrays = {}
    for index, entry in enumerate(corpus.entries):
        arrays[f"l{entry['id']}"], arrays[f"s{entry['id']}"] = tokenizer(corpus.samples16(entry))
        if index % 1000 == 0:
            print(f"tokens {index} of {len(corpus.entries)}", flush=True)
    np.savez(work / "tokens.npz", **arrays)
