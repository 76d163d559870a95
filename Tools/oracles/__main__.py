"""Writes the tiny bundle and its cases: python -m oracles FOLDER."""

import pathlib
import shutil
import sys
import warnings

import torch
from safetensors.numpy import save_file

from .bundle import Bundle
from .cases import build


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = build(Bundle(folder))
    (folder / "cases").mkdir()
    for name, tensors in files.items():
        save_file(tensors, folder / "cases" / f"{name}.safetensors")
    count = len({name.rsplit("/", 1)[0] for tensors in files.values() for name in tensors})
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{count} cases, {size / 1e6:.1f} MB in {folder}")


main()
