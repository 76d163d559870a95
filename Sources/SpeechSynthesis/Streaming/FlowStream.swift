// Mel frames of tokens that are still coming. Each call solves the flow over the voice's prompt and the
// tokens so far, with the same noise for the same frame every time; the last frames, which lack what
// comes after them, are held back and mixed into the next call's.

import TensorCore

/// The state of one sentence in the flow.
struct FlowStream: Sendable {
    private let flow: FlowDecoder
    private let prompt: FlowDecoder.Prompt
    private let options: FlowDecoder.Options
    private let pace: StreamPace
    private var noise: SeededGenerator
    private let promptNoise: [Float]
    private var frameNoise: [Float] = []
    private var tokens: [Int] = []
    /// Frames that are settled: [T, M].
    private var settled: Tensor
    /// Frames after them that may still change: [T', M].
    private(set) var held: Tensor

    init(
        flow: FlowDecoder, prompt: FlowDecoder.Prompt, options: FlowDecoder.Options,
        pace: StreamPace, noise: SeededGenerator
    ) throws(SpeechSynthesisError) {
        try flow.check(prompt)
        self.flow = flow
        self.prompt = prompt.last(pace.promptTokens)
        self.options = options
        self.pace = pace
        let bands = flow.configuration.outputSize
        var generator = noise
        let frames = self.prompt.tokens.isEmpty ? 0 : self.prompt.mel.rows
        promptNoise = generator.normals(frames * bands)
        self.noise = generator
        settled = Tensor(zeros: [0, bands])
        held = settled
    }

    /// Takes more tokens and gives the frames that they settle, [T, M]; at the end all that are left.
    mutating func append(
        _ more: [Int], isFinal: Bool, progress: (Int) throws -> Void
    ) throws -> Tensor {
        tokens += more
        let bands = flow.configuration.outputSize
        let frames = flow.frameCount(tokens: tokens.count)
        frameNoise += noise.normals(max(0, frames * bands - frameNoise.count))
        // One token is this many frames, whatever the number of tokens turns out to be.
        let ratio = Float(
            flow.configuration.inputFrameRate * Double(flow.mel.hop) / Double(flow.mel.sampleRate))
        let firstToken = max(0, tokens.count - more.count - pace.history)
        let first = min(flow.frameCount(tokens: firstToken), settled.rows)
        let promptFrames = promptNoise.count / bands
        let hidden = try flow.hidden(prompt.tokens + tokens[firstToken...])
        let mu = flow.regulator(
            LengthRegulator.stretched(
                hidden.rows(0..<prompt.tokens.count), to: promptFrames),
            LengthRegulator.stretched(
                hidden.rows(prompt.tokens.count..<hidden.rows), frames: first..<frames,
                ratio: ratio, first: firstToken))
        // The settled past conditions the flow like the voice's recording does.
        let known = settled.rows(first..<settled.rows)
        let solution = try flow.solve(
            mu: mu,
            known: Tensor.concatenatedRows([prompt.mel.rows(0..<promptFrames), known]),
            embedding: prompt.embedding,
            noise: Tensor(
                shape: [mu.rows, bands],
                values: promptNoise + frameNoise[first * bands..<frames * bands]),
            options: options, progress: progress)
        var fresh = solution.rows(promptFrames + settled.rows - first..<mu.rows)
        Self.mix(held, into: &fresh)
        let ready = isFinal ? fresh.rows : max(0, fresh.rows - pace.heldFrames)
        held = fresh.rows(ready..<fresh.rows)
        let result = fresh.rows(0..<ready)
        settled = Tensor.concatenatedRows([settled, result])
        return result
    }

    /// Fades from the frames that were held back to the new ones.
    private static func mix(_ old: Tensor, into new: inout Tensor) {
        let (shared, width) = (min(old.rows, new.rows), new.columns)
        for row in 0..<shared {
            let share = (Float(row) + 0.5) / Float(shared)
            for place in row * width..<(row + 1) * width {
                new.values[place] = (1 - share) * old.values[place] + share * new.values[place]
            }
        }
    }
}

extension FlowDecoder.Prompt {
    /// The end of a voice: its last tokens, at most `count`, and their frames.
    fileprivate func last(_ count: Int) -> FlowDecoder.Prompt {
        guard tokens.count > count else { return self }
        let frames = mel.rows * count / tokens.count
        return FlowDecoder.Prompt(
            tokens: Array(tokens.suffix(count)), mel: mel.rows(mel.rows - frames..<mel.rows),
            embedding: embedding)
    }
}
