// One safetensors file: u64 header length, JSON header {name: {dtype, shape, data_offsets}}, data.
// The tensors stay in the mapped file. Layout after the format's own description.

import TensorCore

/// A safetensors file, memory-mapped.
public struct SafetensorsFile: TensorSource {
    /// All tensors by name.
    public let tensors: [String: StoredTensor]
    /// The file's path.
    public let origin: String
    /// The free text of the header's `__metadata__`.
    public let metadata: [String: String]

    static let maximumHeaderLength = 100_000_000
    static let scalarTypes: [String: ScalarType] = [
        "F64": .float64, "F32": .float32, "F16": .float16, "BF16": .bfloat16, "I64": .int64,
        "I32": .int32, "I16": .int16, "I8": .int8, "U8": .uint8, "BOOL": .bool,
    ]

    /// Maps a file and checks its header; throws `CheckpointError` when anything is out of place.
    public init(path: String) throws {
        origin = path
        let storage = try TensorStorage(checkpoint: path)
        guard let length = storage.integer(at: 0, as: UInt64.self) else {
            throw Self.malformed(path, "it holds \(storage.count) bytes, a header needs 8")
        }
        guard let headerLength = Int(exactly: length), headerLength <= Self.maximumHeaderLength
        else {
            throw Self.malformed(
                path,
                "its header claims \(length) bytes, at most \(Self.maximumHeaderLength) are accepted"
            )
        }
        guard let header = storage.bytes(at: 8, length: headerLength) else {
            throw Self.malformed(
                path,
                "its header claims \(length) bytes, the file holds \(storage.count - 8) after the "
                    + "length")
        }
        let value: JSONValue
        do {
            value = try JSONValue(parsing: header)
        } catch {
            throw Self.malformed(path, "its header is not JSON: \(error)")
        }
        guard var members = value.members else {
            throw Self.malformed(path, "its header is \(value.summary), an object is needed")
        }
        metadata = try Self.metadata(members.removeValue(forKey: "__metadata__"), path: path)
        let dataStart = 8 + headerLength
        var ranges: [(range: Range<Int>, name: String)] = []
        var tensors: [String: StoredTensor] = [:]
        for (name, entry) in members {
            let (tensor, range) = try Self.tensor(
                name, entry, storage: storage, dataStart: dataStart, path: path)
            tensors[name] = tensor
            ranges.append((range, name))
        }
        try Self.checkCoverage(ranges, of: storage.count - dataStart, path: path)
        self.tensors = tensors
    }

    static func malformed(_ path: String, _ reason: String) -> CheckpointError {
        .malformed(path: path, format: "safetensors", reason: reason)
    }

    private static func metadata(
        _ value: JSONValue?, path: String
    ) throws(CheckpointError) -> [String: String] {
        guard let value else { return [:] }
        guard let members = value.members else {
            throw malformed(path, "__metadata__ is \(value.summary), an object is needed")
        }
        return members.mapValues { $0.text ?? $0.summary }
    }

    private static func tensor(
        _ name: String, _ entry: JSONValue, storage: TensorStorage, dataStart: Int, path: String
    ) throws -> (StoredTensor, Range<Int>) {
        guard let fields = entry.members else {
            throw malformed(path, "tensor \(name) is described by \(entry.summary)")
        }
        guard let typeName = fields["dtype"]?.text else {
            throw malformed(path, "tensor \(name) has no dtype")
        }
        guard let type = scalarTypes[typeName] else {
            throw CheckpointError.unsupported(
                path: path, what: "the dtype \(typeName.prefix(20)) of tensor \(name)",
                accepted: scalarTypes.keys.sorted().joined(separator: ", "))
        }
        guard let extents = fields["shape"]?.elements else {
            throw malformed(path, "tensor \(name) has no shape")
        }
        let shape = extents.compactMap(\.exactInteger)
        guard shape.count == extents.count, let size = byteCount(of: shape, type) else {
            throw malformed(
                path,
                "tensor \(name) has the absurd shape [\(extents.map(\.summary).joined(separator: ", "))]"
            )
        }
        guard let offsets = fields["data_offsets"]?.elements?.compactMap(\.exactInteger),
            offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1]
        else { throw malformed(path, "tensor \(name) has no sound data_offsets") }
        let available = storage.count - dataStart
        guard offsets[1] <= available else {
            throw malformed(
                path,
                "tensor \(name) ends at byte \(offsets[1]) of the data, which holds \(available)")
        }
        guard offsets[1] - offsets[0] == size else {
            throw malformed(
                path,
                "tensor \(name) \(shape) of \(typeName) needs \(size) bytes, "
                    + "its range holds \(offsets[1] - offsets[0])")
        }
        let stored = try StoredTensor(
            name: name, shape: shape, scalarType: type, storage: storage,
            byteOffset: dataStart + offsets[0])
        return (stored, offsets[0]..<offsets[1])
    }

    /// The tensors must cover the data without overlap or holes, as the format demands.
    private static func checkCoverage(
        _ ranges: [(range: Range<Int>, name: String)], of available: Int, path: String
    ) throws(CheckpointError) {
        let ordered = ranges.sorted {
            ($0.range.lowerBound, $0.range.upperBound, $0.name)
                < ($1.range.lowerBound, $1.range.upperBound, $1.name)
        }
        var end = 0
        for (range, name) in ordered {
            guard range.lowerBound == end else {
                let what = range.lowerBound < end ? "overlaps another" : "leaves a hole before it"
                throw malformed(path, "tensor \(name) at byte \(range.lowerBound) \(what)")
            }
            end = range.upperBound
        }
        guard end == available else {
            throw malformed(
                path, "its tensors end at byte \(end) of the data, which holds \(available)")
        }
    }
}
