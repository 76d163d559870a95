"""Where the recipe keeps what it makes: one work folder, never the repository."""

import json
import pathlib

RATE = 22050  # of the corpus, in Hz


class Work:
    """The work folder and the files of each stage in it."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.audio = self.root / "audio"
        self.audio.mkdir(parents=True, exist_ok=True)

    def __truediv__(self, name):
        return self.root / name

    def checkpoint(self, name):
        return self.root / f"{name}.pt"

    def manifest(self):
        """The corpus: one dictionary an utterance (id, voice, kind, text, phones, seconds, aligned)."""
        with open(self.root / "manifest.jsonl", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def tokens(self):
        """Linguistic and semantic codes by utterance id, from the stage `tokens`."""
        import numpy

        archive = numpy.load(self.root / "tokens.npz")
        return {int(key[1:]): (archive[key], archive["s" + key[1:]]) for key in archive.files if key[0] == "l"}
