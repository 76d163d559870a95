"""The HiFT vocoder: mel to waveform through a harmonic source and an inverse STFT.

Source: Li et al., "HiFTNet: A Fast High-Quality Neural Vocoder with Harmonic-plus-Noise Filter and Inverse Short Time
Fourier Transform" (2023); Yamamoto et al., "Parallel WaveGAN" (2020), for the multi-resolution spectral loss.
"""

import math

import librosa
import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import resample_poly
from torch import nn

from .features import Corpus
from .paths import RATE
from .session import Session, cosine

HOP, BASE = 256, 64
MEL = torch.tensor(librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=80, fmin=0, fmax=8000), dtype=torch.float32)
WINDOW = torch.hann_window(1024)


def mel_spectrogram(samples):
    """[B, N] to log mel [B, 80, N / 256]."""
    padded = F.pad(samples[:, None], (384, 384), mode="reflect")[:, 0]
    spectrum = torch.stft(padded, 1024, HOP, 1024, WINDOW, center=False, return_complex=True)
    power = spectrum.real**2 + spectrum.imag**2
    return torch.log(torch.clamp(MEL @ torch.sqrt(power + 1e-9), min=1e-5))


class SnakeFunction(torch.autograd.Function):
    """x + sin(ax)^2 / a with a gradient that keeps only its inputs."""

    @staticmethod
    def forward(context, x, a):
        context.save_for_backward(x, a)
        sine = torch.sin(a * x)
        return x + sine * sine / (a + 1e-9)

    @staticmethod
    def backward(context, gradient):
        x, a = context.saved_tensors
        double, sine = torch.sin(2 * a * x), torch.sin(a * x)
        slope = x * double / (a + 1e-9) - sine * sine / (a + 1e-9) ** 2
        return gradient * (1 + double * (a / (a + 1e-9))), (gradient * slope).sum((0, 2), keepdim=True)


class Snake(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        return SnakeFunction.apply(x, self.alpha[None, :, None])


class ResidualBlock(nn.Module):
    def __init__(self, channels, kernel, dilations=(1, 3, 5)):
        super().__init__()

        def convolution(dilation):
            layer = nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)
            nn.init.normal_(layer.weight, 0, 0.02 if channels > 64 else 0.04)
            nn.init.zeros_(layer.bias)
            return layer

        self.convs1 = nn.ModuleList([convolution(dilation) for dilation in dilations])
        self.convs2 = nn.ModuleList([convolution(1) for _ in dilations])
        self.activations1 = nn.ModuleList([Snake(channels) for _ in dilations])
        self.activations2 = nn.ModuleList([Snake(channels) for _ in dilations])

    def forward(self, x):
        for first, second, one, two in zip(self.convs1, self.convs2, self.activations1, self.activations2):
            x = x + second(two(first(one(x))))
        return x


class PitchPredictor(nn.Module):
    """Mel [B, 80, T] to hertz [B, T]. The classifier's output is scaled by 100, which the export folds in."""

    scale = 100.0

    def __init__(self, width=128):
        super().__init__()
        layers = []
        for index in range(5):
            layers += [nn.Conv1d(80 if index == 0 else width, width, 3, padding=1), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, 1)

    def forward(self, mel):
        return torch.abs(self.classifier(self.condnet(mel).transpose(1, 2)).squeeze(-1)) * self.scale


class Source(nn.Module):
    """Eight harmonics of the pitch, or noise where there is none, mixed to one signal."""

    def __init__(self):
        super().__init__()
        self.l_linear = nn.Linear(9, 1)

    def forward(self, pitch):
        frequency = pitch[:, None].repeat_interleave(HOP, 2) * torch.arange(1, 10)[None, :, None] / RATE
        angle = 2 * math.pi * torch.remainder(torch.cumsum(frequency.double(), 2), 1).float()
        phase = (torch.rand(pitch.shape[0], 9, 1) * 2 - 1) * math.pi
        phase[:, 0] = 0
        sine = 0.1 * torch.sin(angle + phase)
        voiced = (pitch > 10).float()[:, None].repeat_interleave(HOP, 2)
        noise = (voiced * 0.003 + (1 - voiced) * 0.1 / 3) * torch.randn_like(sine)
        return torch.tanh(self.l_linear((sine * voiced + noise).transpose(1, 2))).squeeze(-1)


class Vocoder(nn.Module):
    """Mel [B, 80, T] to samples [B, 256 T]."""

    def __init__(self, base=BASE):
        super().__init__()
        self.conv_pre = nn.Conv1d(80, base, 7, padding=3)
        nn.init.normal_(self.conv_pre.weight, 0, 0.03)
        nn.init.zeros_(self.conv_pre.bias)
        self.ups = nn.ModuleList([nn.ConvTranspose1d(base >> i, base >> (i + 1), 16, 8, 4) for i in range(2)])
        self.source_downs = nn.ModuleList([nn.Conv1d(18, base // 2, 16, 8, 4), nn.Conv1d(18, base // 4, 1)])
        self.source_resblocks = nn.ModuleList([ResidualBlock(base // 2, 7), ResidualBlock(base // 4, 11)])
        self.resblocks = nn.ModuleList([ResidualBlock(base >> (i + 1), k) for i in range(2) for k in (3, 7, 11)])
        self.conv_post = nn.Conv1d(base // 4, 18, 7, padding=3)
        self.m_source = Source()
        self.f0_predictor = PitchPredictor()
        nn.init.constant_(self.f0_predictor.classifier.bias, 1.0)
        self.register_buffer("window", torch.hann_window(16), persistent=False)

    def forward(self, mel, pitch=None):
        source = self.m_source(self.f0_predictor(mel) if pitch is None else pitch)
        spectrum = torch.stft(source, 16, 4, 16, self.window, center=True, return_complex=True)
        spectrum = torch.cat([spectrum.real, spectrum.imag], 1)
        x = self.conv_pre(mel)
        for index in range(2):
            x = self.ups[index](F.leaky_relu(x, 0.1))
            if index == 1:
                x = F.pad(x, (1, 0), mode="reflect")
            x = x + self.source_resblocks[index](self.source_downs[index](spectrum))
            x = sum(block(x) for block in self.resblocks[3 * index : 3 * index + 3]) / 3
        x = self.conv_post(F.leaky_relu(x, 0.01))
        magnitude, phase = torch.clamp(torch.exp(x[:, :9]), max=100), torch.sin(x[:, 9:])
        wave = torch.complex(magnitude * torch.cos(phase), magnitude * torch.sin(phase))
        return torch.clamp(torch.istft(wave, 16, 4, 16, self.window, center=True), -0.99, 0.99)


SHIFTS = [(2, 3), (4, 5), (6, 5), (3, 2)]  # up, down: longer is lower


def frame_pitch(pitch, frames, stretch=1.0):
    """The teacher's pitch (every 12.5 ms) at the mel frames of a copy `stretch` times as long; 0 where unvoiced."""
    times = (np.arange(frames) + 0.5) * HOP / RATE / stretch
    index = np.clip((times / 0.0125 - 0.5).round().astype(int), 0, len(pitch) - 1)
    found = pitch[index] / stretch
    found[found < 40] = 0
    return found.astype(np.float32)


RESOLUTIONS = [(2048, 512), (1024, 256), (512, 128), (256, 64)]


def spectral_loss(wanted, heard):
    """Spectral convergence and log magnitude over four resolutions."""
    total = 0
    for size, hop in RESOLUTIONS:
        window = torch.hann_window(size)
        one, two = (
            torch.stft(x, size, hop, size, window, return_complex=True).abs().clamp(min=1e-5) for x in (wanted, heard)
        )
        total = total + (one - two).norm() / one.norm() + (one.log() - two.log()).abs().mean()
    return total / len(RESOLUTIONS)


def train(work, minutes, seed=0):
    corpus, draw = Corpus(work), np.random.default_rng(seed)
    torch.manual_seed(seed)
    usable = [entry for entry in corpus.split()[0] if entry["sec"] > 0.8]
    entries, others = ([e for e in usable if bool(e["al"]) == aligned] for aligned in (True, False))
    net, cache = Vocoder(), {}
    predictor = list(net.f0_predictor.parameters())
    names = {id(parameter) for parameter in predictor}
    rest = [parameter for parameter in net.parameters() if id(parameter) not in names]
    optimizer = torch.optim.AdamW(
        [{"params": rest, "lr": 8e-4}, {"params": predictor, "lr": 1.6e-3}], betas=(0.8, 0.99), weight_decay=0.01
    )
    session = Session(work, "vocoder", minutes, net, optimizer, decay=0.998, clip=5.0)

    def aligned():
        """The main voice, or a higher or lower copy of it: samples, mel, pitch."""
        entry = entries[int(draw.integers(len(entries)))]
        shift = SHIFTS[int(draw.integers(len(SHIFTS)))] if draw.random() < 0.4 else (1, 1)
        key = entry["id"], shift
        if key not in cache:
            arrays = corpus.arrays(entry)
            samples = arrays["a"].astype(np.float32) / 32768
            samples = resample_poly(samples, *shift).astype(np.float32) if shift[0] != shift[1] else samples
            frames = len(samples) // HOP
            samples = torch.tensor(samples[: frames * HOP])
            pitch = torch.tensor(frame_pitch(arrays["f0"], frames, shift[0] / shift[1]))
            cache[key] = samples, mel_spectrogram(samples[None])[0], pitch
        return cache[key]

    def piece():
        """Where no teacher tells the pitch, the predictor does."""
        if not others or draw.random() < 0.6:
            return aligned()
        entry = others[int(draw.integers(len(others)))]
        samples = torch.tensor(corpus.samples(entry))
        samples = samples[: len(samples) // HOP * HOP]
        mel = mel_spectrogram(samples[None])[0]
        with torch.no_grad():
            pitch = net.f0_predictor(mel[None])[0]
        return samples, mel, torch.where(pitch > 40, pitch, 0)

    for fraction in session:
        rate = 8e-4 * min(1, (session.step_count + 1) / 100) * cosine(max(0, 2 * fraction - 1), 0.05)
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate, 2 * rate
        parts = []
        for _ in range(4):
            samples, mel, pitch = piece()
            start = int(draw.integers(0, mel.shape[1] - 32))
            frames = slice(start, start + 32)
            parts.append((samples[start * HOP : (start + 32) * HOP], mel[:, frames], pitch[frames]))
        samples, mel, pitch = (torch.stack(column) for column in zip(*parts))
        gain = 10 ** torch.empty(4, 1).uniform_(-0.6, 0.3)
        samples = samples * gain
        mel = torch.clamp(mel + torch.log(gain)[:, :, None], min=math.log(1e-5))
        heard = net(mel, pitch)
        distance = (mel_spectrogram(heard) - mel_spectrogram(samples)).abs().mean()
        _, whole, wanted = aligned()
        shift = math.log(10) * float(draw.uniform(-0.6, 0.3))
        error = (net.f0_predictor(whole[None] + shift) - wanted[None]).abs().mean()
        loss = spectral_loss(samples, heard) + 2 * distance + error / 50
        session.update(loss, mel=distance, pitch_hertz=error)
