"""Figures of sound: clicks, the distance of two recordings in log mel, the equal error rate of speaker embeddings."""

import pathlib
import wave

import librosa
import numpy as np



def recording(path):
    """Samples from -1 to 1, and the rate in Hz."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        return samples, file.getframerate()


def clicks(path):
    """Samples whose second difference stands far out of its neighbourhood, at most one in 5 ms; and the seconds.

    Voiced speech has a pulse in each pitch period, so jumps are held against the strongest ones around: the third
    largest of the 20 ms before and after. Jumps up to 0.02 are never counted.
    """
    samples, rate = recording(path)
    jumps = np.abs(np.diff(samples, 2))
    near, found, last = rate // 50, 0, -rate
    for at in np.flatnonzero(jumps > 0.02):
        around = np.concatenate([jumps[max(0, at - near) : max(0, at - 3)], jumps[at + 4 : at + near]])
        if at - last > rate // 200 and len(around) > 3 and jumps[at] > 3 * np.partition(around, -3)[-3]:
            found, last = found + 1, at
    return found, len(samples) / rate


def mel_distance(one, other):
    """Mean difference of the log mel (80 bands, nats), the shorter recording's length, the best of small shifts."""
    mels = []
    for path in (one, other):
        samples, rate = recording(path)
        power = librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=1024, hop_length=256, n_mels=80, fmax=8000)
        mels.append(np.log(np.maximum(np.sqrt(power), 1e-5)))
    found = []
    for shift in range(-8, 9):
        first, second = mels[0][:, max(0, shift) :], mels[1][:, max(0, -shift) :]
        count = min(first.shape[1], second.shape[1])
        found.append(np.abs(first[:, :count] - second[:, :count]).mean())
    return float(min(found))


def equal_error_rate(same, different):
    """Percent at which as many pairs of one voice fall below a threshold as pairs of two stay above it."""
    limits = np.sort(np.concatenate([same, different]))
    missed = np.searchsorted(np.sort(same), limits) / len(same)
    passed = 1 - np.searchsorted(np.sort(different), limits) / len(different)
    at = np.argmin(np.abs(missed - passed))
    return 100 * (missed[at] + passed[at]) / 2


def embeddings(bundle, recordings):
    """Unit vectors of samples at 16 kHz by the bundle's speaker encoder."""
    import onnxruntime

    from training import features

    path = next(pathlib.Path(bundle).glob("Step-Audio-TTS-3B/*/campplus.onnx"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    rows = [session.run(None, {"input": features.speaker(samples)[None]})[0][0] for samples in recordings]
    return [row / np.linalg.norm(row) for row in rows]
