// An encoder that is made when the first samples tell their rate.

import Foundation

/// Encodes the samples of one answer.
actor EncodingLine {
    private let format: AudioFormat
    private let wanted: SampleRate?
    private var encoder: AudioEncoder?

    init(_ format: AudioFormat, wanted: SampleRate?) {
        self.format = format
        self.wanted = wanted
    }

    /// The bytes that are ready, and their rate.
    func append(_ samples: [Float], rate: Int) async throws -> ([UInt8], Int) {
        if encoder == nil {
            let target: Int? =
                switch wanted {
                case .hertz(let hertz): hertz
                case .native: rate
                case nil: nil
                }
            encoder = try AudioEncoder(format, sourceRate: rate, sampleRate: target)
        }
        guard let encoder else { return ([], rate) }
        return (try await encoder.append(samples), encoder.sampleRate)
    }

    /// The last bytes.
    func finish() async throws -> ([UInt8], Int) {
        guard let encoder else { return ([], 0) }
        return (try await encoder.finish(), encoder.sampleRate)
    }
}
