"""Every curl line of docs/server.md does what the page says, block by block."""

import re
import shutil
import subprocess

import pytest
from conftest import QUESTIONS, ROOT, decoded_seconds

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/server.md").read_text(), re.DOTALL)


def test_there_is_a_line_for_every_endpoint():
    text = "\n".join(BLOCKS)
    for path in ["chat/completions", "audio/speech", "audio/voices", "audio/tokens", "audio/tokens/decode", "models", "health", "metrics", "openapi.json"]:
        assert path in text, path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curl")
    shutil.copy(QUESTIONS / "what-color-is-the-sky.wav", folder / "question.wav")
    return folder


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_block(server, folder, block):
    command = re.sub(r"^curl ", "curl -sS --fail-with-body ", block.replace("http://localhost:8080", server.url), flags=re.MULTILINE)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    run = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, capture_output=True, timeout=60)
    assert run.returncode == 0, f"{command}\n{run.stdout[-500:]}\n{run.stderr[-500:]}"
    made = [path for path in folder.iterdir() if before.get(path) != path.stat().st_mtime_ns]
    for path in made:
        if path.suffix in {".wav", ".mp3", ".opus", ".flac"}:
            assert decoded_seconds(path.read_bytes()) > 0.5
    assert made or run.stdout.strip()
