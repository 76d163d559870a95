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

    /// Describes a part.
    package init(
        parameters: Int, hasPrecision: Bool, isBFloat16: Bool, fileBytes: Int, storedAs: String
    ) {
        self.parameters = parameters
        self.hasPrecision = hasPrecision
        self.isBFloat16 = isBFloat16
        self.fileBytes = fileBytes
        self.storedAs = storedAs
    }

    /// Bytes in memory at a precision.
    func bytes(at precision: WeightPrecision) -> Int {
        parameters * (hasPrecision && precision == .bf16 ? 2 : 4)
    }

    /// Bytes that memory must have free beside the weights: activations and caches.
    static let headroom = 64_000_000

    /// Throws with the numbers unless the weights fit into what is free.
    package func check(available: Int?, precision: WeightPrecision) throws(StepAudioError) {
        guard let available else { return }
        let needed = bytes(at: precision) + Self.headroom
        guard needed > available else { return }
        let fits = hasPrecision && bytes(at: .bf16) + Self.headroom <= available
        throw .memoryTooSmall(
            needed: needed, available: available, precision: precision.rawValue,
            fitting: fits && precision != .bf16 ? WeightPrecision.bf16.rawValue : nil)
    }

    /// The widest precision that is worth its memory and fits.
    package func preferred(available: Int?) -> WeightPrecision {
        // Products accumulate in fp32 whatever the weights are, so weights stored as bf16 lose nothing.
        if isBFloat16 { return .bf16 }
        guard let available else { return .fp32 }
        return bytes(at: .fp32) + Self.headroom <= available ? .fp32 : .bf16
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
        return WeightSize(
            parameters: tensors.reduce(0) { $0 + $1.elementCount }, hasPrecision: hasPrecision,
            isBFloat16: types == [.bfloat16], fileBytes: bytes,
            storedAs: types.map(\.rawValue).sorted().joined(separator: "+"))
    }
}
