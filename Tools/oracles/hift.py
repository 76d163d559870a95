"""The vocoder: pitch of a mel, a harmonic source from it, and an inverse Fourier transform network; fp32.

Legend: T mel frames, 256 T samples, C channels, M mel bands.
Sources: stepfun-ai/Step-Audio cosyvoice/hifigan (generator.py, f0_predictor.py); Kaneko et al., "iSTFTNet" (2022);
Wang et al., "Neural Source-Filter" (2019); Ziyin et al. (2020) for Snake.
"""

import math

import torch
from torch.nn import functional as F

from .draws import Draws


class Vocoder:
    """Weights under the names of hift.pt, weight norm in either naming, sizes from cosyvoice.yaml."""

    def __init__(self, config, state):
        self.config, self.state = config, dict(state)
        for name in list(state):
            for gain, shape in ((".weight_g", ".weight_v"),
                                (".parametrizations.weight.original0", ".parametrizations.weight.original1")):
                if name.endswith(gain):
                    stem = name.removesuffix(gain)
                    v = state[stem + shape]
                    length = v.flatten(1).norm(dim=1).view(-1, 1, 1)
                    self.state[stem + ".weight"] = state[name] * v / length

    def conv(self, x, name, **options):
        return F.conv1d(x[None], self.state[name + ".weight"], self.state[name + ".bias"], **options)[0]

    def pitch(self, mel):
        """mel [M, T] to f0 [T] in hertz."""
        x = mel
        for index in range(0, 10, 2):
            x = F.elu(self.conv(x, f"f0_predictor.condnet.{index}", padding=1))
        weight, bias = (self.state[f"f0_predictor.classifier.{kind}"] for kind in ("weight", "bias"))
        return F.linear(x.t(), weight, bias)[:, 0].abs()

    def source(self, f0, phase, noise):
        """f0 [T], phase [9], noise [9, 256 T] to the source [256 T]; the phases are summed in fp64."""
        config = self.config
        f0 = f0.repeat_interleave(256)
        order = torch.arange(1, config["nb_harmonics"] + 2)[:, None]
        turns = (f0.double()[None] * order / config["sampling_rate"]).cumsum(1) % 1
        sines = config["nsf_alpha"] * torch.sin(2 * math.pi * turns + phase.double()[:, None]).float()
        voiced = (f0 > config["nsf_voiced_threshold"]).float()
        deviation = voiced * config["nsf_sigma"] + (1 - voiced) * config["nsf_alpha"] / 3
        waves = sines * voiced + deviation * noise
        weight, bias = (self.state[f"m_source.l_linear.{kind}"] for kind in ("weight", "bias"))
        return F.linear(waves.t(), weight, bias)[:, 0].tanh()

    def snake(self, x, name):
        alpha = self.state[name + ".alpha"][:, None]
        return x + (1 / (alpha + 1e-9)) * torch.sin(x * alpha) ** 2

    def block(self, x, name, dilations):
        for index, dilation in enumerate(dilations):
            kernel = self.state[f"{name}.convs1.{index}.weight"].shape[2]
            y = self.snake(x, f"{name}.activations1.{index}")
            y = self.conv(y, f"{name}.convs1.{index}", dilation=dilation, padding=(kernel * dilation - dilation) // 2)
            y = self.snake(y, f"{name}.activations2.{index}")
            x = x + self.conv(y, f"{name}.convs2.{index}", padding=(kernel - 1) // 2)
        return x

    def waveform(self, mel, source):
        """mel [M, T] and source [256 T] to samples [256 T]."""
        config = self.config
        points, hop = config["n_fft"], config["hop_len"]
        window = torch.hann_window(points)
        spectrum = torch.stft(source, points, hop, points, window, return_complex=True)
        spectrum = torch.cat([spectrum.real, spectrum.imag])
        x = self.conv(mel, "conv_pre", padding=3)
        stages, kernels = len(config["upsample_rates"]), len(config["resblock_kernel_sizes"])
        for index, rate in enumerate(config["upsample_rates"]):
            x = F.leaky_relu(x, config["lrelu_slope"])
            weight, bias = self.state[f"ups.{index}.weight"], self.state[f"ups.{index}.bias"]
            x = F.conv_transpose1d(x[None], weight, bias, rate, (weight.shape[2] - rate) // 2)[0]
            if index == stages - 1:
                x = torch.cat([x[:, 1:2], x], 1)
            rest = math.prod(config["upsample_rates"][index + 1:])
            part = self.conv(spectrum, f"source_downs.{index}", stride=rest, padding=rest // 2)
            x = x + self.block(part, f"source_resblocks.{index}", config["source_resblock_dilation_sizes"][index])
            x = sum(self.block(x, f"resblocks.{index * kernels + which}", dilations)
                    for which, dilations in enumerate(config["resblock_dilation_sizes"])) / kernels
        x = self.conv(F.leaky_relu(x), "conv_post", padding=3)
        magnitude, angle = x[: points // 2 + 1].exp().clamp(max=100), x[points // 2 + 1:].sin()
        spectrum = torch.complex(magnitude * angle.cos(), magnitude * angle.sin())
        samples = torch.istft(spectrum[None], points, hop, points, window)[0]
        return samples.clamp(-config["audio_limit"], config["audio_limit"])


def random_state(config, seed, legacy):
    """Random weights under the names of hift.pt; weight norm in the legacy or the newer naming."""
    draws, state = Draws("hift " + seed), {}
    base, spectrum = config["base_channels"], config["n_fft"] + 2

    def normed(name, out, fan, kernel, gain=1.0, transposed=False):
        shape = (fan, out, kernel) if transposed else (out, fan, kernel)
        weight = draws.normal(*shape, scale=gain / (fan * kernel) ** 0.5)
        names = (".weight_g", ".weight_v") if legacy else (
            ".parametrizations.weight.original0", ".parametrizations.weight.original1")
        state[name + ".bias"] = draws.bias(out)
        state[name + names[0]] = weight.flatten(1).norm(dim=1).view(-1, 1, 1)
        state[name + names[1]] = weight * draws.uniform(shape[0], 1, 1, low=0.5, high=1.5)

    def block(name, channels, kernel, dilations):
        for index in range(len(dilations)):
            for kind in ("convs1", "convs2"):
                normed(f"{name}.{kind}.{index}", channels, channels, kernel, gain=0.7)
            for kind in ("activations1", "activations2"):
                state[f"{name}.{kind}.{index}.alpha"] = draws.uniform(channels, low=0.4, high=1.6)

    normed("conv_pre", base, 80, 7, gain=0.4)
    for index, (rate, kernel) in enumerate(zip(config["upsample_rates"], config["upsample_kernel_sizes"])):
        channels = base >> (index + 1)
        normed(f"ups.{index}", channels, base >> index, kernel, gain=rate**0.5, transposed=True)
        rest = math.prod(config["upsample_rates"][index + 1:])
        state[f"source_downs.{index}.weight"] = draws.weight(channels, spectrum, 1 if rest == 1 else 2 * rest)
        state[f"source_downs.{index}.bias"] = draws.bias(channels)
        block(f"source_resblocks.{index}", channels, config["source_resblock_kernel_sizes"][index],
              config["source_resblock_dilation_sizes"][index])
        kernels = config["resblock_kernel_sizes"]
        for which, (size, dilations) in enumerate(zip(kernels, config["resblock_dilation_sizes"])):
            block(f"resblocks.{index * len(kernels) + which}", channels, size, dilations)
    normed("conv_post", spectrum, base >> len(config["upsample_rates"]), 7, gain=0.5)
    half = spectrum // 2
    state["conv_post.bias"][:half] -= 3.0
    state["m_source.l_linear.weight"] = draws.normal(1, config["nb_harmonics"] + 1, scale=1.5)
    state["m_source.l_linear.bias"] = draws.bias(1)
    cond = config["cond_channels"]
    for index in range(0, 10, 2):
        normed(f"f0_predictor.condnet.{index}", cond, 80 if index == 0 else cond, 3, gain=0.5 if index == 0 else 1.4)
    state["f0_predictor.classifier.weight"] = draws.weight(1, cond, gain=250)
    state["f0_predictor.classifier.bias"] = torch.tensor([60.0])
    return state
