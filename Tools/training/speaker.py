"""The speaker encoder, a small CAM++, trained to tell the teachers' voices and shifted copies of them apart.

Source: Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking" (2023);
Wang et al., "CosFace" (2018), for the margin. Names as in 3D-Speaker.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import resample_poly
from torch import nn

from . import features
from .features import Corpus
from .session import Session

SHIFTS = [(1, 1), (6, 7), (7, 6)]  # resampling that makes three voices of one


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, (stride, 1), bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class Head(nn.Module):
    """Two-dimensional convolutions that shrink 80 bands to 10."""

    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(Residual(width, width, 2), Residual(width, width, 1))
        self.layer2 = nn.Sequential(Residual(width, width, 2), Residual(width, width, 1))
        self.conv2 = nn.Conv2d(width, width, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x):
        x = self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x[:, None])))))
        return F.relu(self.bn2(self.conv2(x))).flatten(1, 2)


class Norm(nn.Module):
    def __init__(self, channels, affine=True):
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(channels, affine=affine)

    def forward(self, x):
        return self.batchnorm(x)


class ContextMask(nn.Module):
    def __init__(self, inputs, outputs, dilation):
        super().__init__()
        self.linear_local = nn.Conv1d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(inputs, inputs // 2, 1)
        self.linear2 = nn.Conv1d(inputs // 2, outputs, 1)

    def forward(self, x):
        segments = F.avg_pool1d(x, 100, 100, ceil_mode=True).repeat_interleave(100, 2)[..., : x.shape[-1]]
        context = x.mean(-1, keepdim=True) + segments
        return self.linear_local(x) * torch.sigmoid(self.linear2(F.relu(self.linear1(context))))


class DenseLayer(nn.Module):
    def __init__(self, inputs, middle, growth, dilation):
        super().__init__()
        self.nonlinear1 = Norm(inputs)
        self.linear1 = nn.Conv1d(inputs, middle, 1, bias=False)
        self.nonlinear2 = Norm(middle)
        self.cam_layer = ContextMask(middle, growth, dilation)

    def forward(self, x):
        return self.cam_layer(F.relu(self.nonlinear2(self.linear1(F.relu(self.nonlinear1(x))))))


class DenseBlock(nn.Module):
    def __init__(self, layers, inputs, middle, growth, dilation):
        super().__init__()
        for index in range(layers):
            self.add_module(f"tdnnd{index + 1}", DenseLayer(inputs + growth * index, middle, growth, dilation))

    def forward(self, x):
        for layer in self.children():
            x = torch.cat([x, layer(x)], 1)
        return x


class Transit(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.nonlinear = Norm(inputs)
        self.linear = nn.Conv1d(inputs, outputs, 1, bias=False)

    def forward(self, x):
        return self.linear(F.relu(self.nonlinear(x)))


class TimeDelay(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 5, 2, 2, bias=False)
        self.nonlinear = Norm(outputs)

    def forward(self, x):
        return F.relu(self.nonlinear(self.linear(x)))


class Embedding(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 1, bias=False)
        self.nonlinear = Norm(outputs, affine=False)

    def forward(self, x):
        return self.nonlinear(self.linear(x[..., None]))[..., 0]


class XVector(nn.Module):
    def __init__(self, inputs, channels=32, growth=16, middle=32, layers=(4, 6, 4), size=192):
        super().__init__()
        self.tdnn = TimeDelay(inputs, channels)
        for index, (count, dilation) in enumerate(zip(layers, (1, 2, 2))):
            self.add_module(f"block{index + 1}", DenseBlock(count, channels, middle, growth, dilation))
            channels += growth * count
            self.add_module(f"transit{index + 1}", Transit(channels, channels // 2))
            channels //= 2
        self.out_nonlinear = Norm(channels)
        self.dense = Embedding(2 * channels, size)

    def forward(self, x):
        x = self.tdnn(x)
        for index in (1, 2, 3):
            x = self.get_submodule(f"transit{index}")(self.get_submodule(f"block{index}")(x))
        x = F.relu(self.out_nonlinear(x))
        return self.dense(torch.cat([x.mean(-1), x.std(-1, unbiased=True)], 1))


class SpeakerEncoder(nn.Module):
    """Filter bank [B, T, 80] to an embedding [B, 192]."""

    def __init__(self, width=8):
        super().__init__()
        self.head = Head(width)
        self.xvector = XVector(10 * width)

    def forward(self, x):
        return self.xvector(self.head(x.transpose(1, 2)))


def embed(net, samples):
    """The embedding of samples at 16 kHz."""
    return net(torch.tensor(features.speaker(samples))[None])[0]


def load(work):
    net = SpeakerEncoder()
    net.load_state_dict(torch.load(work.checkpoint("speaker"), weights_only=False)["net"])
    return net.eval()


def train(work, minutes, seed=0):
    corpus, draw = Corpus(work), np.random.default_rng(seed)
    torch.manual_seed(seed)
    voices = sorted({entry["voice"] for entry in corpus.entries})
    groups = [[entry for entry in corpus.entries if entry["voice"] == voice] for voice in voices]
    classes = len(voices) * len(SHIFTS)
    net = SpeakerEncoder()
    centers = nn.Parameter(torch.randn(classes, 192) * 0.1)
    optimizer = torch.optim.AdamW(list(net.parameters()) + [centers], lr=2e-3)
    session = Session(work, "speaker", minutes, net, optimizer)
    length = 160 * 120 + 240
    for fraction in session:
        optimizer.param_groups[0]["lr"] = 2e-3 * (0.03 + 0.97 * (1 - fraction))
        rows, labels = [], []
        for _ in range(24):
            voice, shift = int(draw.integers(len(voices))), int(draw.integers(len(SHIFTS)))
            samples = corpus.samples16(groups[voice][int(draw.integers(len(groups[voice])))])
            if shift:
                samples = resample_poly(samples, *SHIFTS[shift])
            samples = samples * 10 ** draw.uniform(-1, 0.3)
            samples = (samples + draw.normal(size=len(samples)) * 10 ** draw.uniform(-6, -3)).astype(np.float32)
            samples = np.tile(samples, 1 + length // len(samples))
            start = int(draw.integers(0, len(samples) - length + 1))
            rows.append(features.speaker(samples[start : start + length]))
            labels.append(voice * len(SHIFTS) + shift)
        labels = torch.tensor(labels)
        similar = F.normalize(net(torch.tensor(np.stack(rows)))) @ F.normalize(centers).T
        loss = F.cross_entropy((similar - 0.1 * F.one_hot(labels, classes)) * 15, labels)
        session.update(loss, right=(similar.argmax(1) == labels).float().mean())
