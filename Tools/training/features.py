"""Features of the corpus: the linguistic encoder's stacked filter bank, the semantic encoder's log mel, the speaker
encoder's filter bank, and the noise, rooms and levels that training adds."""

import math

import librosa
import numpy as np
from scipy.signal import fftconvolve, resample_poly

SILENT = set('ˈˌ 0.,?!;:—…"()“”')
FLOOR = 1.1920929e-07


class Corpus:
    """The manifest, the waveforms and the phone inventory."""

    def __init__(self, work):
        self.work = work
        self.entries = work.manifest()
        phones = sorted({c for entry in self.entries for c in entry["ph"] if c} - SILENT)
        self.phone_ids = {phone: index + 1 for index, phone in enumerate(phones)}  # 0 is blank and silence
        self.phone_count = len(phones) + 1

    def split(self, count=80):
        """Utterances to train on, and some that are never trained on."""
        held = [entry for entry in self.entries if entry["id"] % 100 == 7][:count]
        names = {entry["id"] for entry in held}
        return [entry for entry in self.entries if entry["id"] not in names], held

    def arrays(self, entry):
        return np.load(self.work.audio / f"{entry['id']}.npz")

    def samples(self, entry):
        """At 22,050 Hz."""
        return self.arrays(entry)["a"].astype(np.float32) / 32768

    def samples16(self, entry):
        """At 16 kHz."""
        return resample_poly(self.samples(entry), 320, 441).astype(np.float32)

    def target(self, entry):
        """Phone ids for CTC."""
        return [self.phone_ids[c] for c in entry["ph"] if c in self.phone_ids]

    def labels(self, entry, rate, count):
        """The phone at each of `count` steps, `rate` a second, of an aligned utterance."""
        ends = np.cumsum(self.arrays(entry)["D"]) * 0.0125
        ends = ends * (entry["sec"] / ends[-1]) if ends[-1] > 0 else ends
        index = np.clip(np.searchsorted(ends, (np.arange(count) + 0.5) / rate), 0, len(ends) - 1)
        return np.array([self.phone_ids.get(entry["ph"][j], 0) for j in index])


def normalized(samples):
    """The tokenizer's energy normalisation."""
    return (samples / max(np.abs(samples).max(), 0.01) * 0.999).astype(np.float32)


def kaldi_filters():
    def mel(frequency):
        return 1127 * np.log(1 + frequency / 700)

    low, step = mel(20.0), (mel(8000.0) - mel(20.0)) / 81
    bins = mel(31.25 * np.arange(256))
    filters = np.zeros((80, 257))
    for band in range(80):
        left, center, right = (low + (band + k) * step for k in range(3))
        filters[band, :256] = np.maximum(0, np.minimum((bins - left) / step, (right - bins) / step))
    return filters.T.astype(np.float32)


FILTERS = kaldi_filters()
HAMMING = (0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399)).astype(np.float32)
POVEY = ((0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85).astype(np.float32)


def filter_bank(samples, window):
    """Kaldi's log filter bank of 80 bands, [T, 80]."""
    if len(samples) < 400:
        return np.zeros((0, 80), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160].copy()
    frames -= frames.mean(1, keepdims=True)
    frames = np.concatenate([frames[:, :1] * 0.03, frames[:, 1:] - 0.97 * frames[:, :-1]], 1) * window
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    return np.log(np.maximum(power @ FILTERS, FLOOR)).astype(np.float32)


def stacked(bank):
    """Seven frames a row, six frames a step, as FunASR's online front end stacks them: [T', 560]."""
    if len(bank) == 0:
        return np.zeros((0, 560), np.float32)
    padded = np.concatenate([np.repeat(bank[:1], 3, 0), bank])
    rows = []
    for index in range(math.ceil((len(padded) - 3) / 6)):
        row = padded[6 * index : 6 * index + 7]
        rows.append(np.concatenate([row, np.repeat(row[-1:], 7 - len(row), 0)]).reshape(-1))
    return np.stack(rows)


def linguistic(samples):
    return stacked(filter_bank(samples * 32768, HAMMING))


def speaker(samples):
    bank = filter_bank(samples, POVEY)
    return (bank - bank.mean(0)).astype(np.float32)


MELS = librosa.filters.mel(sr=16000, n_fft=400, n_mels=128).astype(np.float32)
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)).astype(np.float32)


def semantic(samples):
    """Whisper's log mel of 128 bands, [T, 128]."""
    padded = np.pad(samples, 200, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][: len(samples) // 160] * HANN
    mel = np.log10(np.maximum(np.abs(np.fft.rfft(frames, 400)) ** 2 @ MELS.T, 1e-10))
    return ((np.maximum(mel, mel.max() - 8) + 4) / 4).astype(np.float32)


def augmented(samples, draw):
    """A tilt, a room, noise or hiss; a quarter stays clean."""
    if draw.random() < 0.25:
        return samples
    if draw.random() < 0.4:
        samples = samples + draw.uniform(-0.5, 0.5) * np.concatenate([[0], samples[:-1]])
    if draw.random() < 0.3:
        length = int(16000 * draw.uniform(0.05, 0.25))
        room = draw.normal(size=length) * np.exp(-np.arange(length) / (length / 4))
        room[0] = 0
        room *= draw.uniform(0.1, 0.5) / np.sqrt((room**2).sum())
        samples = samples + fftconvolve(samples, room)[: len(samples)]
    if draw.random() < 0.6:
        level = 10 ** (-draw.uniform(10, 40) / 20)
        noise = draw.normal(size=len(samples))
        if draw.random() < 0.5:
            noise = np.convolve(noise, np.ones(8) / 8, "same")
        samples = samples + noise / noise.std() * np.sqrt((samples**2).mean()) * level
    if draw.random() < 0.2:
        samples = samples + draw.normal(size=len(samples)) * 10 ** draw.uniform(-5, -3.5)
    return samples.astype(np.float32)
