"""Seeded draws: random weights of sensible size, and test signals. Nothing here depends on torch's own generator."""

import zlib

import numpy as np
import torch


class Draws:
    """A stream of random tensors that depends on its name only."""

    def __init__(self, name: str):
        self.generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))

    def normal(self, *shape, scale=1.0):
        """Normal values of the given deviation, fp32."""
        return torch.from_numpy((self.generator.standard_normal(shape) * scale).astype(np.float32))

    def uniform(self, *shape, low=0.0, high=1.0):
        """Uniform values, fp32."""
        return torch.from_numpy(self.generator.uniform(low, high, shape).astype(np.float32))

    def weight(self, *shape, gain=1.0):
        """A weight [out, in, ...] that keeps the variance of its input, times `gain`."""
        fan = int(np.prod(shape[1:]))
        return self.normal(*shape, scale=gain / fan**0.5)

    def scale(self, size):
        """Weights of a normalisation, around one."""
        return 1 + self.normal(size, scale=0.15)

    def bias(self, size, scale=0.1):
        """A bias around zero."""
        return self.normal(size, scale=scale)

    def integers(self, low, high, count):
        """Whole numbers in [low, high), I64."""
        return torch.from_numpy(self.generator.integers(low, high, count).astype(np.int64))


def voice(name: str, count: int, rate: int = 16000, peak: float = 0.5) -> np.ndarray:
    """A speech-like signal [count]: gliding harmonics in syllables, with breath between them, fp32."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    time = np.arange(count) / rate
    pitch = generator.uniform(110, 240) * (
        1 + 0.15 * np.sin(2 * np.pi * generator.uniform(1, 3) * time + generator.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    wander = generator.uniform(2, 6)
    signal = np.zeros(count)
    for harmonic in range(1, 25):
        tune = 500 + 300 * np.sin(2 * np.pi * wander * time) + 60 * harmonic
        gain = np.exp(-(((harmonic * pitch - tune) / 700) ** 2)) + 0.15 / harmonic
        gain = gain * (harmonic * pitch < 0.45 * rate)
        signal += gain * np.sin(harmonic * phase + generator.uniform(0, 6))
    noise = generator.standard_normal(count)
    noise = noise - 0.9 * np.concatenate([[0.0], noise[:-1]])
    syllable = np.clip(np.sin(2 * np.pi * generator.uniform(3, 5) * time + generator.uniform(0, 6)), -0.6, 1) + 0.6
    signal = signal * syllable / 1.6 + noise * (0.02 + 0.3 * np.clip(0.3 - syllable, 0, 1))
    return (signal / np.abs(signal).max() * peak).astype(np.float32)
