// am.mvn, kaldi's text form of a normalisation: y = (x + shift) * scale for each dimension. The values
// stand on the line after <AddShift> and <Rescale>, as <LearnRateCoef> 0 [ v0 v1 ... ].

import TensorCore

/// A shift and a scale for each feature.
public struct FeatureNormalization: Sendable, Equatable {
    /// Added first: the negative means.
    public let shift: [Float]
    /// Multiplied then: the inverse deviations.
    public let scale: [Float]

    /// Makes a normalisation; both lists have one length.
    public init(shift: [Float], scale: [Float]) {
        precondition(shift.count == scale.count, "\(shift.count) shifts, \(scale.count) scales")
        self.shift = shift
        self.scale = scale
    }

    /// Reads an am.mvn; throws `CheckpointError`.
    public init(path: String) throws {
        func malformed(_ reason: String) -> CheckpointError {
            .malformed(path: path, format: "am.mvn", reason: reason)
        }
        let lines = try readText(path, format: "am.mvn").split(whereSeparator: \.isNewline)
            .map { $0.split(whereSeparator: \.isWhitespace) }
            .filter { !$0.isEmpty }
        func values(after tag: String) throws -> [Float] {
            let places = lines.indices.filter { lines[$0][0] == tag }
            guard places.count == 1 else {
                throw malformed("it has \(places.count) lines of \(tag), one is needed")
            }
            let next = places[0] + 1
            guard next < lines.count, lines[next][0] == "<LearnRateCoef>", lines[next].count >= 4,
                lines[next][2] == "[", lines[next].last == "]"
            else { throw malformed("no line <LearnRateCoef> 0 [ ... ] follows \(tag)") }
            return try lines[next][3..<(lines[next].count - 1)].map { word in
                guard let value = Float(word), value.isFinite else {
                    throw malformed("\(tag) holds \"\(word.prefix(40))\", numbers are needed")
                }
                return value
            }
        }
        let shift = try values(after: "<AddShift>")
        let scale = try values(after: "<Rescale>")
        guard shift.count == scale.count, !shift.isEmpty else {
            throw malformed("it holds \(shift.count) shifts and \(scale.count) scales")
        }
        self.init(shift: shift, scale: scale)
    }
}
