// Reads the vocoder from `hift.pt`, weight norm in either spelling or folded.

import Checkpoints
import TensorCore

extension Vocoder {
    /// Loads the vocoder; throws one error that names every tensor that does not fit.
    public init(_ weights: some TensorSource, configuration c: VocoderConfiguration) throws {
        let loader = WeightLoader(weights)
        let transform = ShortTimeTransform(points: c.fourierSize, hop: c.fourierHop)
        let bands = 2 * transform.bins
        var stages: [Stage] = []
        for (index, rate) in c.upsampleRates.enumerated() {
            let inputs = c.baseChannels >> index
            let width = c.baseChannels >> (index + 1)
            let kernel = c.upsampleKernels[index]
            // The source comes at the last stage's rate and is brought down to this stage's.
            let factor = c.upsampleRates[(index + 1)...].reduce(1, *)
            let isLast = factor == 1
            stages.append(
                Stage(
                    upsampling: loader.transposedConvolution(
                        "ups.\(index)", inputs: inputs, outputs: width, kernel: kernel,
                        stride: rate, padding: (kernel - rate) / 2),
                    sourceDownsampling: loader.convolution(
                        "source_downs.\(index)", outputs: width, inputs: bands,
                        kernel: isLast ? 1 : 2 * factor, stride: factor,
                        padding: isLast ? 0 : factor / 2),
                    sourceBlock: Self.block(
                        loader.scoped("source_resblocks.\(index)."), width,
                        kernel: c.sourceKernels[index], dilations: c.sourceDilations[index]),
                    blocks: c.residualKernels.indices.map { block in
                        Self.block(
                            loader.scoped("resblocks.\(index * c.residualKernels.count + block)."),
                            width, kernel: c.residualKernels[block],
                            dilations: c.residualDilations[block])
                    }))
        }
        let last = c.baseChannels >> c.upsampleRates.count
        let pitchLayers = loader.scoped("f0_predictor.")
        let pitchCount = Self.pitchLayerCount(pitchLayers)
        let pitch = PitchPredictor(
            convolutions: (0..<pitchCount).map {
                pitchLayers.convolution(
                    "condnet.\(2 * $0)", outputs: c.pitchChannels,
                    inputs: $0 == 0 ? c.inputChannels : c.pitchChannels, kernel: 3, padding: 1)
            },
            output: pitchLayers.linear("classifier", outputs: 1, inputs: c.pitchChannels))
        let harmonics = c.harmonics + 1
        self.init(
            configuration: c, pitch: pitch,
            source: HarmonicSource(
                configuration: c,
                weights: loader.values("m_source.l_linear.weight", [1, harmonics]),
                bias: loader.values("m_source.l_linear.bias", [1])[0]),
            transform: transform,
            input: loader.convolution(
                "conv_pre", outputs: c.baseChannels, inputs: c.inputChannels, kernel: 7, padding: 3),
            stages: stages,
            output: loader.convolution(
                "conv_post", outputs: bands, inputs: last, kernel: 7, padding: 3))
        try loader.finish()
    }

    /// Convolutions stand at every second index, activations between them; published are five.
    private static func pitchLayerCount(_ part: WeightLoader) -> Int {
        var count = 0
        while part.has("condnet.\(2 * count).bias") {
            count += 1
        }
        return count == 0 ? 5 : count
    }

    private static func block(
        _ part: WeightLoader, _ width: Int, kernel: Int, dilations: [Int]
    ) -> SnakeBlock {
        SnakeBlock(
            layers: dilations.enumerated().map { index, dilation in
                SnakeBlock.Layer(
                    firstAlpha: part.values("activations1.\(index).alpha", [width]),
                    first: part.convolution(
                        "convs1.\(index)", outputs: width, inputs: width, kernel: kernel,
                        padding: (kernel * dilation - dilation) / 2, dilation: dilation),
                    secondAlpha: part.values("activations2.\(index).alpha", [width]),
                    second: part.convolution(
                        "convs2.\(index)", outputs: width, inputs: width, kernel: kernel,
                        padding: (kernel - 1) / 2))
            })
    }
}
