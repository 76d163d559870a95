"""Flow, vocoder and encoders of the published sizes in PyTorch and ONNX Runtime, random weights.

The networks are those of `oracles`, which are plain fp32; the flow's guidance runs as one batch there as here: two calls.
Attention over long sequences is written out, as in the reference code. Seconds of each run after a first one.
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
import time

import torch

from oracles import campplus, flow, hift, linguistic, semantic
from oracles.draws import Draws

from . import shapes

FLOW = {
    "input_size": 512, "spk_embed_dim": 192, "vocab_size": 5121, "input_frame_rate": 125 / 3, "encoder_size": 512,
    "encoder_heads": 8, "encoder_units": 2048, "encoder_blocks": 6, "sampling_ratios": [1, 1, 1, 1],
    "channels": [256, 256], "attention_head_dim": 64, "estimator_heads": 8, "n_blocks": 4, "num_mid_blocks": 12,
    "inference_cfg_rate": 0.7,
}
VOCODER = {
    "base_channels": 512, "nb_harmonics": 8, "sampling_rate": 22050, "nsf_alpha": 0.1, "nsf_sigma": 0.003,
    "nsf_voiced_threshold": 10, "upsample_rates": [8, 8], "upsample_kernel_sizes": [16, 16], "n_fft": 16, "hop_len": 4,
    "resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    "source_resblock_kernel_sizes": [7, 11], "source_resblock_dilation_sizes": [[1, 3, 5]] * 2, "lrelu_slope": 0.1,
    "audio_limit": 0.99, "cond_channels": 512,
}
SEMANTIC = {"width": 1280, "heads": 20, "layers": 6, "places": 1500, "count": 4096}
LINGUISTIC = {"width": 512, "hidden": 2048, "blocks": 50, "kernel": 11}
SPEAKER = {"head": 32, "first": 128, "blocks": (12, 24, 16), "growth": 32, "inner": 128,
           "size": 192}


def timed(work, runs):
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def flow_work(seconds):
    """Ten steps with guidance after a prompt of one second, as `stepaudio bench --stage flow` runs it."""
    draws = Draws("peers flow")
    network = flow.Flow(FLOW, flow.random_state(FLOW, "peers"))
    rate = FLOW["input_frame_rate"]
    prompt, new = (draws.integers(0, 5120, count) for count in (int(rate), int(seconds * rate)))
    frames = network.frames(len(prompt))
    mel, embedding = draws.normal(frames, 80), draws.normal(FLOW["spk_embed_dim"])
    noise = draws.normal(80, frames + network.frames(len(new)))
    return lambda: network.mel(new, prompt, mel, embedding, noise)


def vocoder_work(seconds):
    draws = Draws("peers vocoder")
    network = hift.Vocoder(VOCODER, hift.random_state(VOCODER, "peers", True))
    frames = int(seconds * shapes.FRAME_RATE)
    mel, phase, noise = draws.normal(80, frames), draws.uniform(9), draws.normal(9, 256 * frames)
    return lambda: network.waveform(mel, network.source(network.pitch(mel), phase, noise))


def linguistic_work(seconds):
    """The encoder over rows of 60 ms in live chunks, four at a time."""
    state = linguistic.random_state(*(LINGUISTIC[name] for name in ("width", "hidden", "blocks", "kernel")))
    network = linguistic.Encoder(state, 4)
    rows = Draws("peers linguistic").normal(int(seconds / 0.06), linguistic.STACK * 80)
    return lambda: network(rows.split(linguistic.CHUNK))


def graph_work(model, export, inputs, threads):
    """An exported network in ONNX Runtime."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        with contextlib.redirect_stdout(io.StringIO()):
            export(model, path)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    feed = {name: value.numpy() for name, value in zip(names, inputs)}
    return lambda: session.run(None, feed)


def work(stage, engine, seconds, threads):
    """A function that does the stage's work once."""
    if stage == "flow":
        return flow_work(seconds)
    if stage == "vocoder":
        return vocoder_work(seconds)
    if stage == "linguistic":
        return linguistic_work(seconds)
    frames = int(100 * seconds)
    draws = Draws("peers " + stage)
    if stage == "semantic":
        model, export = semantic.random_model(**SEMANTIC), semantic.export
        inputs = (draws.normal(1, 128, frames), torch.tensor([frames], dtype=torch.int32))
    else:
        model, inputs = campplus.random_model(**SPEAKER), (draws.normal(1, frames, 80),)
        def export(model, path):
            campplus.export(model, path, True)
    if engine == "onnxruntime":
        return graph_work(model, export, inputs, threads)
    return lambda: model(*inputs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stage", choices=["flow", "vocoder", "linguistic", "semantic", "speaker"], required=True)
    parser.add_argument("--engine", choices=["torch", "onnxruntime"], default="torch")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        once = work(options.stage, options.engine, options.seconds, options.threads)
        kind = torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16")
        with kind:
            print(json.dumps(timed(once, options.runs)))


if __name__ == "__main__":
    main()
