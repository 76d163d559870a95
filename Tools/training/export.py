"""Writes the trained parts in the published layout: the same files, names and number formats."""

import json
import pathlib
import shutil
import warnings
import wave

import librosa
import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from . import domain, speaker, speech, vocabulary
from .encoders import Linguistic, Semantic
from .features import Corpus
from .paths import RATE

CONFIGURATIONS = pathlib.Path(__file__).parent / "configurations"
SPEAKERS = {"Hibari": "hib"}  # the voices that the speech model learns, by the voice of the corpus
PARAFORMER = "dengcunqin/speech_paraformer-large_asr_nat-zh-cantonese-en-16k-vocab8501-online"


def folder(*parts):
    path = pathlib.Path(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def state(work, name):
    return torch.load(work.checkpoint(name), weights_only=False)


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype(np.int16).tobytes())


def export_onnx(net, inputs, path, names, outputs, axes):
    net.eval()
    torch.onnx.export(
        net, inputs, path, input_names=names, output_names=outputs, dynamic_axes=axes, opset_version=14, dynamo=False
    )


def linguistic(work, out):
    """FunASR's names: model.pt, am.mvn, config.yaml; the centroids as .npy."""
    trained = state(work, "linguistic")
    names = {
        "qkv": "self_attn.linear_q_k_v",
        "out": "self_attn.linear_out",
        "fsmn": "self_attn.fsmn_block",
        "w1": "feed_forward.w_1",
        "w2": "feed_forward.w_2",
    }
    tensors = {}
    for name, value in trained["net"].items():
        if name.startswith("layers."):
            _, index, rest = name.split(".", 2)
            module, kind = rest.rsplit(".", 1)
            block = "encoders0.0" if index == "0" else f"encoders.{int(index) - 1}"
            tensors[f"encoder.{block}.{names.get(module, module)}.{kind}"] = value.half().contiguous()
        elif name.startswith("after."):
            tensors["encoder.after_norm." + name[6:]] = value.half()
    model = folder(out, "Step-Audio-Tokenizer", PARAFORMER)
    torch.save(tensors, model / "model.pt")
    np.save(out / "Step-Audio-Tokenizer/linguistic_tokenizer.npy", trained["book"].numpy().astype(np.float32))
    shift, scale = (" ".join(f"{x:.7g}" for x in part.tolist()) for part in trained["cmvn"])
    lines = ["<Nnet>", "<Splice> 560 560", "[ 0 ]"]
    for name, values in (("AddShift", shift), ("Rescale", scale)):
        lines += [f"<{name}> 560 560", f"<LearnRateCoef> 0 [ {values} ]"]
    (model / "am.mvn").write_text("\n".join(lines + ["</Nnet>", ""]))
    shutil.copy(CONFIGURATIONS / "config.yaml", model / "config.yaml")


class SemanticGraph(nn.Module):
    """The semantic tokenizer under the module names of the published ONNX file."""

    class Attention(nn.Module):
        def __init__(self, block):
            super().__init__()
            self.query, self.key, self.value, self.out = block.q, block.k, block.v, block.o
            self.h = block.h

        def forward(self, x):
            batch, count, width = x.shape
            scale = (width // self.h) ** -0.25

            def heads(z, *axes):
                return z.view(batch, count, self.h, width // self.h).permute(*axes)

            query, key = heads(self.query(x), 0, 2, 1, 3) * scale, heads(self.key(x), 0, 2, 3, 1) * scale
            mixed = (query @ key).softmax(-1) @ heads(self.value(x), 0, 2, 1, 3)
            return self.out(mixed.permute(0, 2, 1, 3).flatten(2))

    class Block(nn.Module):
        def __init__(self, block):
            super().__init__()
            self.attn, self.attn_ln = SemanticGraph.Attention(block), block.attn_ln
            self.mlp, self.mlp_ln = nn.Sequential(block.m0, nn.GELU(), block.m2), block.mlp_ln

        def forward(self, x):
            x = x + self.attn(self.attn_ln(x))
            return x + self.mlp(self.mlp_ln(x))

    class Encoders(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.conv1, self.conv2 = net.c1, net.c2
            self.register_buffer("positional_embedding", net.pe.clone())
            self.blocks = nn.ModuleList([SemanticGraph.Block(block) for block in net.blocks])

        def forward(self, x):
            x = F.gelu(self.conv2(F.gelu(self.conv1(x)))).permute(0, 2, 1)
            x = x + self.positional_embedding[: x.shape[1]]
            for block in self.blocks:
                x = block(x)
            return x

    class Codebook(nn.Module):
        def __init__(self, book):
            super().__init__()
            self.register_buffer("embed", book.clone())

        def forward(self, x):
            codes = self.embed.t()
            return -(x.pow(2).sum(1, keepdim=True) - 2 * x @ codes + codes.pow(2).sum(0, keepdim=True))

    class Inside(nn.Module):
        """A module that holds another under a name: the published graph nests five."""

        def __init__(self, name, module):
            super().__init__()
            self.add_module(name, module)

        def forward(self, x):
            inner = next(self.children())
            return inner[0](x) if isinstance(inner, nn.ModuleList) else inner(x)

    def __init__(self, net, book):
        super().__init__()
        inside = SemanticGraph.Inside
        self.encoders = SemanticGraph.Encoders(net)
        layers = nn.ModuleList([inside("_codebook", SemanticGraph.Codebook(book))])
        self.quantizer = inside("rq", inside("model", inside("layers", layers)))

    def forward(self, feats, feats_length):
        states = F.normalize(self.encoders(feats), dim=-1, eps=1e-12)[0]
        codes = self.quantizer(states).argmax(-1)[None].to(torch.int32)
        return codes + (feats_length * 0)[:, None].to(torch.int32)


def semantic(work, out):
    trained = state(work, "semantic")
    net = Semantic(trained["net"]["head.weight"].shape[0] // 2)
    net.load_state_dict(trained["net"], strict=False)
    graph = SemanticGraph(net, trained["book"])
    path = folder(out, "Step-Audio-Tokenizer") / "speech_tokenizer_v1.onnx"
    example = torch.randn(1, 128, 103), torch.tensor([103], dtype=torch.int32)
    axes = {"feats": {2: "T"}, "indices": {1: "S"}}
    export_onnx(graph, example, path, ["feats", "feats_length"], ["indices"], axes)
    feed = {"feats": np.random.randn(1, 128, 250).astype(np.float32), "feats_length": np.array([250], np.int32)}
    with torch.no_grad():
        expected = graph(*(torch.tensor(value) for value in feed.values())).numpy()
    found = onnxruntime.InferenceSession(path).run(None, feed)[0]
    if not (found == expected).all():
        raise SystemExit("the exported semantic tokenizer gives other codes than the trained one")


def decoder(work, out):
    """flow.pt, hift.pt (weight norm in two tensors), campplus.onnx, cosyvoice.yaml."""
    target = folder(out, "Step-Audio-TTS-3B/CosyVoice-300M-25Hz")
    normed = ("conv_pre", "ups.", "source_resblocks", "resblocks", "conv_post", "f0_predictor.condnet")
    tensors = {}
    for name, value in state(work, "vocoder")["ema"].items():
        if name.startswith("f0_predictor.classifier"):
            value = value * 100
        if name.endswith(".weight") and value.dim() == 3 and name.startswith(normed):
            tensors[name + "_g"] = value.flatten(1).norm(dim=1).view(-1, 1, 1).clone()
            tensors[name + "_v"] = value.clone()
        else:
            tensors[name] = value.clone()
    torch.save(tensors, target / "hift.pt")
    average = state(work, "flow")["ema"]
    torch.save({name: value.half().clone() for name, value in average.items()}, target / "flow.pt")
    net = speaker.load(work)
    export_onnx(net, torch.randn(1, 200, 80), target / "campplus.onnx", ["input"], ["output"], {"input": {1: "T"}})
    shutil.copy(CONFIGURATIONS / "cosyvoice.yaml", target / "cosyvoice.yaml")


def language_model(work, name, target):
    """bf16 safetensors, config.json and the tokenizer."""
    trained = state(work, name)
    sizes, weights = trained["cfg"], trained.get("ema") or trained["net"]
    if name == "speech":
        weights = speech.folded(trained)
    tensors = {key: value.bfloat16().contiguous() for key, value in weights.items()}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    configuration = {
        "architectures": ["Step1ForCausalLM"],
        "model_type": "step1",
        "hidden_size": sizes["d"],
        "intermediate_size": sizes["f"],
        "num_attention_heads": sizes["h"],
        "num_attention_groups": sizes["g"],
        "num_hidden_layers": sizes["n"],
        "max_seq_len": 4096,
        "vocab_size": sizes["v"],
        "rms_norm_eps": 1e-05,
        "bos_token_id": 1,
        "eos_token_id": 3,
        "pad_token_id": 0,
        "torch_dtype": "bfloat16",
    }
    if "slopes" in sizes:
        configuration |= {"alibi_slopes": sizes["slopes"], "tie_word_embeddings": True}
    (target / "config.json").write_text(json.dumps(configuration, indent=2))
    shutil.copy(work / f"{name}.model", target / "tokenizer.model")
    rules = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": "<|EOT|>",
        "unk_token": "<unk>",
        "pad_token": "<unk>",
        "tokenizer_class": "LlamaTokenizer",
        "legacy": False,
    }
    (target / "tokenizer_config.json").write_text(json.dumps(rules, indent=2))


def speakers(work, out):
    """Each voice's prompt, trimmed as the recipe of the published voices trims; the first is the default."""
    target, corpus = folder(out, "speakers"), Corpus(work)
    chosen = {}
    for name, voice in SPEAKERS.items():
        short = [e for e in corpus.entries if e["voice"] == voice and e["kind"] == "gen" and 1.8 < e["sec"] < 2.6]
        chosen[name] = sorted(short, key=lambda e: e["id"])[3]
    for name, prompt in chosen.items():
        samples = corpus.samples(prompt)
        _, (start, end) = librosa.effects.trim(samples, top_db=20, frame_length=700, hop_length=175)
        write_wav(target / f"{name}_prompt.wav", np.round(samples[max(0, start - 1100) : end + 4800] * 32767))
    registry = {name: prompt["text"] for name, prompt in chosen.items()}
    (target / "speakers_info.json").write_text(json.dumps(registry, ensure_ascii=False, indent=2))


def questions(work, out):
    """Recordings in the main voice with the answers they should get."""
    target, corpus = folder(out, "questions"), Corpus(work)
    answers = {text: answer for wordings, answer in domain.english() for text in wordings}
    listed = []
    for text in domain.DEMONSTRATED:
        entry = next(e for e in corpus.entries if e["text"] == text and e["voice"] == "hib")
        name = "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-") + ".wav"
        write_wav(target / name, corpus.arrays(entry)["a"])
        listed.append({"text": text, "recording": name, "answer": answers[text]})
    (target / "questions.json").write_text(json.dumps(listed, indent=2))


def speech_model(work, out):
    """The speech model, and the words that are pieces of their own, one a line."""
    language_model(work, "speech", folder(out, "Step-Audio-TTS-3B"))
    known = vocabulary.Vocabulary(work)
    (out / "vocabulary.txt").write_text("\n".join(sorted(known.common + known.others, key=str.lower)) + "\n", "utf-8")


def build(work, out):
    """Writes every part that has been trained in this work folder; the others stay as they are."""
    warnings.filterwarnings("ignore")
    out = folder(out)
    parts = {
        ("linguistic",): lambda: linguistic(work, out),
        ("semantic",): lambda: semantic(work, out),
        ("vocoder", "flow", "speaker"): lambda: decoder(work, out),
        ("speech",): lambda: speech_model(work, out),
        ("chat",): lambda: language_model(work, "chat", folder(out, "Step-Audio-Chat")),
    }
    for needed, write in parts.items():
        if all(work.checkpoint(name).exists() for name in needed):
            write()
            print("wrote", *needed)
    if (work / "manifest.jsonl").exists():
        speakers(work, out)
        questions(work, out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB in {out}")
