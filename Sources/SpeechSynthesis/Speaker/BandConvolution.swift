// Two-dimensional convolutions over (band, frame) for the head of CAM++. An image keeps, for each band,
// a [frames, channels] matrix; a convolution is one product per kernel row and band.

import TensorCore

/// A value for each band, frame and channel.
struct BandImage: Sendable {
    /// One [frames, channels] matrix a band.
    let bands: [Tensor]

    init(bands: [Tensor]) { self.bands = bands }

    /// Features [frames, bands] as an image of one channel.
    init(_ features: Tensor) {
        bands = (0..<features.columns).map { features.columns($0..<$0 + 1) }
    }

    /// [frames, channels * bands], channels outermost.
    var flattened: Tensor {
        let frames = bands.first?.rows ?? 0
        let channels = bands.first?.columns ?? 0
        var result = Tensor(zeros: [frames, channels * bands.count])
        for (band, values) in bands.enumerated() {
            for frame in 0..<frames {
                for channel in 0..<channels {
                    result[frame, channel * bands.count + band] = values[frame, channel]
                }
            }
        }
        return result
    }
}

/// A convolution whose stride acts on bands only.
struct BandConvolution: Sendable {
    /// One convolution over frames for each row of the kernel.
    let rows: [Convolution1D]
    let outputs: Int
    let bandStride: Int
    let bandPadding: Int
    let norm: BatchNorm?

    /// Weights [outputs, inputs, bands, frames].
    init(
        weight: [Float], shape: [Int], bias: [Float]?, bandStride: Int, padding: Int,
        norm: BatchNorm?
    ) {
        let (outputs, inputs, height, width) = (shape[0], shape[1], shape[2], shape[3])
        rows = (0..<height).map { row in
            var part: [Float] = []
            part.reserveCapacity(outputs * inputs * width)
            for output in 0..<outputs {
                for input in 0..<inputs {
                    let start = ((output * inputs + input) * height + row) * width
                    part += weight[start..<start + width]
                }
            }
            return Convolution1D(
                weight: part, outputs: outputs, inputs: inputs, kernel: width, bias: nil,
                padding: padding)
        }
        self.outputs = outputs
        self.bandStride = bandStride
        bandPadding = padding
        // A bias and a norm never come together: exporters fold one into the other.
        self.norm = norm ?? bias.map { BatchNorm(shift: $0) }
    }

    func callAsFunction(_ image: BandImage) -> BandImage {
        let count = (image.bands.count + 2 * bandPadding - rows.count) / bandStride + 1
        return BandImage(
            bands: (0..<max(0, count)).map { band in
                var sum: Tensor?
                for (row, convolution) in rows.enumerated() {
                    let source = band * bandStride + row - bandPadding
                    guard image.bands.indices.contains(source) else { continue }
                    let part = convolution(image.bands[source])
                    sum = sum.map { $0 + part } ?? part
                }
                let frames = image.bands.first?.rows ?? 0
                let result = sum ?? Tensor(zeros: [frames, outputs])
                return norm.map { $0(result) } ?? result
            })
    }
}

/// A layer of the head: one convolution, or two with a way around them.
struct BandLayer: Sendable {
    let first: BandConvolution
    /// The second convolution of a residual block.
    let second: BandConvolution?
    /// The way around, where it is no identity.
    let shortcut: BandConvolution?

    func callAsFunction(_ image: BandImage) -> BandImage {
        let inner = BandImage(bands: first(image).bands.map { $0.applying(.relu) })
        guard let second else { return inner }
        let around = shortcut?(image) ?? image
        return BandImage(
            bands: zip(second(inner).bands, around.bands).map { ($0 + $1).applying(.relu) })
    }
}
