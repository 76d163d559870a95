"""Self-check: the oracles against golden numbers of the published reference classes, and against other packages.

    python -m oracles.check [tokenizer.model of Step-1]

The golden numbers were measured on torchaudio, librosa, FunASR 1.0.14, openai-whisper and S3Tokenizer with signals and
weights that are formulas. With the published tokenizer.model its golden ids are checked as well.
"""

import sys

import numpy as np
import torch

from . import audio, linguistic, semantic, text

FAILURES = []


def near(label, value, expected, tolerance):
    error = float(np.max(np.abs(np.asarray(value, np.float64) - np.asarray(expected, np.float64))))
    good = error <= tolerance
    print(f"{'pass' if good else 'FAIL'}  {label}: {error:.2e} (at most {tolerance:.0e})")
    if not good:
        FAILURES.append(label)


def same(label, value, expected):
    good = value == expected
    print(f"{'pass' if good else 'FAIL'}  {label}")
    if not good:
        print("      got     ", value, "\n      expected", expected)
        FAILURES.append(label)


def tones(count, rate=16000):
    time = np.arange(count) / rate
    return (0.3 * np.sin(2 * np.pi * 440 * time) + 0.1 * np.sin(2 * np.pi * 1333 * time)).astype(np.float32)


def chirp(count, sweep):
    time = np.arange(count) / 16000
    return (0.3 * np.sin(2 * np.pi * (440 + sweep * time) * time)
            + 0.1 * np.sin(2 * np.pi * 1333 * time)).astype(np.float32)


def formula(shape, number, kind, matrix):
    """Weights that are a formula of their place."""
    index = np.arange(int(np.prod(shape)), dtype=np.float64)
    value = np.sin(0.7 * index + 1.3 * number + 0.001 * ((index * index) % 9972))
    value = {"norm": 1 + 0.1 * value, "bias": 0.05 * value, "memory": 0.2 * value}.get(kind, matrix * value)
    return torch.from_numpy(value.astype(np.float32).reshape(shape))


def check_audio():
    rows = {
        24000: (0.006783, 0.100289, -0.212854, 0.050865, 0.205971, 80.06306),
        44100: (0.009779, 0.100120, -0.212865, 0.053483, 0.210675, 80.06343),
        48000: (0.009963, 0.100116, -0.212865, 0.053653, 0.210975, 80.06339),
        22050: (0.005943, 0.100372, -0.212868, 0.050159, 0.204705, 80.06306),
        32000: (0.008688, 0.100153, -0.212863, 0.052511, 0.208926, 80.06270)}
    for rate, expected in rows.items():
        y = audio.resample(tones(rate // 10, rate), rate, 16000).astype(np.float64)
        near(f"resample {rate}", [y[0], y[1], y[100], y[1599], y.sum(), (y**2).sum()], expected, 2e-5)
    n = np.arange(24000)
    signal = np.where((n >= 6000) & (n < 15000), 0.5 * np.sin(2 * np.pi * 300 * n / 16000),
                      0.002 * np.sin(2 * np.pi * 500 * n / 16000)).astype(np.float32)
    same("trim, a slice", len(audio.trim(signal)), 13920)
    n = np.arange(9000)
    signal = np.where((n >= 300) & (n < 8000), 0.5 * np.sin(2 * np.pi * 300 * n / 16000), 0).astype(np.float32)
    same("trim, zeros before", (len(audio.trim(signal)), int(np.argmax(audio.trim(signal) != 0))), (12720, 972))
    same("trim, silence", len(audio.trim(np.zeros(5000, np.float32))), 9360)
    rows = audio.kaldi_filter_bank(tones(16000) * 32768, "hamming").numpy()
    near("filter bank", [rows.mean(), rows.max(), rows.min(), rows[0, 0], rows[0, 17], rows[50, 17], rows[50, 36],
                         rows[50, 40], rows[97, 79]],
         [13.41702, 24.36807, 4.84809, 10.66213, 12.86794, 13.17868, 13.88254, 12.83908, 11.34312], 5e-5)
    mel = semantic.log_mel(tones(16000)).numpy()
    near("log-mel", [mel.mean(), mel.max(), mel.min(), mel[0, 0], mel[10, 0], mel[20, 50], mel[127, 99], mel[64, 50]],
         [-0.419642, 1.374432, -0.625568, 0.818498, 0.890869, 1.176465, -0.555938, -0.625568], 5e-6)


def check_linguistic():
    shift, scale = torch.full((560,), -10.0), torch.full((560,), 0.25)
    rows = linguistic.chunks(tones(9000), shift, scale)
    same("rows of the chunks", [len(part) for part in rows], [4, 4, 1])
    rows = torch.cat(rows).numpy()
    near("front end", [rows.mean(), rows[0, 17], rows[0, 257], rows[1, 0], rows[4, 300], rows[8, 17], rows[8, 559]],
         [0.854049, 0.71698, 0.71698, 0.88824, -0.14190, 0.76123, -0.18611], 1e-5)
    counts = {879: 0, 880: 1, 1359: 1, 1360: 2, 2320: 3, 3280: 4, 3840: 4, 3841: 4, 4719: 4, 4720: 5, 9000: 9,
              25000: 26, 40000: 42}
    found = {n: sum(map(len, linguistic.chunks(tones(n), shift, scale))) for n in counts}
    same("linguistic counts", found, counts)
    first, fourth = linguistic.positions(1, 1, 560)[0], linguistic.positions(4, 1, 560)[0]
    near("positions", [*first[[0, 1, 279, 280]], *fourth[[0, 100, 380, 559]]],
         [0.841471, 0.823485, 0.0001, 0.540302, -0.756802, 0.146823, 0.989163, 1.0], 1e-6)
    state, number = {}, 0
    for name in linguistic.layer_names(2):
        fan = 560 if "encoders0" in name else 512
        for key, shape, kind in [
                ("norm1.weight", (fan,), "norm"), ("norm1.bias", (fan,), "bias"),
                ("self_attn.linear_q_k_v.weight", (1536, fan), ""), ("self_attn.linear_q_k_v.bias", (1536,), "bias"),
                ("self_attn.linear_out.weight", (512, 512), ""), ("self_attn.linear_out.bias", (512,), "bias"),
                ("self_attn.fsmn_block.weight", (512, 1, 11), "memory"),
                ("norm2.weight", (512,), "norm"), ("norm2.bias", (512,), "bias"),
                ("feed_forward.w_1.weight", (2048, 512), ""), ("feed_forward.w_1.bias", (2048,), "bias"),
                ("feed_forward.w_2.weight", (512, 2048), ""), ("feed_forward.w_2.bias", (512,), "bias")]:
            state[f"{name}.{key}"] = formula(shape, number, kind, 0.06)
            number += 1
    state["encoder.after_norm.weight"] = formula((512,), number, "norm", 0)
    state["encoder.after_norm.bias"] = formula((512,), number + 1, "bias", 0)
    encoder = linguistic.Encoder(state, 4)
    hidden = encoder(linguistic.chunks(tones(9000), shift, scale))
    near("encoder, tones", [hidden.mean(), hidden.std(), hidden[0, 0], hidden[0, 511], hidden[3, 100],
                            hidden[4, 100], hidden[8, 0], hidden[8, 511]],
         [0.000003, 1.003976, 0.82208, 1.00821, -0.85258, -0.61911, 1.06389, 0.94979], 3e-5)
    hidden = encoder(linguistic.chunks(chirp(40000, 200), shift, scale))
    near("encoder, chirp", [hidden.mean(), hidden.std(), hidden[0, 0], hidden[20, 7], hidden[24, 7], hidden[41, 511]],
         [-0.000150, 1.005960, 0.77663, -1.08747, -0.90319, 0.65164], 3e-5)
    index = np.arange(1024 * 512, dtype=np.float64)
    centroids = np.sin(0.7 * index + 0.001 * ((index * index) % 9972)).astype(np.float32).reshape(1024, 512)
    codes, _ = linguistic.codes(hidden, torch.from_numpy(centroids))
    same("linguistic codes", codes.tolist(), [
        600, 600, 600, 55, 180, 180, 104, 364, 55, 55, 252, 600, 252, 252, 252, 252, 600, 600, 252, 252, 252, 252, 252,
        252, 252, 252, 499, 252] + [600] * 14)


def check_semantic():
    model, number = semantic.Tokenizer(64, 4, 2, 1500, 50), 0

    def fill(tensor, kind):
        nonlocal number
        tensor.data.copy_(formula(tensor.shape, number, kind, 0.15))
        number += 1
    encoder = model.encoders
    for conv in (encoder.conv1, encoder.conv2):
        fill(conv.weight, ""), fill(conv.bias, "bias")
    rate = torch.exp(-torch.arange(32) * np.log(10000.0) / 31)
    angle = torch.arange(1500)[:, None] * rate
    encoder.positional_embedding.data.copy_(torch.cat([angle.sin(), angle.cos()], 1))
    for block in encoder.blocks:
        fill(block.attn_ln.weight, "norm"), fill(block.attn_ln.bias, "bias")
        for part in (block.attn.query, block.attn.key, block.attn.value, block.attn.out):
            fill(part.weight, "")
            if part.bias is not None:
                fill(part.bias, "bias")
        fill(block.mlp_ln.weight, "norm"), fill(block.mlp_ln.bias, "bias")
        for part in (block.mlp[0], block.mlp[2]):
            fill(part.weight, ""), fill(part.bias, "bias")
    fill(model.codebook.embed, "")
    signal = chirp(16000, 900)
    hidden = encoder(semantic.log_mel(signal)[None], torch.tensor([100], dtype=torch.int32))[0]
    near("semantic encoder", [hidden.mean(), hidden.std(), hidden[0, 0], hidden[0, 63], hidden[12, 5], hidden[24, 63]],
         [0.904941, 2.024580, -1.31799, 1.73225, 0.01379, 2.25699], 3e-5)
    codes, _ = semantic.codes(model, signal)
    same("semantic codes", codes.tolist(), [
        14, 31, 31, 31, 14, 14, 31, 29, 31, 31, 31, 31, 31, 15, 31, 31, 31, 31, 31, 31, 31, 29, 14, 14, 31])


GOLDEN_IDS = {
    "\n": [324, 78], "human\n": [4623, 78], "system\nhello": [2323, 78, 24419], "\nhello": [324, 78, 24419],
    "你好": [324, 1027, 922], "hello world": [324, 24419, 2844], "12345": [324, 328, 331, 338, 342, 340],
    "[Laughter]ok": [877, 766, 37168, 422, 1645], "（RAP）你好": [324, 365, 588, 6078, 363, 1027, 922],
    "(高兴1)": [349, 18821, 328, 343], "\U0001f600": [324, 308, 227, 220, 196],
    "<audio_12><audio_1030>": [65548, 66566], "x\n<audio_12><audio_1030>\n": [2812, 78, 65548, 66566, 78],
    "<audio_9216>": [407, 23192, 339, 333, 331, 328, 344, 356], "  two  spaces ": [324, 983, 324, 27170, 324],
    "<|BOT|>human\n你好<|EOT|><|BOT|>assistant\n": [4, 28504, 78, 1027, 922, 3, 4, 56446, 78],
    "<|BOT|> human\n你好<|EOT|>": [4, 4623, 78, 1027, 922, 3], "<s><|BOT|> system\nhi<|EOT|>": [1, 4, 2323, 78, 2849, 3]}


def check_text(path):
    models = [text.train(252, 95)]
    if path:
        with open(path, "rb") as file:
            models.append(file.read())
        tokenizer = text.Tokenizer(models[1])
        for line, ids in GOLDEN_IDS.items():
            same(f"golden ids of {line!r}", tokenizer.encode(line), ids)
    lines = list(GOLDEN_IDS) + (text.ENGLISH + "\n" + text.CHINESE).split("\n") + [
        " a", "   ", "naïve café", "a\tb\r\n", "<|EOT|> x", "日本語🙂x", "<s>", "\u2581x"]
    for model in models:
        ours, fast = text.Tokenizer(model), text.reference(model)
        wrong = [line for line in lines if fast.encode(line, add_special_tokens=False).ids != ours.encode(line)]
        same(f"ids as of the tokenizers package, {len(ours.pieces)} pieces", wrong, [])
        broken = [[ours.bytes[byte] for byte in run] for run in (b"\xe4\xbd", b"\xe4\xbd\xa0\xff", b" a", b"\x80")]
        rows = [ours.encode(line) for line in lines] + broken + [broken[0] + ours.encode("hello") + broken[1]]
        wrong = [row for row in rows if fast.decode(row, skip_special_tokens=False) != ours.decode(row)]
        same(f"text as of the tokenizers package, {len(ours.pieces)} pieces", wrong, [])


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    check_audio()
    check_linguistic()
    check_semantic()
    check_text(sys.argv[1] if len(sys.argv) > 1 else None)
    print(f"{len(FAILURES)} failed" if FAILURES else "all passed")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
