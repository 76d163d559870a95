"""Makes docs/samples: six sentences spoken by the pocket bundle, and a picture of their spectrograms.

Usage: samples.py [--command BINARY] [--models FOLDER] [--out FOLDER]; needs matplotlib and scipy (Tools/training).
"""

import argparse
import pathlib
import subprocess
import wave

import matplotlib
import numpy as np
from scipy.signal import stft

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
TEXTS = {
    "france": "The capital of France is Paris.",
    "week": "A week has seven days.",
    "tuesday": "Tuesday comes after Monday.",
    "sum": "Three plus four is seven.",
    "morning": "Good morning. I hope you slept well.",
    "water": "The water in the river is cold and clear.",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default=str(ROOT / ".build/release/stepaudio"))
    parser.add_argument("--models", default=str(ROOT / "Models/pocket"))
    parser.add_argument("--out", default=ROOT / "docs/samples", type=pathlib.Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(len(TEXTS), 1, figsize=(9, 2.1 * len(TEXTS)))
    for axis, (name, text) in zip(axes, TEXTS.items()):
        path = options.out / f"{name}.wav"
        subprocess.run([options.command, "say", text, "-o", path, "--models", options.models, "--quiet"], check=True)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
        frequencies, times, spectrum = stft(samples, rate, nperseg=512, noverlap=384)
        level = 20 * np.log10(np.abs(spectrum) + 1e-6)
        axis.pcolormesh(times, frequencies / 1000, level, vmin=-100, vmax=-20, cmap="magma", rasterized=True)
        axis.set_ylim(0, 8)
        axis.set_ylabel("kHz")
        axis.set_title(text, fontsize=9)
    axes[-1].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(options.out / "spectrograms.png", dpi=80)


main()
