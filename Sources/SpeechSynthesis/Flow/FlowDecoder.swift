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
        let voice = Tensor(
            shape: [state.rows, speaker.count],
            values: (0..<state.rows).flatMap { _ in speaker })
        return estimator(
            Tensor.concatenatedColumns([state, mu, voice, condition]), time: time)
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
        let speaker = speakerProjection(Self.normalized(embedding)).values
        var condition = Tensor(zeros: [mu.rows, bands])
        condition.values.replaceSubrange(0..<known.values.count, with: known.values)
        let silence = Tensor(zeros: [mu.rows, bands])
        let noSpeaker = [Float](repeating: 0, count: speaker.count)
        let guidance = options.guidance ?? Float(configuration.solver.guidance)
        let grid = Self.grid(
            steps: options.steps, isCosine: configuration.solver.usesCosineSchedule)
        var x = noise
        var time = grid[0]
        var step = grid[1] - grid[0]
        for index in 1...options.steps {
            try Task.checkCancellation()
            let (state, given, now) = (x, condition, time)
            var v: Tensor
            if guidance != 0 {
                // Side by side: each runs from end to end without waiting for the other's parts.
                var both = Parallel.map(2) { index in
                    let isFree = index == 1
                    return velocity(
                        state: state, mu: isFree ? silence : mu,
                        speaker: isFree ? noSpeaker : speaker,
                        condition: isFree ? silence : given, time: now)
                }
                both[0].scale(by: 1 + guidance)
                both[1].scale(by: -guidance)
                v = both[0]
                v += both[1]
            } else {
                v = velocity(
                    state: state, mu: mu, speaker: speaker, condition: given, time: now)
            }
            v.scale(by: step)
            x += v
            time += step
            if index < options.steps {
                step = grid[index + 1] - time
            }
            try progress(index)
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

    private static func normalized(_ embedding: [Float]) -> Tensor {
        let square = embedding.reduce(0.0) { $0 + Double($1) * Double($1) }
        let length = max(Float(square.squareRoot()), 1e-12)
        return Tensor(shape: [1, embedding.count], values: embedding.map { $0 / length })
    }
}
