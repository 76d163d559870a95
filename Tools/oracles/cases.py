"""The cases: inputs and expected outputs of every stage, in the file format of `stepaudio verify`.

A tensor is named STAGE/CASE/in.NAME or STAGE/CASE/out.NAME; floats are F32, ids I64, text U8. Codes and ids are only
kept when the best choice is clear of the second one, so that rounding cannot decide a case.
"""

import json

import numpy as np
import torch

from . import audio, language_model, linguistic, prompts, semantic
from .draws import Draws, voice

CLEAR = 5e-5


class Cases:
    """Tensors gathered by name, split into one file a family."""

    def __init__(self):
        self.tensors = {}

    def add(self, stage, case, inputs, outputs):
        for side, values in (("in", inputs), ("out", outputs)):
            for name, value in values.items():
                self.tensors[f"{stage}/{case}/{side}.{name}"] = self.stored(value)

    @staticmethod
    def stored(value):
        """A value as the case file holds it."""
        if isinstance(value, str):
            return np.frombuffer(value.encode(), np.uint8).copy()
        if isinstance(value, bool) or isinstance(value, int):
            return np.array([value], np.int64)
        if isinstance(value, float):
            return np.array([value], np.float32)
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        value = np.asarray(value)
        kind = np.int64 if np.issubdtype(value.dtype, np.integer) else np.float32
        return np.ascontiguousarray(value.astype(kind))


def text_cases(cases, bundle):
    lines = [
        "the weather in the hills is better", "你好，今天天气很好。", "  two  spaces and\ttabs\n", "12345 and 3.14",
        "<|BOT|>human\n你好<|EOT|>", "x<audio_3><audio_96> y", "<audio_97>", "emoji 😀 and ñ", "▁marked", "<unk>",
        "(高兴1)(四川话)你今天吃了什么？"]
    for index, line in enumerate(lines):
        ids = bundle.text.encode(line)
        cases.add("text.encode", f"line{index}", {"text": line}, {"ids": ids})
        cases.add("text.decode", f"line{index}", {"ids": ids}, {"text": bundle.text.decode(ids)})
    broken = [324, 68 + 0xE4, 68 + 0xBD, 324, 68 + 0x20, 3, 1]
    cases.add("text.decode", "broken", {"ids": broken}, {"text": bundle.text.decode(broken)})
    prompt = Draws("prompt ids").integers(0, 90, 23) + bundle.base
    rows = [
        ("common", "hello world", "Alma", "你好，天气"), ("clone", "(高兴1)你好", "", "hello again"),
        ("rap", "（RAP）我们今天说唱", "Alma", "（RAP）一首歌"), ("vocal", "(哼唱)小小的船", "Alma", "x"),
        ("mixed", "(RAP)哼唱 together", "B", "y"), ("tagged", "  spaced <audio_3>", "阿", "\n line")]
    for name, line, speaker, transcript in rows:
        ids = prompts.speech(bundle.text, True, line, speaker, transcript, prompt.tolist())
        cases.add("tts.prompt", name, {
            "text": line, "speaker": speaker, "prompt_text": transcript, "prompt_ids": prompt}, {"ids": ids})
    talks = {
        "plain": [{"role": "user", "content": "hello"}],
        "system": [{"role": "system", "content": "你好"}, {"role": "user", "content": {"type": "text", "text": "a b"}}],
        "audio": [{"role": "user", "content": {"type": "audio", "audio": "<audio_3><audio_4><audio_40>"}},
                  {"role": "assistant", "content": "yes."}, {"role": "user", "content": "and?"}],
        "open": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None}],
        "tool": [{"role": "tool", "content": "{}"}],
    }
    for name, messages in talks.items():
        line, ids = prompts.chat(bundle.text, True, messages)
        cases.add("chat.prompt", name, {"messages": json.dumps(messages, ensure_ascii=False)},
                  {"text": line, "ids": ids})


def sampling_cases(cases):
    draws = Draws("sampling")
    rows = {
        "plain": (1.0, 1.0, 0, False), "cool": (0.7, 0.9, 0, False), "top50": (0.7, 1.0, 50, True),
        "all": (1.3, 0.8, 17, True), "greedy": (0.0, 1.0, 0, False), "narrow": (0.5, 0.05, 0, True)}
    for name, (temperature, top_p, top_k, rule) in rows.items():
        logits = draws.normal(131, scale=3.0)
        history = draws.integers(0, 131, 14)
        history[-4] = history[-1] = logits.argmax()
        expected = language_model.probabilities(logits, history, temperature, top_p, top_k, rule)
        cases.add("sampling.step", name, {
            "logits": logits, "history": history, "temperature": temperature, "top_p": top_p, "top_k": top_k,
            "repetition_rule": int(rule)}, {"probabilities": expected})
    logits = draws.normal(9)
    short = torch.tensor([2, 2, 2])
    cases.add("sampling.step", "short", {
        "logits": logits, "history": short, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "repetition_rule": 1},
        {"probabilities": language_model.probabilities(logits, short, 1.0, 1.0, 0, True)})


def audio_cases(cases):
    for rate, target in [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000), (48000, 22050), (16000, 16000)]:
        wave = voice(f"resample {rate} {target}", rate // 9, rate)
        cases.add("audio.resample", f"from{rate}to{target}", {
            "waveform": wave, "rate": rate, "target_rate": target},
            {"waveform": audio.resample(wave, rate, target)})
    quiet = voice("quiet", 777) * np.float32(0.004)
    for name, wave in {"speech": voice("level", 1234), "quiet": quiet, "silent": np.zeros(55, np.float32)}.items():
        cases.add("audio.normalize", name, {"waveform": wave}, {"waveform": audio.normalize(wave)})
    burst = np.zeros(24000, np.float32)
    burst[6001:15003] = voice("burst", 9002)
    early = np.zeros(9000, np.float32)
    early[300:8000] = voice("early", 7700)
    for name, wave in {"burst": burst, "early": early, "silent": np.zeros(5000, np.float32)}.items():
        cases.add("audio.trim", name, {"waveform": wave}, {"waveform": audio.trim(wave)})
    for rate, factor in [(22050, 0.75), (22050, 1.3), (22050, 2.0), (16000, 0.9), (24000, 1.1)]:
        wave = voice(f"tempo {rate} {factor}", rate * 2 // 5, rate)
        cases.add("audio.tempo", f"rate{rate}by{factor}", {
            "waveform": wave, "rate": rate, "factor": factor}, {"waveform": audio.tempo(wave, rate, factor)})
    for factor in [0.5, 1.3, 2.5]:
        wave = voice(f"volume {factor}", 901)
        cases.add("audio.volume", f"by{factor}", {"waveform": wave, "factor": factor},
                  {"waveform": audio.volume(wave, factor)})


def tokenizer_cases(cases, bundle):
    def encoded(wave):
        return bundle.encoder(linguistic.chunks(wave, bundle.shift, bundle.scale))
    for length in [879, 4720, 9000, 3840 * 2, 23456]:
        wave = voice(f"linguistic {length}", length)
        rows = linguistic.chunks(wave, bundle.shift, bundle.scale)
        name = f"samples{length}"
        if not rows:
            cases.add("linguistic.codes", name, {"waveform": wave}, {"codes": np.zeros(0, np.int64)})
            continue
        hidden = encoded(wave)
        codes, gap = linguistic.codes(hidden, bundle.centroids)
        assert gap > CLEAR, (name, gap)
        cases.add("linguistic.features", name, {"waveform": wave}, {"features": torch.cat(rows)})
        cases.add("linguistic.encoder", name, {"waveform": wave}, {"hidden": hidden})
        cases.add("linguistic.codes", name, {"waveform": wave}, {"codes": codes})
    for length in [480, 7777, 23456]:
        wave = voice(f"semantic {length}", length)
        codes, gap = semantic.codes(bundle.semantic, wave)
        assert gap > CLEAR, (length, gap)
        cases.add("semantic.log_mel", f"samples{length}", {"waveform": wave}, {"log_mel": semantic.log_mel(wave)})
        cases.add("semantic.codes", f"samples{length}", {"waveform": wave}, {"codes": codes})
    for name, rate, seconds, trim in [("mono", 16000, 1.03, 0), ("fast", 44100, 0.51, 1), ("low", 8000, 0.9, 0)]:
        wave = voice("tokens " + name, int(rate * seconds), rate)
        prepared = audio.normalize(audio.resample(wave, rate, 16000))
        prepared = audio.trim(prepared) if trim else prepared
        first, gap = linguistic.codes(encoded(prepared), bundle.centroids)
        second, other = semantic.codes(bundle.semantic, prepared)
        assert min(gap, other) > CLEAR, (name, gap, other)
        groups = min(len(first) // 2, len(second) // 3)
        rows = [torch.cat([first[2 * g: 2 * g + 2], second[3 * g: 3 * g + 3] + len(bundle.centroids)])
                for g in range(groups)]
        cases.add("tokenizer.tokens", name, {"waveform": wave, "rate": rate, "trim": trim},
                  {"ids": torch.cat(rows) + bundle.base})


def language_cases(cases, bundle):
    for stage, model in (("tts_lm", bundle.speech_model), ("chat_lm", bundle.chat_model)):
        for length in (1, 7, 83):
            ids = Draws(f"{stage} {length}").integers(0, model.config["vocab_size"], length)
            cases.add(f"{stage}.logits", f"tokens{length}", {"ids": ids}, {"logits": model.logits(ids)})
        for length, count in ((3, 20), (41, 9)):
            ids = Draws(f"{stage} greedy {length}").integers(0, model.config["vocab_size"], length)
            answer, gap = model.greedy(ids, count)
            assert gap > CLEAR, (stage, length, gap)
            cases.add(f"{stage}.greedy", f"tokens{length}", {"ids": ids, "count": count}, {"ids": answer})


def voice_cases(cases, bundle):
    for name, length in (("short", 5120), ("odd", 9051)):
        wave = voice("mel " + name, length, 22050)
        cases.add("prompt_mel", name, {"waveform": wave}, {"mel": audio.prompt_mel(wave)})
    for name, length in (("short", 4000), ("one", 16161), ("segments", 33123)):
        wave = voice("speaker " + name, length)
        features = audio.speaker_features(wave)
        cases.add("speaker.features", name, {"waveform": wave}, {"features": features})
        cases.add("speaker.embedding", name, {"waveform": wave}, {"embedding": bundle.speaker(features[None])[0]})


def decoder_cases(cases, bundle):
    from .bundle import EMBEDDING, LINGUISTIC_CODES, SEMANTIC_CODES
    for prefix, model, vocoder in (("", bundle.flow, bundle.vocoder), ("music", bundle.music_flow, bundle.music_vocoder)):
        for count, prompt_count, prompt_frames in ((35, 20, 47), (10, 0, 0), (55, 10, 15)):
            name = f"{prefix}tokens{count}prompt{prompt_count}"
            draws = Draws("flow case " + name)

            def stream(length):
                ids = draws.integers(0, LINGUISTIC_CODES, length)
                late = draws.integers(LINGUISTIC_CODES, LINGUISTIC_CODES + SEMANTIC_CODES, length)
                return torch.where(torch.arange(length) % 5 < 2, ids, late)
            tokens, prompt = stream(count), stream(prompt_count)
            mel = draws.normal(prompt_frames, 80, scale=2.0) - 5
            mu = model.condition(tokens, prompt, prompt_frames)
            frames = mu.shape[1]
            embedding, noise = draws.normal(EMBEDDING), draws.normal(80, frames)
            cases.add("flow.encoder", name, {"tokens": tokens, "prompt_tokens": prompt, "prompt_mel": mel}, {"mu": mu})
            cases.add("flow.mel", name, {
                "tokens": tokens, "prompt_tokens": prompt, "prompt_mel": mel, "embedding": embedding, "noise": noise},
                {"mel": model.mel(tokens, prompt, mel, embedding, noise)})
        for frames, time in ((33, 0.1), (48, 0.0), (7, 0.93)):
            name = f"{prefix}frames{frames}"
            draws = Draws("estimator case " + name)
            x, mu, cond, speaker = draws.normal(80, frames), draws.normal(80, frames), draws.normal(80, frames), draws.normal(80)
            cases.add("flow.estimator", name, {"x": x, "mu": mu, "cond": cond, "speaker": speaker, "t": time},
                      {"velocity": model.velocity(x, mu, speaker, cond, torch.tensor(time))})
        for frames in (5, 9):
            name = f"{prefix}frames{frames}"
            draws = Draws("vocoder case " + name)
            mel = draws.normal(80, frames, scale=1.5) - 4
            f0 = vocoder.pitch(mel)
            threshold = vocoder.config["nsf_voiced_threshold"]
            assert (f0 - threshold).abs().min() > 0.01, f0
            phase = draws.uniform(9, low=-3.14, high=3.14)
            phase[0] = 0
            noise = draws.normal(9, 256 * frames)
            source = vocoder.source(f0, phase, noise)
            cases.add("vocoder.f0", name, {"mel": mel}, {"f0": f0})
            cases.add("vocoder.source", name, {"f0": f0, "phase": phase, "noise": noise}, {"source": source})
            cases.add("vocoder.waveform", name, {"mel": mel, "source": source},
                      {"waveform": vocoder.waveform(mel, source)})


def build(bundle):
    """Case tensors by file."""
    files = {}
    with torch.no_grad():
        for name, make in (
                ("text", lambda c: (text_cases(c, bundle), sampling_cases(c))), ("audio", audio_cases),
                ("tokenizer", lambda c: tokenizer_cases(c, bundle)),
                ("language_models", lambda c: language_cases(c, bundle)),
                ("voice", lambda c: voice_cases(c, bundle)), ("decoder", lambda c: decoder_cases(c, bundle))):
            cases = Cases()
            make(cases)
            files[name] = cases.tensors
    return files
