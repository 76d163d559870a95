// What a benchmark found, in the form of its JSON.

/// A machine's limits and what each stage reached.
public struct BenchmarkReport: Sendable, Encodable {
    /// The machine, measured in the same run.
    public struct Machine: Sendable, Encodable {
        /// Threads used.
        public var threads: Int
        /// The instruction set of the kernels.
        public var kernels: String
        /// Bytes read from memory a second, in 10^9.
        public var readGigabytesPerSecond: Double
        /// fp32 operations a second, in 10^9.
        public var fp32Gigaflops: Double
        /// Operations a second with int4 weights, in 10^9.
        public var int4Gigaops: Double
        /// Operations a second with int8 weights, in 10^9.
        public var int8Gigaops: Double
        /// Microseconds to start a loop on all threads and end it.
        public var handOverMicroseconds: Double

        enum CodingKeys: String, CodingKey {
            case threads, kernels
            case readGigabytesPerSecond = "read_gigabytes_per_second"
            case fp32Gigaflops = "fp32_gigaflops"
            case int4Gigaops = "int4_gigaops"
            case int8Gigaops = "int8_gigaops"
            case handOverMicroseconds = "hand_over_microseconds"
        }
    }

    /// One stage under one setting.
    public struct Result: Sendable, Encodable {
        /// encode, prefill, decode, flow, vocoder, chain or precision.
        public var stage: String
        /// tts-3b, chat-130b or pocket.
        public var shape: String
        /// Precision of the language model's weights; the other stages compute in fp32.
        public var precision: String
        /// Threads used.
        public var threads: Int
        /// Sequences at once.
        public var batch: Int
        /// Tokens before the first one that is measured, or of the prompt.
        public var context: Int
        /// Layers that were run: fewer than the shape has where memory does not hold all.
        public var layers: Int?
        /// Layers of the shape.
        public var layersOfShape: Int?
        /// Median seconds of one run: a step of decoding, a prompt, a stretch of speech.
        public var seconds: Double
        /// Largest minus smallest, as a share of the median.
        public var spread: Double
        /// Runs.
        public var runs: Int
        /// Tokens a second, of all sequences.
        public var tokensPerSecond: Double?
        /// Weights and cache read, in 10^9 bytes a second.
        public var gigabytesPerSecond: Double?
        /// Work in 10^9 operations a second.
        public var gigaflops: Double?
        /// Seconds of work for a second of sound.
        public var realTimeFactor: Double?
        /// Share of the machine's limit that binds this stage.
        public var shareOfLimit: Double?
        /// The limit: read bandwidth, fp32, int8 or int4 products.
        public var limit: String?
        /// Cosine of the logits against the same weights in fp32, on the same tokens.
        public var logitsCosine: Double?
        /// Divergence of the distributions from those of fp32, in nats.
        public var divergence: Double?
        /// Share of positions whose most likely token is the one of fp32.
        public var greedyAgreement: Double?
        /// Largest resident memory of the process so far.
        public var peakBytes: Int

        enum CodingKeys: String, CodingKey {
            case stage, shape, precision, threads, batch, context, layers, seconds, spread, runs
            case gigaflops, limit
            case layersOfShape = "layers_of_shape"
            case tokensPerSecond = "tokens_per_second"
            case gigabytesPerSecond = "gigabytes_per_second"
            case realTimeFactor = "real_time_factor"
            case shareOfLimit = "share_of_limit"
            case peakBytes = "peak_bytes"
            case logitsCosine = "logits_cosine"
            case divergence = "kl_divergence"
            case greedyAgreement = "greedy_agreement"
        }
    }

    /// The machine's limits.
    public var machine: Machine
    /// What was measured, in order.
    public var results: [Result]
}
