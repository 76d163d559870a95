// The linguistic encoder's network: a stack of SAN-M layers over chunk windows. Input: normalised
// feature rows [T, inputs], cut into chunks; output: hidden rows [T, width] after the final norm.
// Because nothing recurs inside a layer, any number of chunks runs layer by layer in large products;
// streaming runs the same code on fewer chunks.

import TensorCore

/// The network and the state of one stream through it.
struct LinguisticNetwork: Sendable {
    /// What one stream carries from chunk to chunk.
    struct State: Sendable {
        /// Rows seen so far; positions count on from it.
        var rowsSeen = 0
        /// The last rows of the stream, scaled and with positions: [overlap rows, inputs].
        var overlap: [Float] = []
        /// One cache a layer.
        var caches: [SANMCache] = []
    }

    /// Windows that run together at most; bounds the memory of long recordings (61 s of audio).
    static let windowsPerBatch = 256

    let inputs: Int
    let width: Int
    let layers: [SANMLayer]
    let finalNorm: LayerNorm
    let positions: StreamPositions
    let geometry: ChunkGeometry

    /// Hidden rows of consecutive chunks: features [T, inputs] -> [T, width].
    ///
    /// `chunks` holds the rows of each chunk.
    func callAsFunction(_ features: Tensor, chunks: [Int], state: inout State) -> Tensor {
        var result = Tensor(zeros: [0, width])
        result.values.reserveCapacity(features.rows * width)
        var first = 0
        for batch in stride(from: 0, to: chunks.count, by: Self.windowsPerBatch) {
            let part = Array(chunks[batch..<min(batch + Self.windowsPerBatch, chunks.count)])
            let rows = part.reduce(0, +)
            let hidden = encode(
                features.rows(first..<first + rows), chunks: part, state: &state)
            result.values += hidden.values
            first += rows
        }
        result.shape = [first, width]
        return result
    }

    private func encode(_ features: Tensor, chunks: [Int], state: inout State) -> Tensor {
        if state.caches.isEmpty {
            state.caches = Array(repeating: SANMCache(), count: layers.count)
            state.overlap = [Float](repeating: 0, count: geometry.overlapRows * inputs)
        }
        let windows = ChunkWindows(ownRows: chunks, geometry: geometry)
        var x = stack(features, windows: windows, state: &state)
        for (index, layer) in layers.enumerated() {
            x = layer(x, windows: windows, cache: &state.caches[index])
        }
        return finalNorm(ownRows(of: x, windows: windows))
    }

    /// Scales, adds positions and lays out the windows: [T, inputs] -> [R, inputs].
    private func stack(
        _ features: Tensor, windows: ChunkWindows, state: inout State
    ) -> Tensor {
        var rows = features
        rows.scale(by: Float(width).squareRoot())
        positions.add(to: &rows, first: state.rowsSeen + 1)
        state.rowsSeen += rows.rows
        let stream = state.overlap + rows.values
        var values: [Float] = []
        values.reserveCapacity(windows.rowCount * inputs)
        var first = 0
        for window in windows.windows {
            values += stream[first * inputs..<(first + window.rows) * inputs]
            first += window.ownRows
        }
        state.overlap = Array(stream.suffix(geometry.overlapRows * inputs))
        return Tensor(shape: [windows.rowCount, inputs], values: values)
    }

    /// The rows that belong to the chunks themselves: [R, width] -> [T, width].
    private func ownRows(of x: Tensor, windows: ChunkWindows) -> Tensor {
        var values: [Float] = []
        for window in windows.windows {
            let end = window.start + window.rows
            values += x.values[(end - window.ownRows) * width..<end * width]
        }
        return Tensor(shape: [values.count / width, width], values: values)
    }
}
