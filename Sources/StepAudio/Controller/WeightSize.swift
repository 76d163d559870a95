// How much memory a part's weights take, known from the files' headers before anything is allocated.

import Checkpoints
import Foundation
import TensorCore

/// The size of a part's weights.
package struct WeightSize: Sendable, Equatable {
    /// Values of the tensors that a precision applies to.
    var parameters: Int
    /// Whether a precision applies at all; the encoders and decoders compute in fp32 only.
    var hasPrecision: Bool
    /// Whether the file holds bf16, which fp32 would only make larger.
    var isBFloat16: Bool
    /// Bytes of the files.
    var fileBytes: Int
    /// The element types in the files.
    var storedAs: String
    /// Those of the parameters that int8 and int4 apply to: the layers' matrices, and the output.
    var projections = 0, head = 0
    /// Those of the parameters that the file holds quantised, and the bytes they take in memory.
    var quantized = 0, quantizedBytes = 0
    /// The precision of these.
    var quantizedAs: WeightPrecision?

    /// Describes a part of plain weights.
    package init(
        parameters: Int, hasPrecision: Bool, isBFloat16: Bool, fileBytes: Int, storedAs: String
    ) {
        self.parameters = parameters
        self.hasPrecision = hasPrecision
        self.isBFloat16 = isBFloat16
        self.fileBytes = fileBytes
        self.storedAs = storedAs
    }

    /// Bytes in memory at a precision; what is stored quantised stays so.
    func bytes(at precision: WeightPrecision) -> Int {
        guard hasPrecision else { return parameters * 4 }
        func bytes(_ count: Int, _ precision: WeightPrecision) -> Int {
            // Quantised weights have 16 bits of scale for each block of 32.
            count * precision.bits / 8 + (precision.isQuantized ? count / 16 : 0)
        }
        return quantizedBytes + bytes(projections, precision) + bytes(head, precision.forHead)
            + bytes(parameters - quantized - projections - head, precision.forEmbedding)
    }

    /// Bytes that memory must have free beside the weights: activations and caches.
    static let headroom = 64_000_000

    /// Throws with the numbers unless the weights fit into what is free.
    package func check(available: Int?, precision: WeightPrecision) throws(StepAudioError) {
        guard let available else { return }
        let needed = bytes(at: precision) + Self.headroom
        guard needed > available else { return }
        let narrower = WeightPrecision.allCases.filter { $0.bits < precision.bits }
        throw .memoryTooSmall(
            needed: needed, available: available, precision: precision.rawValue,
            fitting: hasPrecision ? narrower.first { fits($0, available) }?.rawValue : nil)
    }

    private func fits(_ precision: WeightPrecision, _ available: Int) -> Bool {
        bytes(at: precision) + Self.headroom <= available
    }

    /// The widest precision that is worth its memory and fits.
    package func preferred(available: Int?) -> WeightPrecision {
        if let quantizedAs { return quantizedAs }
        // Products accumulate in fp32 whatever the weights are, so weights stored as bf16 lose nothing.
        let widest: WeightPrecision = isBFloat16 ? .bf16 : .fp32
        guard let available else { return widest }
        return WeightPrecision.allCases.first {
            $0.bits <= widest.bits && fits($0, available)
        } ?? .bf16
    }

    static func languageModel(_ files: LanguageModelFiles) throws -> WeightSize {
        let checkpoint = try openSafetensors(files.folder)
        return size(checkpoint.tensors.values, files: checkpoint.files, hasPrecision: true)
    }

    static func audioTokenizer(_ files: AudioTokenizerFiles) throws -> WeightSize {
        let encoder = try PyTorchArchive(path: files.model).tensors.values.filter {
            $0.name.hasPrefix("encoder.")
        }
        return try size(encoder, files: [files.model], hasPrecision: false)
            + size(
                ONNXModel(path: files.semanticModel).tensors.values, files: [files.semanticModel],
                hasPrecision: false)
            + size(
                NumPyFile(path: files.linguisticCodebook).tensors.values,
                files: [files.linguisticCodebook], hasPrecision: false)
    }

    static func decoder(_ files: DecoderFiles) throws -> WeightSize {
        try size(
            PyTorchArchive(path: files.flow).tensors.values, files: [files.flow],
            hasPrecision: false)
            + size(
                PyTorchArchive(path: files.vocoder).tensors.values, files: [files.vocoder],
                hasPrecision: false)
    }

    static func speakerEncoder(_ files: DecoderFiles) throws -> WeightSize {
        try size(
            ONNXModel(path: files.speakerEncoder).tensors.values, files: [files.speakerEncoder],
            hasPrecision: false)
    }

    static func + (left: WeightSize, right: WeightSize) -> WeightSize {
        let types = Set(left.storedAs.split(separator: "+") + right.storedAs.split(separator: "+"))
        return WeightSize(
            parameters: left.parameters + right.parameters,
            hasPrecision: left.hasPrecision || right.hasPrecision,
            isBFloat16: left.isBFloat16 && right.isBFloat16,
            fileBytes: left.fileBytes + right.fileBytes,
            storedAs: types.sorted().joined(separator: "+"))
    }

    private static func size(
        _ tensors: some Collection<StoredTensor>, files: [String], hasPrecision: Bool
    ) -> WeightSize {
        let types = Set(tensors.filter { $0.elementCount > 1 }.map(\.scalarType))
            .filter { [.float32, .float16, .bfloat16, .float64].contains($0) }
        let bytes = files.reduce(0) { sum, file in
            let attributes = try? FileManager.default.attributesOfItem(atPath: file)
            return sum + ((attributes?[.size] as? Int) ?? 0)
        }
        var size = WeightSize(
            parameters: 0, hasPrecision: hasPrecision, isBFloat16: types == [.bfloat16],
            fileBytes: bytes, storedAs: "")
        var names = Set(types.map(\.rawValue))
        for tensor in tensors {
            guard let precision = QuantizedTensor.precision(of: tensor) else {
                if !QuantizedTensor.isCompanion(tensor.name) {
                    size.parameters += tensor.elementCount
                }
                if tensor.name == "lm_head.weight" { size.head += tensor.elementCount }
                if CheckpointQuantizer.isProjection(tensor.name) {
                    size.projections += tensor.elementCount
                }
                continue
            }
            let weights = QuantizedTensor.weightCount(of: tensor)
            size.parameters += weights
            size.quantized += weights
            size.quantizedBytes += weights * precision.bits / 8 + weights / 16
            // The narrowest names the whole: sensitive matrices are wider.
            if tensor.name != "lm_head.weight", precision.bits < size.quantizedAs?.bits ?? .max {
                size.quantizedAs = precision
            }
            names.insert(precision.rawValue)
        }
        size.storedAs = names.sorted().joined(separator: "+")
        return size
    }
}
