"""The voices that read the corpus: hibari-tts (neural, PyPI), flite and espeak-ng (Debian)."""

import math
import os
import pathlib
import subprocess
import tempfile
import wave

import numpy as np
from scipy.signal import resample_poly

from .paths import RATE

FLITE = ["slt", "rms", "awb", "kal16"]
ESPEAK = ["en-us", "en-us+f2", "en-gb+m3", "en-us+m7"]


def resampled(samples, rate):
    divisor = math.gcd(rate, RATE)
    return resample_poly(samples, RATE // divisor, rate // divisor).astype(np.float32)


class Hibari:
    """The main voice. It also tells how long each phone lasts and its pitch, every 12.5 ms."""

    name = "hib"

    def __init__(self):
        import hibari
        import hibari.tts
        import onnx
        import onnxruntime

        self.module = hibari.tts
        self.voice = hibari.Hibari()
        self.assets = pathlib.Path(hibari.tts.__file__).parent / "assets"
        model = onnx.load(self.assets / "hibari.onnx")
        # The durations are an inner value of the graph.
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info("/Clip_output_0"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def phones(self, text):
        return [c for part in self.voice.phonemize(text) for c in part if c in self.voice.vocab]

    def read(self, text, seed):
        """Samples, phones with the silences around them, seconds of each, pitch every 12.5 ms."""
        parts, phones, durations, pitch = [], [], [], []
        for part in self.voice.phonemize(text):
            feed = {
                "ids": np.asarray([self.voice.ids(part)], np.int64),
                "speed": np.asarray([1.0], np.float32),
            }
            outputs = self.session.run(None, feed)
            harmonics = [value[0] for value in outputs[:6]]
            noise = np.random.default_rng(seed)
            parts.append(self.module.dsp.synth(*harmonics, noise))
            pitch.append(harmonics[5])
            durations.append(np.asarray(outputs[6]).reshape(-1))
            phones += [""] + [c for c in part if c in self.voice.vocab] + [""]
        samples = resampled(np.concatenate(parts), 24000)
        return samples, phones, np.concatenate(durations), np.concatenate(pitch)


def program(voice, text):
    """Samples of a voice of flite or espeak-ng."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        path = folder + "/speech.wav"
        if voice in FLITE:
            command = ["flite", "-voice", voice, "-t", " " + text, "-o", path]
        else:
            command = ["espeak-ng", "-v", voice, "-w", path, text]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with wave.open(path) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
            return resampled(samples, file.getframerate())
