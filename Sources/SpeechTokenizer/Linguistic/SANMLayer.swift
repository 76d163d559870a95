// One layer of the linguistic encoder, pre-norm: SAN-M attention, then a two-layer network with
// ReLU. [R, inputs] -> [R, width] over stacked chunk windows.

import TensorCore

/// An encoder layer.
///
/// The first one widens or narrows its input and has no residual around the attention.
struct SANMLayer: Sendable {
    let attentionNorm: LayerNorm
    let attention: SANMAttention
    let feedForwardNorm: LayerNorm
    let expansion: Linear
    let contraction: Linear

    /// Runs the layer over the windows in order; the cache moves on.
    func callAsFunction(
        _ x: Tensor, windows: ChunkWindows, cache: inout SANMCache
    ) -> Tensor {
        var y = attention(attentionNorm(x), windows: windows, cache: &cache)
        if x.columns == y.columns {
            y += x
        }
        return contraction(expansion(feedForwardNorm(y), .relu), addedTo: y)
    }
}
