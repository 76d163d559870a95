// Writes a language model's checkpoint with int8 or int4 weights: sharded safetensors whose matrices
// are the blocks that the kernels read, so that loading is a memory map. Norms stay as they are, the
// embedding and everything unknown too; the output is int8 at the least, and so is what int4 hurts most.

import Foundation
import TensorCore

/// Quantises checkpoints in the published layout.
public struct CheckpointQuantizer {
    /// int8 or int4.
    public let precision: WeightPrecision
    /// Bytes after which the next shard begins.
    public var shardBytes = 2_000_000_000

    /// What was written.
    public struct Summary: Sendable, Encodable {
        /// Matrices that were rounded.
        public var matrices = 0
        /// Bytes of all tensors before.
        public var bytesBefore = 0
        /// Bytes of all tensors after.
        public var bytesAfter = 0

        enum CodingKeys: String, CodingKey {
            case matrices
            case bytesBefore = "bytes_before"
            case bytesAfter = "bytes_after"
        }
    }

    /// - Parameter precision: int8 or int4.
    public init(precision: WeightPrecision) {
        precondition(precision.isQuantized, "\(precision) is not a quantised precision")
        self.precision = precision
    }

    /// The precision that a tensor gets, nil when it is copied as it is.
    func target(of tensor: StoredTensor, hiddenSize: Int) -> WeightPrecision? {
        guard tensor.shape.count == 2, tensor.isFloating else { return nil }
        if tensor.name == "lm_head.weight" { return precision.forHead }
        guard Self.isProjection(tensor.name) else { return nil }
        return precision.forProjection(tensor.name, hiddenSize: hiddenSize)
    }

    /// Whether a name is that of a layer's matrix.
    public static func isProjection(_ name: String) -> Bool {
        name.hasPrefix("model.layers.") && name.hasSuffix("_proj.weight")
    }

    /// Reads the model in `folder` and writes it to `output`, which must not hold one yet.
    ///
    /// Files beside the weights are copied.
    @discardableResult
    public func quantize(
        folder: String, to output: String, progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> Summary {
        let checkpoint = try openSafetensors(folder)
        let settings = folder + "/config.json"
        let configuration = try LanguageModelConfiguration(path: settings)
        guard configuration.quantization == nil else {
            throw CheckpointError.unsupported(
                path: folder, what: "quantising a checkpoint that is quantised already",
                accepted: "weights in F32, F16 or BF16")
        }
        let width = configuration.hiddenSize
        try Self.makeFolder(output)
        guard try folderContents(output).allSatisfy({ !$0.hasSuffix(".safetensors") }) else {
            throw CheckpointError.unsupported(
                path: output, what: "writing over a folder that holds weights",
                accepted: "a folder without safetensors files")
        }
        var summary = Summary()
        let tensors = checkpoint.tensors.values.sorted { $0.name < $1.name }
        let writer = ShardWriter(
            folder: output,
            entries: tensors.map { tensor in
                let bytes = tensor.elementCount * tensor.scalarType.byteCount
                summary.bytesBefore += bytes
                guard let precision = target(of: tensor, hiddenSize: width) else {
                    summary.bytesAfter += bytes
                    return .init(name: tensor.name, shape: tensor.shape, type: tensor.scalarType)
                }
                summary.matrices += 1
                let shape = QuantizedBlocks.shape(
                    outputs: tensor.shape[0], inputs: tensor.shape[1], precision: precision)
                summary.bytesAfter += shape.reduce(1, *)
                return .init(name: tensor.name, shape: shape, type: .uint8)
            }, shardBytes: shardBytes)
        let byName = checkpoint.tensors
        var done = 0
        try writer.write { name, sink in
            guard let tensor = byName[name] else { return }
            try Task.checkCancellation()
            if let precision = target(of: tensor, hiddenSize: width) {
                if let index = tensor.firstNonFinite() {
                    throw CheckpointError.weights(
                        origin: folder,
                        problems: [
                            .nonFinite(
                                name: name, index: index, value: tensor.shownValue(at: index))
                        ])
                }
                try WeightMatrix(tensor, precision: precision).withBytes(sink)
            } else {
                try tensor.withBytes(sink)
            }
            done += 1
            progress(done, tensors.count)
        }
        try copyFiles(from: folder, to: output)
        try writeSettings(from: settings, to: output + "/config.json")
        return summary
    }

    private static func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
        } catch {
            throw CheckpointError.unreadable(path: path, reason: "it cannot be made: \(error)")
        }
    }

    private func copyFiles(from folder: String, to output: String) throws {
        for name in try folderContents(folder) {
            var isFolder: ObjCBool = false
            let source = folder + "/" + name
            guard FileManager.default.fileExists(atPath: source, isDirectory: &isFolder),
                !isFolder.boolValue, !name.hasSuffix(".safetensors"),
                name != SafetensorsCheckpoint.indexName, name != "config.json"
            else { continue }
            try Self.copy(source, to: output + "/" + name)
        }
    }

    /// Copies a file or a folder, in place of what is there.
    public static func copy(_ source: String, to target: String) throws {
        do {
            if FileManager.default.fileExists(atPath: target) {
                try FileManager.default.removeItem(atPath: target)
            }
            try FileManager.default.copyItem(atPath: source, toPath: target)
        } catch {
            throw CheckpointError.unreadable(
                path: target, reason: "it cannot be written: \(error.localizedDescription)")
        }
    }

    /// config.json with `quantization_config`, every other setting as it was.
    private func writeSettings(from source: String, to target: String) throws {
        let written: Data
        do {
            let value = try JSONSerialization.jsonObject(
                with: Data(contentsOf: URL(fileURLWithPath: source)))
            guard var members = value as? [String: Any] else {
                throw CheckpointError.malformed(
                    path: source, format: "JSON", reason: "an object is needed")
            }
            members["quantization_config"] = [
                "quant_method": QuantizationSettings.ownMethod, "bits": precision.bits,
                "group_size": QuantizedBlocks.group, "sym": true,
                "head_bits": precision.forHead.bits,
                "modules_to_not_convert": ["model.embed_tokens"],
            ]
            written = try JSONSerialization.data(
                withJSONObject: members, options: [.prettyPrinted, .sortedKeys])
            try written.write(to: URL(fileURLWithPath: target))
        } catch let error as CheckpointError {
            throw error
        } catch {
            throw CheckpointError.unreadable(
                path: target, reason: "it cannot be written: \(error.localizedDescription)")
        }
    }
}
