"""Signal processing: resampling, level, trimming, sox effects, filter banks and mel spectrograms, all fp32.

Sources: torchaudio transforms.Resample and compliance.kaldi.fbank (defaults), librosa.effects.trim, openai-whisper
log_mel_spectrogram, the SoX 14.4.2 program; stepfun-ai/Step-Audio utils.py (energy norm, trim_silence) and
cosyvoice frontend (mel of the prompt, features of the speaker encoder).
"""

import math
import subprocess
import tempfile
from pathlib import Path

import librosa
import numpy as np
import torch
from scipy.io import wavfile


def resample(waveform: np.ndarray, rate: int, target: int) -> np.ndarray:
    """[N] at `rate` to [ceil(N target / rate)]: windowed sinc, Hann, width 6, rolloff 0.99."""
    if rate == target:
        return waveform.copy()
    divisor = math.gcd(rate, target)
    source, new = rate // divisor, target // divisor
    base = min(source, new) * 0.99
    width = math.ceil(6 * source / base)
    taps = np.arange(-width, width + source, dtype=np.float64)[None, :] / source
    shift = (-np.arange(new) / new).astype(np.float32).astype(np.float64)[:, None]
    time = np.clip((shift + taps) * base, -6, 6)
    window = np.cos(time * np.pi / 12) ** 2
    angle = time * np.pi
    kernel = np.where(angle == 0, 1.0, np.sin(angle) / np.where(angle == 0, 1.0, angle))
    kernel = torch.from_numpy((kernel * window * base / source).astype(np.float32))
    padded = torch.nn.functional.pad(torch.from_numpy(waveform)[None, None], (width, width + source))
    rows = torch.nn.functional.conv1d(padded, kernel[:, None], stride=source)
    count = -(-new * len(waveform) // source)
    return rows[0].t().reshape(-1)[:count].numpy().copy()


def normalize(waveform: np.ndarray) -> np.ndarray:
    """Scales the peak of [N] to 0.999; peaks below 0.01 are lifted by 99.9 at most."""
    peak = np.maximum(np.abs(waveform).max(), np.float32(0.01))
    return ((waveform / peak) * np.float32(0.999)).astype(np.float32)


def trim(waveform: np.ndarray) -> np.ndarray:
    """Cuts silence at both ends of [N] (16 kHz); keeps 50 ms before and 220 ms after."""
    _, (start, end) = librosa.effects.trim(waveform, top_db=20, frame_length=512, hop_length=128)
    length = math.ceil((end - start) / 240) * 240 + 4320
    begin = int(start) - 800
    kept = waveform[begin:] if begin > 0 else np.concatenate([np.zeros(-begin, np.float32), waveform])
    kept = kept[:length]
    return np.concatenate([kept, np.zeros(length - len(kept), np.float32)])


def sox(waveform: np.ndarray, rate: int, *effect: str) -> np.ndarray:
    """[N] through one effect of the sox program, dither off, 32-bit float files."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.wav", Path(folder) / "out.wav"
        wavfile.write(source, rate, waveform)
        subprocess.run(["sox", "-D", "-V1", source, target, *effect], check=True)
        found, result = wavfile.read(target)
    assert found == rate and result.dtype == np.float32, (found, result.dtype)
    return result


def tempo(waveform, rate, factor):
    """[N] to [floor(N / factor + 0.5)], the pitch kept."""
    return sox(waveform, rate, "tempo", f"{factor:f}")


def volume(waveform, factor):
    """[N] times `factor`, limited to one."""
    return sox(waveform, 22050, "vol", f"{factor:f}", "amplitude")


def kaldi_filter_bank(waveform: np.ndarray, window: str) -> torch.Tensor:
    """[N] (16 kHz) to log energies [1 + (N - 400) / 160, 80]: kaldi's fbank without dither."""
    samples = torch.from_numpy(waveform)
    if len(samples) < 400:
        return torch.zeros(0, 80)
    frames = samples.unfold(0, 400, 160)
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], 1)
    frames = frames - 0.97 * before
    if window == "hamming":
        frames = frames * torch.hamming_window(400, periodic=False, alpha=0.54, beta=0.46)
    else:
        frames = frames * torch.hann_window(400, periodic=False).pow(0.85)
    power = torch.fft.rfft(torch.nn.functional.pad(frames, (0, 112))).abs().pow(2)
    return torch.clamp(power @ kaldi_triangles().t(), min=1.1920928955078125e-07).log()


def kaldi_triangles() -> torch.Tensor:
    """Filters [80, 257], linear in mel, 20 Hz to 8 kHz; the last bin has no weight."""
    def mel(frequency):
        return 1127.0 * np.log(1.0 + frequency / 700.0)
    low, high = mel(20.0), mel(8000.0)
    step = (high - low) / 81
    left = low + np.arange(80)[:, None] * step
    bins = mel(31.25 * np.arange(256))[None]
    up, down = (bins - left) / step, (left + 2 * step - bins) / step
    weights = np.maximum(0, np.minimum(up, down))
    return torch.from_numpy(np.pad(weights, ((0, 0), (0, 1))).astype(np.float32))


def whisper_log_mel(waveform: np.ndarray) -> torch.Tensor:
    """[N] (16 kHz, one piece of at most 30 s) to [128, N / 160]: Whisper's log-mel."""
    samples = torch.from_numpy(waveform)
    spectrum = torch.stft(samples, 400, 160, window=torch.hann_window(400), return_complex=True)
    power = spectrum[:, :-1].abs() ** 2
    bank = librosa.filters.mel(sr=16000, n_fft=400, n_mels=128, fmin=0, fmax=8000, norm="slaney", htk=False)
    log = torch.clamp(torch.from_numpy(bank.astype(np.float32)) @ power, min=1e-10).log10()
    return (torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0


def prompt_mel(waveform: np.ndarray) -> torch.Tensor:
    """[N] (22.05 kHz) to [N / 256, 80]: natural log of Slaney mels, no centring."""
    padded = torch.nn.functional.pad(torch.from_numpy(waveform)[None], (384, 384), mode="reflect")[0]
    spectrum = torch.stft(
        padded, 1024, 256, 1024, torch.hann_window(1024), center=False, return_complex=True)
    magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)
    bank = librosa.filters.mel(sr=22050, n_fft=1024, n_mels=80, fmin=0, fmax=8000)
    return torch.clamp(torch.from_numpy(bank) @ magnitude, min=1e-5).log().t().contiguous()


def speaker_features(waveform: np.ndarray) -> torch.Tensor:
    """[N] (16 kHz) to [T, 80]: kaldi's filter bank of the unscaled samples, the mean of each band removed."""
    rows = kaldi_filter_bank(waveform, "povey")
    return rows - rows.mean(0, keepdim=True)
