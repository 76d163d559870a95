// Quantises the language models of a bundle and copies everything else.

import Checkpoints
import Foundation
import TensorCore

/// Makes the smaller copy of a model or a bundle.
public enum BundleQuantization {
    /// A model that was written.
    public struct Model: Sendable, Encodable {
        /// Where it lies in the copy.
        public let folder: String
        /// What changed.
        public let summary: CheckpointQuantizer.Summary
    }

    /// Quantises a language model's folder, or all language models in a bundle's folder.
    ///
    /// Throws `CheckpointError`, or `StepAudioError` when there is no language model.
    public static func run(
        from source: String, to target: String, precision: WeightPrecision,
        progress: (String, Int, Int) -> Void = { _, _, _ in }
    ) throws -> [Model] {
        let quantizer = CheckpointQuantizer(precision: precision)
        func quantize(_ name: String, _ from: String, _ to: String) throws -> Model {
            let summary = try quantizer.quantize(folder: from, to: to) { progress(name, $0, $1) }
            return Model(folder: to, summary: summary)
        }
        let (from, to) = (withoutSlash(source), withoutSlash(target))
        guard path(from) != path(to) else {
            throw StepAudioError.badOption(
                name: "the copy's directory", value: target, accepted: "another than the original's"
            )
        }
        if exists(from + "/config.json") {
            return [try quantize("quantising", from, to)]
        }
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: from)) ?? []).sorted()
        let models = names.filter { exists("\(from)/\($0)/config.json") }
        guard !models.isEmpty else {
            throw StepAudioError.partMissing(
                part: "a language model",
                lookedAt: [from + "/config.json", from + "/*/config.json"])
        }
        try FileManager.default.createDirectory(atPath: to, withIntermediateDirectories: true)
        var written: [Model] = []
        for name in names {
            let (inside, copy) = ("\(from)/\(name)", "\(to)/\(name)")
            guard models.contains(name) else {
                try CheckpointQuantizer.copy(inside, to: copy)
                continue
            }
            written.append(try quantize(name, inside, copy))
            // The decoders lie inside the speech model's folder.
            for part in try FileManager.default.contentsOfDirectory(atPath: inside)
            where isFolder("\(inside)/\(part)") {
                try CheckpointQuantizer.copy("\(inside)/\(part)", to: "\(copy)/\(part)")
            }
        }
        return written
    }

    private static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: path)
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
            && isFolder.boolValue
    }

    private static func withoutSlash(_ path: String) -> String {
        path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    private static func path(_ path: String) -> String {
        URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    }
}
