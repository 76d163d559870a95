// The seam between whoever needs a language model and whoever runs one: token ids in, a stream of
// token ids out. The embedded Step-1 engine and remote engines stand behind the same protocol.

/// How the next token is drawn from the logits.
public struct SamplingOptions: Sendable, Equatable {
    /// Softmax temperature; zero or less picks the most likely token.
    public var temperature: Float
    /// Nucleus mass kept, in (0, 1]; 1 keeps everything.
    public var topP: Float
    /// Number of candidates kept; 0 keeps all.
    public var topK: Int
    /// Whether Step-Audio's repetition rule bans an id seen twice within the last ten.
    public var repetitionRule: Bool
    /// Seed of the draws: the same seed, prompt and weights give the same tokens.
    public var seed: UInt64

    /// Makes options; the defaults are the published text-to-speech settings without top-k.
    public init(
        temperature: Float = 0.7, topP: Float = 1, topK: Int = 0, repetitionRule: Bool = false,
        seed: UInt64 = 0
    ) {
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.repetitionRule = repetitionRule
        self.seed = seed
    }
}

/// One request: a prompt of token ids and the limits of the answer.
public struct GenerationRequest: Sendable {
    /// The prompt, special ids included; never empty.
    public var prompt: [Int]
    /// How tokens are drawn.
    public var sampling: SamplingOptions
    /// Ids that end the generation; they are not emitted.
    public var stopIDs: Set<Int>
    /// Upper bound of the number of emitted tokens.
    public var maximumNewTokens: Int
    /// The ids that may be drawn beside the stop ids; nil allows the whole vocabulary.
    public var candidates: Range<Int>?
    /// Whether what is generated is likely to begin a later prompt, as a conversation's answers do; an engine
    /// may then keep what it computed for it.
    public var keepsAnswer: Bool
    /// How many tokens somebody waits for; nil for all of them.
    ///
    /// Once every request has those, an engine in this process leaves the processor to urgent work, such as
    /// making sound of them.
    public var urgentTokens: Int?

    /// Makes a request.
    public init(
        prompt: [Int], sampling: SamplingOptions, stopIDs: Set<Int>, maximumNewTokens: Int,
        candidates: Range<Int>? = nil, keepsAnswer: Bool = false,
        urgentTokens: Int? = nil
    ) {
        self.prompt = prompt
        self.sampling = sampling
        self.stopIDs = stopIDs
        self.maximumNewTokens = maximumNewTokens
        self.candidates = candidates
        self.keepsAnswer = keepsAnswer
        self.urgentTokens = urgentTokens
    }
}

/// Why a generation ended without an error.
public enum FinishReason: String, Sendable, Codable {
    /// A stop id was drawn.
    case stop
    /// The token limit or the context length was reached.
    case length
}

/// What a generation reports, in order.
public enum GenerationEvent: Sendable, Equatable {
    /// The prompt of this many tokens has been processed.
    case prefill(tokens: Int)
    /// The next token id.
    case token(Int)
    /// The end; no event follows.
    case finished(FinishReason)
}

/// A language model that turns token ids into more token ids.
///
/// Implementations accept several requests at once. Cancelling the task that iterates the stream
/// stops the work within one token step.
public protocol LanguageModelEngine: Sendable {
    /// Number of ids the model knows.
    var vocabularySize: Int { get }
    /// Largest prompt plus answer, in tokens.
    var contextLength: Int { get }
    /// Starts generating.
    func generate(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error>
}
