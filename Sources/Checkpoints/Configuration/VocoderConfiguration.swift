// The vocoder of a decoder (`hift` in cosyvoice.yaml): harmonic source, upsampling stages and inverse
// Fourier transform. What the file leaves out has the published model's values.

import TensorCore

/// What the vocoder's network cannot be told from its tensors.
public struct VocoderConfiguration: Sendable, Equatable {
    /// Mel bands.
    public var inputChannels = 80
    /// Channels after the first convolution; each stage halves them.
    public var baseChannels = 512
    /// Overtones of the source beside the fundamental.
    public var harmonics = 8
    /// Samples a second.
    public var sampleRate = 22_050
    /// Amplitude of the source's sines.
    public var sineAmplitude = 0.1
    /// Standard deviation of the noise on voiced samples.
    public var noiseDeviation = 0.003
    /// The pitch in hertz above which a frame is voiced.
    public var voicedThreshold = 10.0
    /// Factor of each upsampling stage.
    public var upsampleRates = [8, 8]
    /// Kernel of each upsampling stage.
    public var upsampleKernels = [16, 16]
    /// Points of the inverse Fourier transform.
    public var fourierSize = 16
    /// Its hop.
    public var fourierHop = 4
    /// Kernels of the residual blocks of each stage.
    public var residualKernels = [3, 7, 11]
    /// Dilations of each residual block.
    public var residualDilations = [[1, 3, 5], [1, 3, 5], [1, 3, 5]]
    /// Kernel of each stage's source block.
    public var sourceKernels = [7, 11]
    /// Dilations of each source block.
    public var sourceDilations = [[1, 3, 5], [1, 3, 5]]
    /// Slope of the leaky ReLU before each stage.
    public var leakySlope = 0.1
    /// Limit of the samples' magnitude.
    public var audioLimit = 0.99
    /// Channels of the pitch predictor.
    public var pitchChannels = 512

    /// Samples of one mel frame.
    public var samplesPerFrame: Int { upsampleRates.reduce(fourierHop, *) }

    /// The published values.
    public init() {}

    /// Reads `hift` of a resolved file.
    init(_ hift: Settings) throws {
        try hift.requireClass(["HiFTGenerator"])
        let width = 1...65_536
        inputChannels = try hift.integer("in_channels", default: inputChannels, in: width)
        baseChannels = try hift.integer("base_channels", default: baseChannels, in: width)
        harmonics = try hift.integer("nb_harmonics", default: harmonics, in: 0...1000)
        sampleRate = try hift.integer("sampling_rate", default: sampleRate, in: 1000...768_000)
        sineAmplitude = try hift.number("nsf_alpha", default: sineAmplitude, in: 0...10)
        noiseDeviation = try hift.number("nsf_sigma", default: noiseDeviation, in: 0...10)
        voicedThreshold = try hift.number(
            "nsf_voiced_threshold", default: voicedThreshold, in: 0...100_000)
        upsampleRates = try hift.integers(
            "upsample_rates", default: upsampleRates, in: 1...1024, count: 1...8)
        upsampleKernels = try hift.integers(
            "upsample_kernel_sizes", default: upsampleKernels, in: 1...4096, count: 1...8)
        residualKernels = try hift.integers(
            "resblock_kernel_sizes", default: residualKernels, in: 1...1023, count: 1...16)
        residualDilations = try hift.integerLists(
            "resblock_dilation_sizes", default: residualDilations, in: 1...1024, count: 1...16)
        sourceKernels = try hift.integers(
            "source_resblock_kernel_sizes", default: sourceKernels, in: 1...1023, count: 1...16)
        sourceDilations = try hift.integerLists(
            "source_resblock_dilation_sizes", default: sourceDilations, in: 1...1024,
            count: 1...16)
        leakySlope = try hift.number("lrelu_slope", default: leakySlope, in: 0...1)
        audioLimit = try hift.number("audio_limit", default: audioLimit, in: 0.01...1)
        let transform = try hift.section("istft_params")
        fourierSize = try transform.integer("n_fft", default: fourierSize, in: 2...65_536)
        fourierHop = try transform.integer("hop_len", default: fourierHop, in: 1...fourierSize)
        let pitch = try hift.section("f0_predictor")
        try pitch.requireClass(["ConvRNNF0Predictor"])
        _ = try pitch.integer("num_class", default: 1, in: 1...1)
        _ = try pitch.integer(
            "in_channels", default: inputChannels, in: inputChannels...inputChannels)
        pitchChannels = try pitch.integer("cond_channels", default: pitchChannels, in: width)
        try check(hift)
    }

    /// Lists that belong together have one length, and every convolution keeps its stage's length.
    private func check(_ hift: Settings) throws {
        func count(_ key: String, _ count: Int, _ needed: Int) throws {
            guard count == needed else {
                throw hift.invalid(key, .string("\(count) long"), accepted: "\(needed) entries")
            }
        }
        let stages = upsampleRates.count
        try count("upsample_kernel_sizes", upsampleKernels.count, stages)
        try count("source_resblock_kernel_sizes", sourceKernels.count, stages)
        try count("source_resblock_dilation_sizes", sourceDilations.count, stages)
        try count("resblock_dilation_sizes", residualDilations.count, residualKernels.count)
        for (rate, kernel) in zip(upsampleRates, upsampleKernels)
        where kernel < rate || !(kernel - rate).isMultiple(of: 2) {
            throw hift.invalid(
                "upsample_kernel_sizes", .integer(kernel),
                accepted: "at least \(rate), and even or odd as that is")
        }
        for kernel in residualKernels + sourceKernels where kernel.isMultiple(of: 2) {
            throw hift.invalid(
                "resblock_kernel_sizes", .integer(kernel), accepted: "odd kernels")
        }
        guard fourierSize.isMultiple(of: 2) else {
            throw hift.invalid(
                "istft_params.n_fft", .integer(fourierSize), accepted: "an even number")
        }
        guard baseChannels.isMultiple(of: 1 << stages) else {
            throw hift.invalid(
                "base_channels", .integer(baseChannels),
                accepted: "a multiple of \(1 << stages), as each stage halves it")
        }
    }
}
