// The online front end of the linguistic tokenizer: 16 kHz samples in any portions become mel frames,
// stacked and normalised feature rows, cut into chunks of 240 ms of audio. Input: samples in [-1, 1];
// output: rows [T, window * bands] and how many belong to each chunk. The portions do not matter:
// chunks lie on a grid counted from the utterance's first sample.

import AudioSignal
import Checkpoints
import TensorCore

/// The settings of the front end.
struct LinguisticFrontEnd: Sendable {
    let filterBank: KaldiFilterBank
    let stacking: FrameStacking
    let normalization: FeatureNormalization
    let geometry: ChunkGeometry
    /// Standard deviation of the noise added to each sample of each frame, in 16-bit steps.
    let dither: Float

    /// Values of a feature row.
    var columns: Int { stacking.window * filterBank.melCount }

    /// What one utterance carries from portion to portion.
    struct State: Sendable {
        /// Samples that do not fill a chunk yet.
        var pending: [Float] = []
        /// Samples before them that later frames still reach into.
        var frameSamples: [Float] = []
        /// Mel frames that later rows still need: [rows, bands].
        var frames: [Float] = []
        /// Source of the dither.
        var noise: SeededGenerator
    }

    /// Feature rows of whole chunks.
    struct Output: Sendable {
        /// [sum of `chunks`, columns].
        let features: Tensor
        /// Rows of each chunk, never zero.
        let chunks: [Int]
    }

    /// Takes the next samples.
    ///
    /// With `isFinal` the rest is flushed and the state starts anew.
    func process(
        _ samples: some Collection<Float>, isFinal: Bool, state: inout State
    ) -> Output {
        state.pending += samples
        let pieces = cut(state.pending.count, isFinal: isFinal)
        let taken = pieces.reduce(0, +)
        let known = state.frameSamples.count
        state.frameSamples += state.pending.prefix(taken)
        state.pending.removeFirst(taken)
        let mels = filterBank.features(
            state.frameSamples, dither: dither, generator: &state.noise)

        var rows: [Float] = []
        var chunks: [Int] = []
        var heard = known
        var used = 0
        for (index, piece) in pieces.enumerated() {
            heard += piece
            let made = filterBank.frameCount(heard)
            let isLast = isFinal && index == pieces.count - 1
            let before = rows.count
            append(mels, frames: used..<max(used, made), isFinal: isLast, state: &state, to: &rows)
            used = max(used, made)
            if rows.count > before {
                chunks.append((rows.count - before) / columns)
            }
        }
        state.frameSamples.removeFirst(used * filterBank.frameShift)
        if isFinal {
            state = State(noise: state.noise)
        }
        var features = Tensor(shape: [rows.count / columns, columns], values: rows)
        features.normalize(with: normalization)
        return Output(features: features, chunks: chunks)
    }

    /// Lengths of the pieces that can be taken: whole ones, and the rest of a finished utterance.
    private func cut(_ count: Int, isFinal: Bool) -> [Int] {
        let whole = count / geometry.pieceSamples
        let rest = count % geometry.pieceSamples
        let pieces = [Int](repeating: geometry.pieceSamples, count: whole)
        return isFinal && rest > 0 ? pieces + [rest] : pieces
    }

    /// Stacks a piece's new frames behind those kept from earlier ones.
    private func append(
        _ mels: Tensor, frames range: Range<Int>, isFinal: Bool, state: inout State,
        to rows: inout [Float]
    ) {
        guard !range.isEmpty else { return }
        let bands = filterBank.melCount
        let new = mels.values[range.lowerBound * bands..<range.upperBound * bands]
        if state.frames.isEmpty {
            for _ in 0..<stacking.leftPadding {
                state.frames += new.prefix(bands)
            }
        }
        state.frames += new
        guard state.frames.count / bands >= stacking.window else { return }
        let next = stacking.stack(
            state.frames[...], bands: bands, isFinal: isFinal, into: &rows)
        state.frames.removeFirst(next * bands)
    }
}

extension Tensor {
    /// (x + shift) * scale with one shift and scale a column.
    fileprivate mutating func normalize(with statistics: FeatureNormalization) {
        let (rows, columns) = (rows, columns)
        values.withUnsafeMutableBufferPointer { buffer in
            for row in 0..<rows {
                let start = row * columns
                for column in 0..<columns {
                    buffer[start + column] =
                        (buffer[start + column] + statistics.shift[column])
                        * statistics.scale[column]
                }
            }
        }
    }
}
