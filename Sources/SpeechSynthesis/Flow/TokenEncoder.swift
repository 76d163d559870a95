// The flow's encoder: a pre-norm transformer with relative positions over the audio tokens, offline and
// bidirectional. Ids [N] -> [N, D]. Source: CosyVoice's ConformerEncoder (without convolution module);
// Dai et al., "Transformer-XL" (2019) for the position scores.

import Foundation
import TensorCore

/// Encodes embedded audio tokens.
package struct TokenEncoder: Sendable {
    let projection: Linear
    let projectionNorm: LayerNorm
    let layers: [TokenEncoderLayer]
    let finalNorm: LayerNorm

    /// [N, inputs] -> [N, D].
    func callAsFunction(_ embedded: Tensor) -> Tensor {
        var x = projectionNorm(projection(embedded))
        x.scale(by: Float(x.columns).squareRoot())
        let positions = Self.positions(count: x.rows, width: x.columns)
        for layer in layers {
            x = layer(x, positions: positions)
        }
        return finalNorm(x)
    }

    /// Sinusoids of the distances from count - 1 down to 1 - count: [2 count - 1, width], sines on
    /// even columns, cosines on odd ones.
    package static func positions(count: Int, width: Int) -> Tensor {
        var result = Tensor(zeros: [max(0, 2 * count - 1), width])
        let rates = (0..<width / 2).map {
            Float(exp(Double(Float(2 * $0) * Float(-log(10_000.0) / Double(width)))))
        }
        for row in 0..<result.rows {
            let distance = Float(count - 1 - row)
            for (pair, rate) in rates.enumerated() {
                let angle = Double(distance * rate)
                result[row, 2 * pair] = Float(sin(angle))
                result[row, 2 * pair + 1] = Float(cos(angle))
            }
        }
        return result
    }
}

/// One layer: attention with relative positions, then a SiLU feed-forward network.
struct TokenEncoderLayer: Sendable {
    let attentionNorm: LayerNorm
    let attention: RelativeAttention
    let feedForwardNorm: LayerNorm
    let expansion, contraction: Linear

    func callAsFunction(_ x: Tensor, positions: Tensor) -> Tensor {
        let y = x + attention(attentionNorm(x), positions: positions)
        return contraction(expansion(feedForwardNorm(y), .silu), addedTo: y)
    }
}

/// Score[i, j] = ((q_i + u) k_j + (q_i + v) p_(i - j)) / sqrt(d).
struct RelativeAttention: Sendable {
    let heads: Int
    let query, key, value, position, output: Linear
    /// u and v of all heads, [D].
    let contentBias, positionBias: [Float]

    func callAsFunction(_ x: Tensor, positions: Tensor) -> Tensor {
        let queries = query(x)
        var content = queries
        content.add(toEveryRow: contentBias)
        var relative = queries
        relative.add(toEveryRow: positionBias)
        let projected = position(positions)
        let (count, width) = (x.rows, x.columns / heads)
        let (stride, scale) = (x.columns, 1 / Float(x.columns / heads).squareRoot())
        let mixed = relative.values.withUnsafeBufferPointer { rows in
            projected.values.withUnsafeBufferPointer { table in
                guard let rows = rows.baseAddress, let table = table.baseAddress else {
                    return Tensor(zeros: [0, x.columns])
                }
                let (rowBase, tableBase) = (SharedReadPointer(rows), SharedReadPointer(table))
                return TensorCore.attention(
                    query: content, key: key(x), value: value(x), heads: heads, scale: scale
                ) { head, block, scores in
                    let keyCount = scores.columns
                    // Row i meets the table's rows count - 1 - i + j; a block needs one stretch.
                    let first = count - block.upperBound
                    let span = keyCount + block.count - 1
                    withUnsafeTemporaryAllocation(of: Float.self, capacity: block.count * span) {
                        scratch in
                        guard let products = scratch.baseAddress else { return }
                        MatrixProduct.multiply(
                            m: block.count, n: span, k: width,
                            a: rowBase.base + block.lowerBound * stride + head * width,
                            aStride: stride, b: tableBase.base + first * stride + head * width,
                            bStride: stride, bLayout: .outputsByInputs, c: products,
                            cStride: span, alpha: scale)
                        for row in 0..<block.count {
                            let source = products + row * span + (block.count - 1 - row)
                            let target = scores.row(row)
                            for key in 0..<keyCount {
                                target[key] += source[key]
                            }
                        }
                    }
                }
            }
        }
        return output(mixed)
    }
}
