"""Writes a tiny Llama-shaped model with random weights over a bundle's vocabulary, for vLLM on a CPU.

Usage: tiny_model.py CHAT_FOLDER OUT

vLLM's CPU backend has no square-root ALiBi, so a Step-1 network does not run there; what is tested with this model is
everything around the network: exact prompt ids, streaming, seeds, stops, limits, errors. The tokenizer is written in the
fast format: the bundle's pieces as a Unigram model with byte fallback, special and audio tokens as added tokens.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, models


def tokenizer(path, out):
    """tokenizer.json with the same ids as tokenizer.model."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(path.read_bytes())
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    made = Tokenizer(models.Unigram(pieces, unk_id=proto.trainer_spec.unk_id, byte_fallback=True))
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    added = [p.piece for p in proto.pieces if p.type in (3, 4)]
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in added])
    made.save(str(out / "tokenizer.json"))
    return len(pieces)


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    vocabulary = tokenizer(source / "tokenizer.model", out)
    width, hidden, layers, heads = 128, 192, 2, 2  # heads of 64: the CPU backend has no narrow ones
    configuration = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 3,
        "torch_dtype": "float32",
    }
    (out / "config.json").write_text(json.dumps(configuration))
    (out / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "<|EOT|>"})
    )
    draw = torch.Generator().manual_seed(0)

    def matrix(rows, columns, scale=0.3):
        return torch.randn(rows, columns, generator=draw) * scale

    tensors = {
        "model.embed_tokens.weight": matrix(vocabulary, width, 1.0),
        "model.norm.weight": torch.ones(width),
        "lm_head.weight": matrix(vocabulary, width),
    }
    for layer in range(layers):
        name = f"model.layers.{layer}."
        for part in ("q", "k", "v", "o"):
            tensors[f"{name}self_attn.{part}_proj.weight"] = matrix(width, width)
        tensors[name + "mlp.gate_proj.weight"] = matrix(hidden, width)
        tensors[name + "mlp.up_proj.weight"] = matrix(hidden, width)
        tensors[name + "mlp.down_proj.weight"] = matrix(width, hidden)
        tensors[name + "input_layernorm.weight"] = torch.ones(width)
        tensors[name + "post_attention_layernorm.weight"] = torch.ones(width)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


main()
