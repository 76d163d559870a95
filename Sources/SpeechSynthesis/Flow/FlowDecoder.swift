// From audio tokens to a mel spectrogram: encoder, length regulator and conditional flow matching with
// classifier-free guidance. Source: Lipman et al., "Flow Matching for Generative Modeling" (2023);
// CosyVoice's MaskedDiffWithXvec and ConditionalCFM.

import Checkpoints
import Foundation
import TensorCore

/// Turns audio tokens into mel frames in the voice of a prompt.
public struct FlowDecoder: Sendable {
    /// Sizes and rates.
    public let configuration: FlowConfiguration
    /// Mel frames a second are `mel.sampleRate / mel.hop`.
    public let mel: MelConfiguration
    let embedding: WeightMatrix
    let speakerProjection: Linear
    let encoder: TokenEncoder
    let encoderProjection: Linear
    let regulator: LengthRegulator
    let estimator: VelocityEstimator

    /// The voice that the new frames continue.
    public struct Prompt: Sendable {
        /// Its tokens, counted from `<audio_0>`.
        public let tokens: [Int]
        /// Its mel spectrogram, [T1, M].
        public let mel: Tensor
        /// Its speaker embedding.
        public let embedding: [Float]

        /// Gathers a voice.
        public init(tokens: [Int], mel: Tensor, embedding: [Float]) {
            self.tokens = tokens
            self.mel = mel
            self.embedding = embedding
        }
    }

    /// How the flow is solved.
    public struct Options: Sendable, Equatable {
        /// Euler steps.
        public var steps = 10
        /// Weight of the guidance; nil takes the checkpoint's.
        public var guidance: Float?

        /// The published settings.
        public init() {}
    }

    /// Frames that tokens become: trunc(N / token rate * sample rate / hop).
    public func frameCount(tokens: Int) -> Int {
        let seconds = Double(tokens) / configuration.inputFrameRate
        return Int(seconds * Double(mel.sampleRate) / Double(mel.hop))
    }

    /// The conditioning of all frames, prompt first: [T1 + T2, M].
    ///
    /// Throws when a token is outside the table.
    public func mu(
        tokens: [Int], prompt: [Int], promptFrames: Int
    ) throws(SpeechSynthesisError) -> Tensor {
        let hidden = try hidden(prompt + tokens)
        return regulator(
            prompt: hidden.rows(0..<prompt.count), promptFrames: prompt.isEmpty ? 0 : promptFrames,
            tokens: hidden.rows(prompt.count..<hidden.rows),
            frames: frameCount(tokens: tokens.count))
    }

    /// What the encoder makes of tokens: [N, M].
    func hidden(_ all: [Int]) throws(SpeechSynthesisError) -> Tensor {
        for (position, token) in all.enumerated() where !(0..<embedding.outputs).contains(token) {
            throw .tokenOutOfRange(position: position, token: token, count: embedding.outputs)
        }
        let embedded = Tensor(
            shape: [all.count, embedding.inputs], values: all.flatMap(embedding.row))
        return encoderProjection(encoder(embedded))
    }

    /// The velocity of one state, without guidance: all [T, M], the speaker [M] -> [T, M].
    public func velocity(
        state: Tensor, mu: Tensor, speaker: [Float], condition: Tensor, time: Float
    ) -> Tensor {
        let run = VelocityRun(
            estimator, mu: mu, speaker: speaker, condition: condition, isGuided: false,
            times: [time])
        return Tensor.filled(state.shape) { result in
            state.withRows { state in
                run.velocities(of: state, step: 0) { rows, velocity, _ in
                    result.rows(rows).copy(velocity)
                }
            }
        }
    }

    /// The mel spectrogram of new tokens: [T2, M].
    ///
    /// `noise` is the state at time 0, [T1 + T2, M]; `progress` hears the steps done and may throw to
    /// stop. Cancelling the surrounding task stops between steps.
    public func mel(
        tokens: [Int], prompt: Prompt, noise: Tensor, options: Options = Options(),
        progress: (Int) throws -> Void = { _ in }
    ) throws -> Tensor {
        guard !tokens.isEmpty else { throw SpeechSynthesisError.noTokens }
        try check(prompt)
        let promptFrames = prompt.tokens.isEmpty ? 0 : prompt.mel.rows
        let mu = try mu(tokens: tokens, prompt: prompt.tokens, promptFrames: promptFrames)
        guard noise.rows == mu.rows, noise.columns == configuration.outputSize else {
            throw SpeechSynthesisError.badPrompt(
                what: "noise frames", seen: noise.rows, accepted: mu.rows)
        }
        return try solve(
            mu: mu, known: prompt.mel.rows(0..<promptFrames), embedding: prompt.embedding,
            noise: noise, options: options, progress: progress
        ).rows(promptFrames..<mu.rows)
    }

    /// Throws unless a prompt has the decoder's widths.
    func check(_ prompt: Prompt) throws(SpeechSynthesisError) {
        let bands = configuration.outputSize
        guard prompt.mel.columns == bands else {
            throw .badPrompt(what: "mel bands", seen: prompt.mel.columns, accepted: bands)
        }
        guard prompt.embedding.count == speakerProjection.weight.inputs else {
            throw .badPrompt(
                what: "speaker embedding width", seen: prompt.embedding.count,
                accepted: speakerProjection.weight.inputs)
        }
    }

    /// Solves the flow from noise to mel, all [T, M]; the frames that are `known` [T1, M] come first.
    func solve(
        mu: Tensor, known: Tensor, embedding: [Float], noise: Tensor, options: Options,
        progress: (Int) throws -> Void
    ) throws -> Tensor {
        let bands = configuration.outputSize
        let speaker = speaker(of: embedding)
        var condition = Tensor(zeros: [mu.rows, bands])
        condition.values.replaceSubrange(0..<known.values.count, with: known.values)
        let guidance = options.guidance ?? Float(configuration.solver.guidance)
        let grid = Self.grid(
            steps: options.steps, isCosine: configuration.solver.usesCosineSchedule)
        // Times add up as the original's do, rounding included.
        var (times, lengths) = ([grid[0]], [grid[1] - grid[0]])
        for index in 1..<max(1, options.steps) {
            times.append(times[index - 1] + lengths[index - 1])
            lengths.append(grid[index + 1] - times[index])
        }
        let run = VelocityRun(
            estimator, mu: mu, speaker: speaker, condition: condition, isGuided: guidance != 0,
            times: times)
        var x = noise
        for index in 0..<options.steps {
            try Task.checkCancellation()
            let length = lengths[index]
            x.values.withUnsafeMutableBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return }
                let state = Rows(base, count: noise.rows, columns: bands)
                run.velocities(of: state, step: index) { rows, conditioned, free in
                    state.rows(rows).advance(
                        conditioned, free, guidance: guidance, length: length)
                }
            }
            try progress(index + 1)
        }
        guard x.values.allSatisfy(\.isFinite) else {
            throw SpeechSynthesisError.notFinite(stage: "flow decoder")
        }
        return x
    }

    /// Times of the steps, `steps` + 1 values from 0 to 1.
    package static func grid(steps: Int, isCosine: Bool) -> [Float] {
        (0...max(1, steps)).map { index in
            let even = Float(index) / Float(max(1, steps))
            return isCosine ? 1 - Float(cos(Double(even * Float.pi / 2))) : even
        }
    }

    /// What conditions the flow on a speaker embedding: [M].
    package func speaker(of embedding: [Float]) -> [Float] {
        let square = embedding.reduce(0.0) { $0 + Double($1) * Double($1) }
        let length = max(Float(square.squareRoot()), 1e-12)
        let unit = Tensor(shape: [1, embedding.count], values: embedding.map { $0 / length })
        return speakerProjection(unit).values
    }
}

extension Rows {
    /// x += ((1 + guidance) conditioned - guidance free) length, for rows without gaps.
    fileprivate func advance(_ conditioned: Rows, _ free: Rows?, guidance: Float, length: Float) {
        for place in 0..<count * columns {
            var velocity = conditioned.base[place]
            if let free {
                velocity = velocity * (1 + guidance) - free.base[place] * guidance
            }
            base[place] += velocity * length
        }
    }
}
