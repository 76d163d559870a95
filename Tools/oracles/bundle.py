"""The tiny bundle: random weights in the published layout, every size odd and unlike the published one."""

import json
import struct
import wave

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save_file

from . import campplus, flow, hift, language_model, linguistic, semantic, text
from .draws import Draws, voice

LINGUISTIC_CODES, SEMANTIC_CODES = 37, 53
AUDIO_TOKENS = 97  # a few more than the codebooks need, as in the published vocabulary
EMBEDDING = 44
FUNASR = "dengcunqin/speech_paraformer-large_asr_nat-zh-cantonese-en-16k-vocab8501-online"
ENCODER = {"width": 27, "heads": 3, "hidden": 50, "blocks": 4, "kernel": 7}
SPEAKERS = {
    "Alma": ("The weather in the hills is better.", 22050, 1.7),
    "AlmaRAP": ("（RAP）我们今天说唱一首歌。", 48000, 1.3),
    "Bruno": ("你好，今天天气很好。", 44100, 1.45),
}
FLOW = {
    "input_size": 28, "spk_embed_dim": EMBEDDING, "vocab_size": LINGUISTIC_CODES + SEMANTIC_CODES + 1,
    "input_frame_rate": 125 / 3, "encoder_size": 36, "encoder_heads": 3, "encoder_units": 50, "encoder_blocks": 2,
    "sampling_ratios": [1, 1, 1], "channels": [16, 24], "attention_head_dim": 10, "estimator_heads": 3, "n_blocks": 2,
    "num_mid_blocks": 2, "inference_cfg_rate": 0.7,
}
VOCODER = {
    "base_channels": 24, "nb_harmonics": 8, "sampling_rate": 22050, "nsf_alpha": 0.1, "nsf_sigma": 0.003,
    "nsf_voiced_threshold": 10, "upsample_rates": [4, 16], "upsample_kernel_sizes": [8, 32], "n_fft": 16, "hop_len": 4,
    "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 3], [1, 2]],
    "source_resblock_kernel_sizes": [5, 3], "source_resblock_dilation_sizes": [[1, 2], [1, 3]], "lrelu_slope": 0.1,
    "audio_limit": 0.99, "cond_channels": 20,
}
# The Music folder differs in sizes as well, so that mixing the two up cannot pass.
MUSIC_FLOW = FLOW | {"encoder_blocks": 1, "n_blocks": 1, "num_mid_blocks": 1, "channels": [24, 16],
                     "sampling_ratios": [1, 1]}
MUSIC_VOCODER = VOCODER | {"base_channels": 16, "upsample_rates": [8, 8], "upsample_kernel_sizes": [16, 16]}


def language_config(vocabulary, **sizes):
    """A config.json in the published form."""
    return {
        "architectures": ["Step1ForCausalLM"], "model_type": "step1", "max_seq_len": 1024, "vocab_size": vocabulary,
        "rms_norm_eps": 1e-05, "bos_token_id": 1, "eos_token_id": 3, "pad_token_id": 0, "torch_dtype": "bfloat16", **sizes}


def run_graph(path, **inputs):
    """The first output of an ONNX file, by onnxruntime."""
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_language_model(folder, config, name, dtype, shards, model, settings):
    """config.json, weights in one file or several, tokenizer.model, tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    state = language_model.random_state(config, name, dtype)
    write_json(folder / "config.json", config)
    (folder / "tokenizer.model").write_bytes(model)
    if settings is not None:
        write_json(folder / "tokenizer_config.json", settings)
    if shards == 1:
        save_file(state, folder / "model.safetensors")
    else:
        names = sorted(state)
        places = {}
        for index in range(shards):
            file = f"model-{index + 1:05}-of-{shards:05}.safetensors"
            part = names[index::shards]
            save_file({key: state[key].contiguous() for key in part}, folder / file)
            places |= {key: file for key in part}
        write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})
    return language_model.Model(config, state)


def write_linguistic(folder):
    """model.pt, am.mvn, config.yaml and the centroids; gives (encoder, centroids, shift, scale)."""
    place = folder / FUNASR
    place.mkdir(parents=True, exist_ok=True)
    state = linguistic.random_state(ENCODER["width"], ENCODER["hidden"], ENCODER["blocks"], ENCODER["kernel"])
    extra = {"decoder.embed.0.weight": torch.zeros(3, 2), "predictor.cif_output.bias": torch.zeros(1)}
    torch.save({"state_dict": state | extra}, place / "model.pt")
    draws = Draws("am.mvn")
    shift = -12.0 + draws.normal(560, scale=0.5)
    scale = 0.25 + draws.uniform(560, low=-0.05, high=0.05)

    def numbers(values):
        return " ".join(repr(float(np.float32(value))) for value in values)
    (place / "am.mvn").write_text(
        f"<Nnet>\n<Splice> 560 560\n[ 0 ]\n<AddShift> 560 560\n<LearnRateCoef> 0 [ {numbers(shift)} ]\n"
        f"<Rescale> 560 560\n<LearnRateCoef> 0 [ {numbers(scale)} ]\n</Nnet>\n")
    (place / "config.yaml").write_text(f"""\
model: ParaformerStreaming
model_conf:
    ctc_weight: 0.0
encoder: SANMEncoderChunkOpt
encoder_conf:
    output_size: {ENCODER["width"]}
    attention_heads: {ENCODER["heads"]}
    linear_units: {ENCODER["hidden"]}
    num_blocks: {ENCODER["blocks"]}
    dropout_rate: 0.1
    input_layer: pe_online
    pos_enc_class: SinusoidalPositionEncoder
    normalize_before: true
    kernel_size: {ENCODER["kernel"]}
    sanm_shfit: 0
    selfattention_layer_type: sanm
    chunk_size: [12, 15]
frontend: WavFrontendOnline
frontend_conf:
    fs: 16000
    window: hamming
    n_mels: 80
    frame_length: 25
    frame_shift: 10
    lfr_m: 7
    lfr_n: 6
normalize: null
""")
    encoder = linguistic.Encoder(state, ENCODER["heads"])
    hidden = encoder(linguistic.chunks(voice("centroids", 16000 * 12), shift, scale))
    picks = Draws("centroids").integers(0, len(hidden), LINGUISTIC_CODES)
    centroids = hidden[picks] + Draws("centroids noise").normal(LINGUISTIC_CODES, hidden.shape[1], scale=0.2)
    np.save(folder / "linguistic_tokenizer.npy", centroids.numpy())
    return encoder, centroids, shift, scale


def write_semantic(folder):
    """speech_tokenizer_v1.onnx; gives the module."""
    model = semantic.random_model(width=30, heads=5, layers=3, places=760, count=SEMANTIC_CODES)
    features = semantic.log_mel(voice("codewords", 16000 * 20))[None]
    with torch.no_grad():
        hidden = model.encoders(features, torch.tensor([features.shape[2]], dtype=torch.int32))[0]
        hidden = torch.nn.functional.normalize(hidden, dim=-1)
        picks = Draws("codewords").integers(0, len(hidden), SEMANTIC_CODES)
        noise = Draws("codewords noise").normal(SEMANTIC_CODES, hidden.shape[1], scale=0.05)
        model.codebook.embed.copy_(hidden[picks] + noise)
    path = str(folder / "speech_tokenizer_v1.onnx")
    semantic.export(model, path)
    length = np.array([features.shape[2]], np.int32)
    found = run_graph(path, feats=features.numpy(), feats_length=length)
    assert (found == model(features, torch.from_numpy(length)).numpy()).all()
    return model


def cosyvoice_yaml(flow_config, vocoder_config):
    """cosyvoice.yaml with tags and references as the published files use them."""
    c, v = flow_config, vocoder_config
    return f"""\
__set_seed1: !apply:random.seed [1986]
sample_rate: {v["sampling_rate"]}
bands: 80
spk_embed_dim: {c["spk_embed_dim"]}
encoder_width: {c["encoder_size"]}

flow: !new:cosyvoice.flow.flow.MaskedDiffWithXvec
    input_size: {c["input_size"]}
    output_size: !ref <bands>
    spk_embed_dim: !ref <spk_embed_dim>
    output_type: 'mel'
    vocab_size: {c["vocab_size"]}
    input_frame_rate: {c["input_frame_rate"]!r}
    only_mask_loss: True
    encoder: !new:cosyvoice.transformer.encoder.ConformerEncoder
        output_size: !ref <encoder_width>
        attention_heads: {c["encoder_heads"]}
        linear_units: {c["encoder_units"]}
        num_blocks: {c["encoder_blocks"]}
        dropout_rate: 0.1
        normalize_before: True
        input_layer: 'linear'
        pos_enc_layer_type: 'rel_pos_espnet'
        selfattention_layer_type: 'rel_selfattn'
        input_size: {c["input_size"]}
        use_cnn_module: False
        macaron_style: False
    length_regulator: !new:cosyvoice.flow.length_regulator.InterpolateRegulator
        channels: !ref <bands>
        sampling_ratios: {c["sampling_ratios"]}
    decoder: !new:cosyvoice.flow.flow_matching.ConditionalCFM
        in_channels: !ref <bands> * 3
        n_spks: 1
        spk_emb_dim: !ref <bands>
        cfm_params: !new:omegaconf.DictConfig
            content:
                sigma_min: 1e-06
                solver: 'euler'
                t_scheduler: 'cosine'
                training_cfg_rate: 0.2
                inference_cfg_rate: {c["inference_cfg_rate"]}
                reg_loss_type: 'l1'
        estimator: !new:cosyvoice.flow.decoder.ConditionalDecoder
            in_channels: 320
            out_channels: !ref <bands>
            channels: {c["channels"]}
            dropout: 0.0
            attention_head_dim: {c["attention_head_dim"]}
            n_blocks: {c["n_blocks"]}
            num_mid_blocks: {c["num_mid_blocks"]}
            num_heads: {c["estimator_heads"]}
            act_fn: 'gelu'

hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
    in_channels: !ref <bands>
    base_channels: {v["base_channels"]}
    nb_harmonics: {v["nb_harmonics"]}
    sampling_rate: !ref <sample_rate>
    nsf_alpha: {v["nsf_alpha"]}
    nsf_sigma: {v["nsf_sigma"]}
    nsf_voiced_threshold: {v["nsf_voiced_threshold"]}
    upsample_rates: {v["upsample_rates"]}
    upsample_kernel_sizes: {v["upsample_kernel_sizes"]}
    istft_params:
        n_fft: {v["n_fft"]}
        hop_len: {v["hop_len"]}
    resblock_kernel_sizes: {v["resblock_kernel_sizes"]}
    resblock_dilation_sizes: {v["resblock_dilation_sizes"]}
    source_resblock_kernel_sizes: {v["source_resblock_kernel_sizes"]}
    source_resblock_dilation_sizes: {v["source_resblock_dilation_sizes"]}
    lrelu_slope: {v["lrelu_slope"]}
    audio_limit: {v["audio_limit"]}
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
        num_class: 1
        in_channels: !ref <bands>
        cond_channels: {v["cond_channels"]}

feat_extractor: !name:matcha.utils.audio.mel_spectrogram
    n_fft: 1024
    num_mels: !ref <bands>
    sampling_rate: !ref <sample_rate>
    hop_size: 256
    win_size: 1024
    fmin: 0
    fmax: 8000
    center: False
"""


def write_decoder(folder, flow_config, vocoder_config, name, legacy, folded):
    """A decoder folder; gives (flow, vocoder, speaker encoder)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cosyvoice.yaml").write_text(cosyvoice_yaml(flow_config, vocoder_config))
    flow_state = flow.random_state(flow_config, name)
    vocoder_state = hift.random_state(vocoder_config, name, legacy)
    torch.save(flow_state, folder / "flow.pt")
    torch.save(vocoder_state, folder / "hift.pt")
    speaker = campplus.random_model(head=5, first=16, blocks=(2, 3, 2), growth=7, inner=12, size=EMBEDDING)
    path = str(folder / "campplus.onnx")
    campplus.export(speaker, path, folded)
    features = Draws("graph").normal(1, 57, 80)
    with torch.no_grad():
        assert np.abs(run_graph(path, input=features.numpy()) - speaker(features).numpy()).max() < 1e-3
    return flow.Flow(flow_config, flow_state), hift.Vocoder(vocoder_config, vocoder_state), speaker


def write_wav(path, samples, rate):
    """16-bit PCM, mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack(f"<{len(samples)}h", *np.round(samples * 32767).astype(int)))


class Bundle:
    """Everything that was written, as oracles."""

    def __init__(self, folder):
        tokenizer = folder / "Step-Audio-Tokenizer"
        speech = folder / "Step-Audio-TTS-3B"
        self.encoder, self.centroids, self.shift, self.scale = write_linguistic(tokenizer)
        self.semantic = write_semantic(tokenizer)
        model = text.train(normal=211, audio=AUDIO_TOKENS)
        self.text = text.Tokenizer(model)
        self.base = self.text.ids["<audio_0>"]
        size = len(self.text.pieces)
        # The speech model has no tokenizer_config.json, which means BOS before every fragment.
        self.speech_model = write_language_model(
            speech, language_config(
                size, hidden_size=42, intermediate_size=61, num_attention_heads=7, num_attention_groups=1,
                num_hidden_layers=3),
            "speech model", torch.float32, 1, model, None)
        self.chat_model = write_language_model(
            folder / "Step-Audio-Chat", language_config(
                size + 5, hidden_size=36, intermediate_size=53, num_attention_heads=6, num_attention_groups=2,
                num_hidden_layers=2),
            "chat model", torch.bfloat16, 3, model, {"add_bos_token": True, "bos_token": "<s>", "eos_token": "<|EOT|>"})
        self.flow, self.vocoder, self.speaker = write_decoder(
            speech / "CosyVoice-300M-25Hz", FLOW, VOCODER, "common", legacy=True, folded=True)
        self.music_flow, self.music_vocoder, _ = write_decoder(
            speech / "CosyVoice-300M-25Hz-Music", MUSIC_FLOW, MUSIC_VOCODER, "music", legacy=False, folded=False)
        speakers = folder / "speakers"
        speakers.mkdir(exist_ok=True)
        write_json(speakers / "speakers_info.json", {name: row[0] for name, row in SPEAKERS.items()})
        for name, (_, rate, seconds) in SPEAKERS.items():
            write_wav(speakers / f"{name}_prompt.wav", voice(name, int(rate * seconds), rate), rate)
