// What a bundle holds, read from headers and settings without loading weights.

import Checkpoints
import Foundation
import TensorCore

/// A bundle's parts, sizes and memory needs.
public struct BundleInspection: Sendable, Encodable {
    /// One part of a bundle.
    public struct Part: Sendable, Encodable {
        /// What it is.
        public var name: String
        /// Where it is, or was looked for.
        public var path: String
        /// Whether its files are there.
        public var isPresent: Bool
        /// Values of its tensors.
        public var parameters = 0
        /// Bytes of its files.
        public var fileBytes = 0
        /// Element types of its tensors.
        public var storedAs = ""
        /// Sizes in words, or why it cannot be read.
        public var details: [String] = []

        enum CodingKeys: String, CodingKey {
            case name, path, parameters, details
            case isPresent = "present"
            case fileBytes = "file_bytes"
            case storedAs = "stored_as"
        }
    }

    /// The memory that a precision needs.
    public struct Need: Sendable, Encodable {
        /// fp32, bf16, int8 or int4.
        public var precision: String
        /// Bytes of all weights.
        public var bytes: Int
        /// Whether they fit into what is free, with room for activations.
        public var fits: Bool
    }

    /// The bundle's folder.
    public let directory: String
    /// Its parts.
    public let parts: [Part]
    /// Ids of its speakers and the user's own.
    public let speakers: [String]
    /// Memory by precision.
    public let memory: [Need]
    /// Bytes that are free, where the system says so.
    public let availableBytes: Int?

    enum CodingKeys: String, CodingKey {
        case directory, parts, speakers, memory
        case availableBytes = "available_bytes"
    }

    /// Looks at a bundle; throws when it has none of the parts.
    public init(locations: ModelLocations) throws(StepAudioError) {
        let layout = locations.layout
        directory = locations.bundle
        var sizes: [WeightSize] = []
        func part(
            _ name: String, _ path: String, _ read: () throws -> (WeightSize, [String])
        ) -> Part {
            var part = Part(name: name, path: path, isPresent: true)
            do {
                let (size, details) = try read()
                sizes.append(size)
                part.parameters = size.parameters
                part.fileBytes = size.fileBytes
                part.storedAs = size.storedAs
                part.details = details
            } catch CheckpointError.missingPart(_, let places) {
                part.isPresent = false
                part.details = places
            } catch {
                part.details = ["damaged: \(error)"]
            }
            return part
        }
        func model(_ files: LanguageModelFiles) throws -> (WeightSize, [String]) {
            let c = try LanguageModelConfiguration(path: files.configuration)
            return (
                try WeightSize.languageModel(files),
                [
                    "\(c.layers) layers, width \(c.hiddenSize), \(c.attentionHeads) heads in "
                        + "\(c.keyValueHeads) groups, vocabulary \(c.vocabularySize), "
                        + "context \(c.maximumSequenceLength)"
                ]
            )
        }
        func decoder(_ files: DecoderFiles) throws -> (WeightSize, [String]) {
            let c = try DecoderConfiguration(path: files.configuration)
            return (
                try WeightSize.decoder(files) + WeightSize.speakerEncoder(files),
                [
                    "flow: \(c.flow.encoder.blocks) encoder layers of width "
                        + "\(c.flow.encoder.outputSize), U-Net \(c.flow.estimator.channels) with "
                        + "\(c.flow.estimator.middleBlocks) middle stages",
                    "vocoder: \(c.vocoder.baseChannels) channels, \(c.vocoder.sampleRate) Hz",
                ]
            )
        }
        parts = [
            part("audio tokenizer", layout.tokenizer) {
                let files = try layout.audioTokenizer()
                let c = try FunASRConfiguration(path: files.configuration)
                return (
                    try WeightSize.audioTokenizer(files),
                    ["linguistic: \(c.blocks) layers of width \(c.outputSize)"]
                )
            },
            part("speech model", layout.speech) { try model(layout.speechLanguageModel()) },
            part("speech decoder", layout.speech) { try decoder(layout.speechDecoder()) },
            part("music decoder", layout.speech) { try decoder(layout.musicDecoder()) },
            part("chat model", layout.chat) { try model(layout.chatLanguageModel()) },
        ]
        guard parts.contains(where: \.isPresent) else {
            throw .partMissing(
                part: "every part of the bundle", lookedAt: parts.flatMap(\.details))
        }
        speakers = (try? VoiceStore(locations: locations))?.speakers.map(\.id) ?? []
        let free = ProcessMemory.available
        availableBytes = free
        memory = WeightPrecision.allCases.map { precision in
            let bytes = sizes.reduce(0) { $0 + $1.bytes(at: precision) }
            return Need(
                precision: precision.rawValue, bytes: bytes,
                fits: free.map { bytes + WeightSize.headroom <= $0 } ?? true)
        }
    }
}
