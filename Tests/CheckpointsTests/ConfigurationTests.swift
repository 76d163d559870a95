// Configuration files: types of YAML values, references of HyperPyYAML, and the settings of each model.

import Checkpoints
import Testing

@Suite struct ConfigurationTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func givesPlainYAMLScalarsTheirTypes() throws {
        let text = """
            none: ~
            flags: [yes, off, true]
            numbers: [-3, 1_000, 0x1F, 1e-06, 2.5, .inf]
            texts: ['12', "yes", nan, 1.2.3, a b]
            base: &base {a: 1, b: 2}
            merged:
              <<: *base
              b: 3
            """
        let root = try YAMLDocument(path: try folder.write("a.yaml", text)).root
        #expect(
            root
                == .mapping([
                    "none": .null, "flags": .sequence([.bool(true), .bool(false), .bool(true)]),
                    "numbers": .sequence([
                        .integer(-3), .integer(1000), .integer(31), .number(1e-6), .number(2.5),
                        .number(.infinity),
                    ]),
                    "texts": .sequence([
                        .string("12"), .string("yes"), .string("nan"), .string("1.2.3"),
                        .string("a b"),
                    ]),
                    "base": .mapping(["a": .integer(1), "b": .integer(2)]),
                    "merged": .mapping(["a": .integer(1), "b": .integer(3)]),
                ]))
    }

    @Test func followsReferences() throws {
        let text = """
            seed: !apply:random.seed [1986]
            rate: 22050
            parts: {hop: 256, list: [4, 5]}
            object: !new:some.module.Thing
                rate: !ref <rate>
                hop: !ref <parts[hop]>
                second: !ref <parts[list][1]>
                frames: !ref <rate> // <parts[hop]> + 1
                ratio: !ref (<rate> - 50) / 1000
                power: !ref <two> ** 3 * -1
                path: !ref <name>/model-<rate>.pt
                same: !ref <parts>
            two: 2
            name: x
            function: !name:other.call
            """
        let file = try HyperPyYAML(path: try folder.write("a.yaml", text))
        let object = try file.value("object")?.members ?? [:]
        #expect(object["!class"] == .string("some.module.Thing"))
        #expect(object["rate"] == .integer(22050))
        #expect(object["hop"] == .integer(256))
        #expect(object["second"] == .integer(5))
        #expect(object["frames"] == .integer(87))
        #expect(object["ratio"] == .number(22))
        #expect(object["power"] == .integer(-8))
        #expect(object["path"] == .string("x/model-22050.pt"))
        #expect(
            object["same"]
                == .object(["hop": .integer(256), "list": .array([.integer(4), .integer(5)])]))
        #expect(try file.value("function") == .object(["!class": .string("other.call")]))
        #expect(try file.value("absent") == nil)
    }

    @Test func readsADecoderWithOtherSizesThanThePublishedOnes() throws {
        let path = try folder.write("cosyvoice.yaml", Self.decoder)
        let file = try DecoderConfiguration(path: path)
        #expect(file.flow.inputSize == 48)
        #expect(file.flow.speakerEmbeddingSize == 24)
        #expect(file.flow.vocabularySize == 5120)
        #expect(file.flow.inputFrameRate == 41.67)
        #expect(file.flow.encoder.heads == 3)
        #expect(file.flow.encoder.blocks == 2)
        #expect(file.flow.regulator.samplingRatios == [1, 1])
        #expect(!file.flow.solver.usesCosineSchedule)
        #expect(file.flow.solver.guidance == 0.5)
        #expect(file.flow.estimator.channels == [32, 40])
        #expect(file.flow.estimator.middleBlocks == 1)
        #expect(file.flow.estimator.inputChannels == 80)
        #expect(file.vocoder.upsampleRates == [4, 4])
        #expect(file.vocoder.samplesPerFrame == 64)
        #expect(file.vocoder.residualDilations == [[1, 3], [1, 2]])
        #expect(file.vocoder.harmonics == 4)
        #expect(file.mel.hop == 64)
        #expect(file.mel.highFrequency == 8000)
    }

    @Test func missingValuesAreThePublishedOnes() throws {
        let text = "flow: !new:a.MaskedDiffWithXvec\nhift: {}\nfeat_extractor: {}\n"
        let file = try DecoderConfiguration(path: try folder.write("cosyvoice.yaml", text))
        #expect(file == DecoderConfiguration())
        #expect(file.vocoder.samplesPerFrame == 256)
        #expect(file.flow.estimator.middleBlocks == 12)
    }

    @Test func readsTheLinguisticEncoder() throws {
        let text = """
            model: ParaformerStreaming
            encoder: SANMEncoderChunkOpt
            encoder_conf:
                output_size: 64
                attention_heads: 2
                linear_units: 96
                num_blocks: 3
                kernel_size: 5
                sanm_shfit: 0
                input_layer: pe_online
                normalize_before: true
            decoder: Unused
            frontend: WavFrontendOnline
            frontend_conf: {fs: 16000, window: hamming, n_mels: 20, lfr_m: 5, lfr_n: 4, dither: 0.0}
            """
        let file = try FunASRConfiguration(path: try folder.write("config.yaml", text))
        #expect(file.outputSize == 64)
        #expect(file.blocks == 3)
        #expect(file.kernelSize == 5)
        #expect(file.inputSize == 100)
        #expect(file.frameStride == 4)
        #expect(file.dither == 0)
        let bare = try FunASRConfiguration(path: try folder.write("bare.yaml", "model: x"))
        #expect(bare.inputSize == 560)
        #expect(bare.dither == nil)
    }

    @Test func readsTheNormalisationAndSkipsBlankLines() throws {
        let text = """
            <Nnet>
            <Splice> 2 2
            [ 0 ]

            <AddShift> 2 2
            <LearnRateCoef> 0 [ -1.5 2e0 ]

            <Rescale> 2 2
            <LearnRateCoef> 0 [ 0.25 3 ]
            </Nnet>
            """
        let file = try FeatureNormalization(path: try folder.write("am.mvn", text))
        #expect(file.shift == [-1.5, 2])
        #expect(file.scale == [0.25, 3])
    }

    @Test func readsALanguageModel() throws {
        let text = """
            {"architectures":["Step1ForCausalLM"],"model_type":"step1","hidden_size":48,
             "intermediate_size":80,"num_attention_heads":6,"num_attention_groups":2,
             "num_hidden_layers":3,"max_seq_len":512,"vocab_size":700,"rms_norm_eps":1e-06,
             "bos_token_id":1,"eos_token_id":3,"pad_token_id":0,"torch_dtype":"bfloat16"}
            """
        let file = try LanguageModelConfiguration(path: try folder.write("config.json", text))
        #expect(file.headSize == 8)
        #expect(file.keyValueHeads == 2)
        #expect(file.normEpsilon == 1e-6)
        #expect(file.endIDs == [3])
        #expect(file.alibiSlopes == nil)
        let bare = try LanguageModelConfiguration(path: try folder.write("bare.json", "{}"))
        #expect(bare == LanguageModelConfiguration())
        #expect(bare.hiddenSize == 5120)
    }

    @Test func honoursSlopesAndScales() throws {
        let text = """
            {"hidden_size":4,"num_attention_heads":2,"num_attention_groups":1,
             "alibi_slopes":[0.5,0.25],"max_pos_interp_ratio":2,"logit_scale":0.5,
             "eos_token_id":[3,4]}
            """
        let file = try LanguageModelConfiguration(path: try folder.write("config.json", text))
        #expect(file.alibiSlopes == [0.5, 0.25])
        #expect(file.maximumPositionInterpolationRatio == 2)
        #expect(file.logitScale == 0.5)
        #expect(file.endIDs == [3, 4])
    }

    @Test func readsTheTokenizersRules() throws {
        let bare = try TokenizerConfiguration(path: try folder.write("a.json", "{}"))
        #expect(bare == TokenizerConfiguration())
        #expect(bare.addsBOS)
        let text = """
            {"add_bos_token":false,"bos_token":{"content":"<b>"},"eos_token":"<e>",
             "chat_template":[{"name":"tool","template":"t"},{"name":"default","template":"d"}]}
            """
        let file = try TokenizerConfiguration(path: try folder.write("b.json", text))
        #expect(!file.addsBOS)
        #expect(file.beginToken == "<b>")
        #expect(file.endToken == "<e>")
        #expect(file.chatTemplate == "d")
    }

    /// A decoder of odd sizes, written with every construct that the published file uses.
    static let decoder = """
        __set_seed1: !apply:random.seed [1986]
        __set_seed2: !apply:torch.manual_seed [1986]
        sample_rate: 16000
        embedding: 24
        bands: &bands 20
        llm: !new:cosyvoice.llm.llm.TransformerLM
            text_encoder: !new:cosyvoice.transformer.encoder.ConformerEncoder {input_size: 8}
        flow: !new:cosyvoice.flow.flow.MaskedDiffWithXvec
            input_size: 48
            output_size: *bands
            spk_embed_dim: !ref <embedding>
            output_type: 'mel'
            vocab_size: 5120
            input_frame_rate: 41.67
            only_mask_loss: True
            encoder: !new:cosyvoice.transformer.encoder.ConformerEncoder
                output_size: 48
                attention_heads: 3
                linear_units: 64
                num_blocks: 2
                dropout_rate: 0.1
                normalize_before: True
                input_layer: 'linear'
                pos_enc_layer_type: 'rel_pos_espnet'
                selfattention_layer_type: 'rel_selfattn'
                use_cnn_module: False
                macaron_style: False
            length_regulator: !new:cosyvoice.flow.length_regulator.InterpolateRegulator
                channels: *bands
                sampling_ratios: [1, 1]
            decoder: !new:cosyvoice.flow.flow_matching.ConditionalCFM
                in_channels: 60
                n_spks: 1
                spk_emb_dim: *bands
                cfm_params: !new:omegaconf.DictConfig
                    content:
                        sigma_min: 1e-06
                        solver: 'euler'
                        t_scheduler: 'linear'
                        inference_cfg_rate: 0.5
                estimator: !new:cosyvoice.flow.decoder.ConditionalDecoder
                    in_channels: !ref <bands> * 4
                    out_channels: !ref <bands>
                    channels: [32, 40]
                    attention_head_dim: 8
                    n_blocks: 1
                    num_mid_blocks: 1
                    num_heads: 4
                    act_fn: 'gelu'
        hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
            in_channels: !ref <flow[output_size]>
            base_channels: 32
            nb_harmonics: 4
            sampling_rate: !ref <sample_rate>
            upsample_rates: [4, 4]
            upsample_kernel_sizes: [8, 8]
            istft_params:
                n_fft: 16
                hop_len: 4
            resblock_kernel_sizes: [3, 5]
            resblock_dilation_sizes: [[1, 3], [1, 2]]
            source_resblock_kernel_sizes: [7, 11]
            source_resblock_dilation_sizes: [[1, 3], [1, 3]]
            f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
                num_class: 1
                in_channels: !ref <bands>
                cond_channels: 24
        parquet_opener: !name:cosyvoice.dataset.processor.parquet_opener
        feat_extractor: !name:matcha.utils.audio.mel_spectrogram
            n_fft: 256
            num_mels: !ref <bands>
            sampling_rate: !ref <sample_rate>
            hop_size: 64
            win_size: 256
            fmin: 0
            fmax: null
            center: False
        """
}
