// A safetensors checkpoint of one or many files: a single file, a folder with
// model.safetensors.index.json (its weight_map names the shards, "-of-N" or not), or a folder with any
// *.safetensors files.

import Foundation
import TensorCore

/// Tensors of one or more safetensors files.
public struct SafetensorsCheckpoint: TensorSource {
    /// All tensors by name.
    public let tensors: [String: StoredTensor]
    /// The file or folder.
    public let origin: String
    /// The files that were read.
    public let files: [String]

    /// The index of a sharded checkpoint.
    public static let indexName = "model.safetensors.index.json"

    /// Opens a file or a folder; throws `CheckpointError`.
    public init(path: String) throws {
        origin = path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw CheckpointError.unreadable(path: path, reason: "No such file or directory")
        }
        guard isFolder.boolValue else {
            files = [path]
            tensors = try SafetensorsFile(path: path).tensors
            return
        }
        let index = path + "/" + Self.indexName
        if FileManager.default.fileExists(atPath: index) {
            (files, tensors) = try Self.readShards(folder: path, index: index)
        } else {
            (files, tensors) = try Self.readAll(folder: path)
        }
    }

    private static func readShards(
        folder: String, index: String
    ) throws -> ([String], [String: StoredTensor]) {
        let format = "safetensors index"
        let value = try JSONValue(contentsOf: index, format: format)
        guard let map = value.members?["weight_map"]?.members, !map.isEmpty else {
            throw CheckpointError.malformed(
                path: index, format: format, reason: "it has no weight_map")
        }
        var shardNames: Set<String> = []
        for (tensor, shard) in map {
            guard let name = shard.text, isPlainFileName(name) else {
                throw CheckpointError.malformed(
                    path: index, format: format,
                    reason: "tensor \(tensor) lies in \(shard.summary), a file name is needed")
            }
            shardNames.insert(name)
        }
        let names = shardNames.sorted()
        let absent = names.filter { !FileManager.default.fileExists(atPath: folder + "/" + $0) }
        guard absent.isEmpty else {
            throw CheckpointError.missingPart(
                part: "weights that \(index) names", lookedFor: absent.map { folder + "/" + $0 })
        }
        let (files, tensors) = try merge(names.map { folder + "/" + $0 })
        let lost = map.keys.filter { tensors[$0] == nil }.sorted()
        guard lost.isEmpty else {
            throw CheckpointError.malformed(
                path: index, format: format,
                reason: "\(lost.count) tensors of its weight_map are in no file, first \(lost[0])")
        }
        return (files, tensors)
    }

    /// A name inside the folder: no separators, no way out.
    private static func isPlainFileName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && !name.contains("/") && !name.contains("\0")
    }

    private static func readAll(folder: String) throws -> ([String], [String: StoredTensor]) {
        let names = try folderContents(folder).filter { $0.hasSuffix(".safetensors") }
        guard !names.isEmpty else {
            throw CheckpointError.missingPart(
                part: "weights", lookedFor: [folder + "/" + indexName, folder + "/*.safetensors"])
        }
        return try merge(names.map { folder + "/" + $0 })
    }

    private static func merge(_ files: [String]) throws -> ([String], [String: StoredTensor]) {
        var tensors: [String: StoredTensor] = [:]
        var homes: [String: String] = [:]
        for file in files {
            for (name, tensor) in try SafetensorsFile(path: file).tensors {
                if let other = homes.updateValue(file, forKey: name) {
                    throw SafetensorsFile.malformed(
                        file, "tensor \(name) is also in \(other)")
                }
                tensors[name] = tensor
            }
        }
        return (files, tensors)
    }
}

/// Opens a safetensors file, or a folder with one or many.
public func openSafetensors(_ path: String) throws -> SafetensorsCheckpoint {
    try SafetensorsCheckpoint(path: path)
}

/// Names in a folder, sorted.
func folderContents(_ path: String) throws(CheckpointError) -> [String] {
    do {
        return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    } catch {
        throw .unreadable(path: path, reason: "the folder cannot be listed")
    }
}
