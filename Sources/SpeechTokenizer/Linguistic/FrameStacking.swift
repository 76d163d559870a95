// Low frame rate features: every `stride` frames, `window` neighbouring frames are laid side by side
// (7 every 6 for the published model, 60 ms a row). Input [T, bands], output [R, window * bands].

import TensorCore

/// The settings of frame stacking.
struct FrameStacking: Sendable, Equatable {
    /// Frames side by side in one row (`lfr_m`).
    let window: Int
    /// Frames from row to row (`lfr_n`).
    let stride: Int

    /// Copies of the first frame that stand before an utterance.
    var leftPadding: Int { (window - 1) / 2 }

    /// Stacks what is there into `output` and returns the first frame that later rows need.
    ///
    /// At the end of an utterance the last frame fills an unfinished row.
    func stack(
        _ frames: ArraySlice<Float>, bands: Int, isFinal: Bool, into output: inout [Float]
    ) -> Int {
        let count = frames.count / bands
        let wanted = max(0, (count - leftPadding + stride - 1) / stride)
        var made = wanted
        for row in 0..<wanted {
            let first = frames.startIndex + row * stride * bands
            let available = count - row * stride
            if available >= window {
                output += frames[first..<first + window * bands]
            } else if isFinal {
                output += frames[first...]
                for _ in available..<window {
                    output += frames.suffix(bands)
                }
            } else {
                made = row
                break
            }
        }
        return min(count - 1, made * stride)
    }
}
