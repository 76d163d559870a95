"""The flow: tokens and a prompt to a mel spectrogram; fp32.

Legend: N tokens, P prompt tokens, T1 and T2 mel frames of prompt and speech, D width, H heads, C channels, M mel bands.
Sources: stepfun-ai/Step-Audio cosyvoice/flow (flow.py, flow_matching.py, decoder.py, length_regulator.py) and
cosyvoice/transformer (encoder.py, attention.py, embedding.py); Matcha-TTS (Mehta et al., 2023) for the U-Net;
Dai et al., "Transformer-XL" (2019) for the encoder's positions; Lipman et al. (2022) for flow matching.
"""

import math

import torch
from torch.nn import functional as F

from .draws import Draws


class Flow:
    """Weights under the names of flow.pt, sizes from cosyvoice.yaml."""

    def __init__(self, config, state):
        self.config, self.state = config, state

    def has(self, name):
        return name + ".weight" in self.state

    def linear(self, x, name):
        return F.linear(x, self.state[name + ".weight"], self.state.get(name + ".bias"))

    def conv(self, x, name, stride=1):
        weight = self.state[name + ".weight"]
        return F.conv1d(x[None], weight, self.state[name + ".bias"], stride, weight.shape[2] // 2)[0]

    def norm(self, x, name):
        weight = self.state[name + ".weight"]
        return F.layer_norm(x, weight.shape, weight, self.state[name + ".bias"], 1e-5)

    def group_norm(self, x, name, groups):
        return F.group_norm(x[None], groups, self.state[name + ".weight"], self.state[name + ".bias"], 1e-5)[0]

    # The encoder

    def encode(self, ids):
        """ids [N] to states [N, D]."""
        heads = self.config["encoder_heads"]
        x = self.state["input_embedding.weight"][ids.clamp(min=0)]
        x = self.norm(self.linear(x, "encoder.embed.out.0"), "encoder.embed.out.1")
        length, width = x.shape
        x = x * width**0.5
        distance = torch.arange(length - 1, -length, -1, dtype=torch.float32)[:, None]
        rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width))
        places = torch.stack([(distance * rate).sin(), (distance * rate).cos()], -1).reshape(2 * length - 1, width)
        place = torch.arange(length)
        row = length - 1 - place[:, None] + place[None]
        for index in range(self.config["encoder_blocks"]):
            name = f"encoder.encoders.{index}"
            y = self.norm(x, name + ".norm_mha")

            def split(rows, kind):
                return self.linear(rows, f"{name}.self_attn.linear_{kind}").view(len(rows), heads, -1).transpose(0, 1)
            q, k, v, p = split(y, "q"), split(y, "k"), split(y, "v"), split(places, "pos")
            content = (q + self.state[name + ".self_attn.pos_bias_u"][:, None]) @ k.transpose(1, 2)
            relative = (q + self.state[name + ".self_attn.pos_bias_v"][:, None]) @ p.transpose(1, 2)
            relative = relative.gather(2, row[None].expand(heads, -1, -1))
            mixed = ((content + relative) / (width // heads) ** 0.5).softmax(-1) @ v
            x = x + self.linear(mixed.transpose(0, 1).reshape(length, width), name + ".self_attn.linear_out")
            inner = F.silu(self.linear(self.norm(x, name + ".norm_ff"), name + ".feed_forward.w_1"))
            x = x + self.linear(inner, name + ".feed_forward.w_2")
        return self.norm(x, "encoder.after_norm")

    def frames(self, count):
        """Mel frames of `count` tokens."""
        return int(count / self.config["input_frame_rate"] * 22050 / 256)

    def condition(self, tokens, prompt_tokens, prompt_frames):
        """mu [M, T1 + T2]: the encoding, each part stretched to its mel length, then convolved."""
        states = self.linear(self.encode(torch.cat([prompt_tokens, tokens])), "encoder_proj").t()
        count = len(prompt_tokens)

        def stretch(x, length):
            return F.interpolate(x[None], size=length, mode="linear", align_corners=False)[0]
        x = stretch(states[:, count:], self.frames(len(tokens)))
        if count:
            x = torch.cat([stretch(states[:, :count], prompt_frames), x], 1)
        ratios = self.config["sampling_ratios"]
        for index in range(len(ratios)):
            x = self.conv(x, f"length_regulator.model.{3 * index}")
            x = F.mish(self.group_norm(x, f"length_regulator.model.{3 * index + 1}", 1))
        return self.conv(x, f"length_regulator.model.{3 * len(ratios)}")

    # The estimator

    def residual(self, x, time, name):
        h = F.mish(self.group_norm(self.conv(x, name + ".block1.block.0"), name + ".block1.block.1", 8))
        h = h + self.linear(F.mish(time), name + ".mlp.1")[:, None]
        h = F.mish(self.group_norm(self.conv(h, name + ".block2.block.0"), name + ".block2.block.1", 8))
        return h + self.conv(x, name + ".res_conv")

    def transformers(self, x, name):
        heads = self.config["estimator_heads"]
        x = x.t()
        for index in range(self.config["n_blocks"]):
            part = f"{name}.{index}"
            y = self.norm(x, part + ".norm1")
            q, k, v = (self.linear(y, f"{part}.attn1.to_{kind}").view(len(x), heads, -1).transpose(0, 1)
                       for kind in "qkv")
            mixed = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1) @ v
            x = x + self.linear(mixed.transpose(0, 1).reshape(len(x), -1), part + ".attn1.to_out.0")
            inner = F.gelu(self.linear(self.norm(x, part + ".norm3"), part + ".ff.net.0.proj"))
            x = x + self.linear(inner, part + ".ff.net.2")
        return x.t()

    def stage(self, x, time, name):
        return self.transformers(self.residual(x, time, name + ".0"), name + ".1")

    def velocity(self, x, mu, speaker, cond, t):
        """x, mu, cond [M, T], speaker [M], t [] to a velocity [M, T]; one row, no guidance."""
        top = "decoder.estimator."
        width = x.shape[0] + mu.shape[0] + len(speaker) + cond.shape[0]
        rate = torch.exp(torch.arange(width // 2, dtype=torch.float32) * -(math.log(10000.0) / (width // 2 - 1)))
        angle = 1000 * t * rate
        time = torch.cat([angle.sin(), angle.cos()])
        time = self.linear(F.silu(self.linear(time, top + "time_mlp.linear_1")), top + "time_mlp.linear_2")
        x = torch.cat([x, mu, speaker[:, None].expand(-1, x.shape[1]), cond])
        stages, skips = len(self.config["channels"]), []
        for index in range(stages):
            name = f"{top}down_blocks.{index}"
            x = self.stage(x, time, name)
            skips.append(x)
            last = index == stages - 1
            x = self.conv(x, name + ".2") if last else self.conv(x, name + ".2.conv", stride=2)
        for index in range(self.config["num_mid_blocks"]):
            x = self.stage(x, time, f"{top}mid_blocks.{index}")
        for index in range(stages):
            name, skip = f"{top}up_blocks.{index}", skips.pop()
            x = self.stage(torch.cat([x[:, : skip.shape[1]], skip]), time, name)
            if index == stages - 1:
                x = self.conv(x, name + ".2")
            else:
                up = name + ".2.conv"
                x = F.conv_transpose1d(x[None], self.state[up + ".weight"], self.state[up + ".bias"], 2, 1)[0]
        x = F.mish(self.group_norm(self.conv(x, top + "final_block.block.0"), top + "final_block.block.1", 8))
        return self.conv(x, top + "final_proj")

    # The whole

    def mel(self, tokens, prompt_tokens, prompt_mel, embedding, noise, steps=10):
        """mel [M, T2] from noise [M, T1 + T2] by Euler steps on a cosine grid with guidance."""
        speaker = self.linear(F.normalize(embedding, dim=0), "spk_embed_affine_layer")
        mu = self.condition(tokens, prompt_tokens, len(prompt_mel))
        cond = torch.zeros_like(mu)
        cond[:, : len(prompt_mel)] = prompt_mel.t()
        grid = 1 - torch.cos(torch.linspace(0, 1, steps + 1) * 0.5 * torch.pi)
        guidance = self.config["inference_cfg_rate"]
        x, t, step = noise, grid[0], grid[1] - grid[0]
        for index in range(1, steps + 1):
            given = self.velocity(x, mu, speaker, cond, t)
            free = self.velocity(x, torch.zeros_like(mu), torch.zeros_like(speaker), torch.zeros_like(cond), t)
            x = x + step * ((1 + guidance) * given - guidance * free)
            t = t + step
            if index < steps:
                step = grid[index + 1] - t
        return x[:, len(prompt_mel):]


def random_state(config, seed):
    """Random weights under the names of flow.pt."""
    draws, state = Draws("flow " + seed), {}
    width, inner, heads = config["encoder_size"], config["encoder_units"], config["encoder_heads"]
    bands, channels = 80, config["channels"]

    def linear(name, out, fan, bias=True, gain=1.0):
        state[name + ".weight"] = draws.weight(out, fan, gain=gain)
        if bias:
            state[name + ".bias"] = draws.bias(out)

    def conv(name, out, fan, kernel, gain=1.0):
        state[name + ".weight"] = draws.weight(out, fan, kernel, gain=gain)
        state[name + ".bias"] = draws.bias(out)

    def norm(name, size):
        state[name + ".weight"], state[name + ".bias"] = draws.scale(size), draws.bias(size)

    state["input_embedding.weight"] = draws.normal(config["vocab_size"], config["input_size"])
    linear("spk_embed_affine_layer", bands, config["spk_embed_dim"], gain=3)
    linear("encoder.embed.out.0", width, config["input_size"])
    norm("encoder.embed.out.1", width)
    norm("encoder.after_norm", width)
    for index in range(config["encoder_blocks"]):
        name = f"encoder.encoders.{index}"
        for kind in ("pos_bias_u", "pos_bias_v"):
            state[f"{name}.self_attn.{kind}"] = draws.normal(heads, width // heads, scale=0.3)
        for kind in ("q", "k", "v", "out"):
            linear(f"{name}.self_attn.linear_{kind}", width, width, gain=2 if kind == "out" else 1)
        linear(f"{name}.self_attn.linear_pos", width, width, bias=False)
        linear(f"{name}.feed_forward.w_1", inner, width, gain=1.5)
        linear(f"{name}.feed_forward.w_2", width, inner, gain=2)
        norm(name + ".norm_ff", width)
        norm(name + ".norm_mha", width)
    linear("encoder_proj", bands, width)
    ratios = config["sampling_ratios"]
    for index in range(len(ratios)):
        conv(f"length_regulator.model.{3 * index}", bands, bands, 3)
        norm(f"length_regulator.model.{3 * index + 1}", bands)
    conv(f"length_regulator.model.{3 * len(ratios)}", bands, bands, 1)

    top, time = "decoder.estimator.", 4 * channels[0]
    linear(top + "time_mlp.linear_1", time, 4 * bands)
    linear(top + "time_mlp.linear_2", time, time, gain=1.5)

    def stage(name, fan, size):
        conv(name + ".0.block1.block.0", size, fan, 3)
        norm(name + ".0.block1.block.1", size)
        linear(name + ".0.mlp.1", size, time, gain=1.5)
        conv(name + ".0.block2.block.0", size, size, 3)
        norm(name + ".0.block2.block.1", size)
        conv(name + ".0.res_conv", size, fan, 1)
        attention = config["estimator_heads"] * config["attention_head_dim"]
        for index in range(config["n_blocks"]):
            part = f"{name}.1.{index}"
            norm(part + ".norm1", size)
            norm(part + ".norm3", size)
            for kind in "qkv":
                linear(f"{part}.attn1.to_{kind}", attention, size, bias=False, gain=1.3)
            linear(part + ".attn1.to_out.0", size, attention)
            linear(part + ".ff.net.0.proj", 4 * size, size)
            linear(part + ".ff.net.2", size, 4 * size)

    fan = 4 * bands
    for index, size in enumerate(channels):
        name = f"{top}down_blocks.{index}"
        stage(name, fan, size)
        conv(name + (".2" if index == len(channels) - 1 else ".2.conv"), size, size, 3)
        fan = size
    for index in range(config["num_mid_blocks"]):
        stage(f"{top}mid_blocks.{index}", fan, fan)
    rising = channels[::-1] + channels[:1]
    for index in range(len(channels)):
        name, size = f"{top}up_blocks.{index}", rising[index + 1]
        stage(name, 2 * rising[index], size)
        if index == len(channels) - 1:
            conv(name + ".2", size, size, 3)
        else:
            conv(name + ".2.conv", size, size, 4, gain=1.4)
    conv(top + "final_block.block.0", channels[0], channels[0], 3)
    norm(top + "final_block.block.1", channels[0])
    conv(top + "final_proj", bands, channels[0], 1, gain=2)
    return state
