// A PyTorch checkpoint (.pt): a zip archive <folder>/{data.pkl,data/<key>,byteorder,version}. The pickle
// names the tensors; their storages lie uncompressed in the archive, so contiguous tensors stay in the
// mapped file and only strided views are copied.

import TensorCore

/// A state dictionary saved with torch.save, memory-mapped.
public struct PyTorchArchive: TensorSource {
    /// All tensors by name.
    public let tensors: [String: StoredTensor]
    /// The file's path.
    public let origin: String
    /// Entries of the dictionary that are no tensors, such as an epoch.
    public let otherKeys: [String]

    static let maximumPickle = 256 << 20

    /// Maps an archive and reads its dictionary.
    ///
    /// That is the top level or its `state_dict`; a `module.` that all names share is taken off. Throws
    /// `CheckpointError`.
    public init(path: String) throws {
        origin = path
        try Self.checkMagic(path)
        let archive = try ZipArchive(path: path)
        let folder = try Self.folder(of: archive)
        if let order = archive.bytes(of: folder + "byteorder"), order != Array("little".utf8) {
            throw CheckpointError.unsupported(
                path: path,
                what: "the byte order \(String(decoding: order.prefix(20), as: UTF8.self))",
                accepted: "little")
        }
        let pickle = archive.entries[folder + "data.pkl"]?.range ?? 0..<0
        guard pickle.count <= Self.maximumPickle,
            let bytes = archive.storage.bytes(at: pickle.lowerBound, length: pickle.count)
        else {
            throw Self.malformed(
                path,
                "its pickle holds \(pickle.count) bytes, at most \(Self.maximumPickle) are accepted"
            )
        }
        let references = try Unpickler.load(bytes, path: path) {
            try Self.stateDictionary($0, path: path)
        }
        var tensors: [String: StoredTensor] = [:]
        for (name, reference) in references.tensors {
            tensors[name] = try StridedTensor(name: name, reference: reference, folder: folder)
                .stored(in: archive)
        }
        self.tensors = tensors
        otherKeys = references.others
    }

    static func malformed(_ path: String, _ reason: String) -> CheckpointError {
        .malformed(path: path, format: "PyTorch", reason: reason)
    }

    private static func checkMagic(_ path: String) throws {
        let storage = try TensorStorage(checkpoint: path)
        let start = storage.bytes(at: 0, length: min(4, storage.count)) ?? []
        if start.starts(with: [0x50, 0x4B]) { return }
        // Before torch 1.6: a row of bare pickles, the first a magic number.
        if start.first == 0x80 {
            throw CheckpointError.unsupported(
                path: path, what: "torch's legacy format (no zip archive)",
                accepted: "the zip format that torch.save writes since 1.6; load and save it again")
        }
        throw malformed(path, "it does not begin as a zip archive (PK)")
    }

    /// The one folder that holds data.pkl, with its slash.
    private static func folder(of archive: ZipArchive) throws -> String {
        let names = archive.entries.keys.filter {
            $0.hasSuffix("/data.pkl") && $0.split(separator: "/").count == 2
        }.sorted()
        guard names.count == 1 else {
            throw malformed(
                archive.path,
                "it holds \(names.count) entries named <folder>/data.pkl, one is needed")
        }
        return String(names[0].dropLast("data.pkl".count))
    }

    private static func stateDictionary(
        _ value: PickleValue, path: String
    ) throws -> (tensors: [String: TensorReference], others: [String]) {
        guard case .container(var box) = value, box.kind == .dictionary else {
            throw malformed(path, "it holds \(value.summary), a dictionary of tensors is needed")
        }
        var others: [String] = []
        for (key, inner) in box.pairs {
            if case .string("state_dict") = key, case .container(let dictionary) = inner,
                dictionary.kind == .dictionary
            {
                others = names(in: box, except: "state_dict")
                box = dictionary
                break
            }
        }
        var tensors: [String: TensorReference] = [:]
        for (key, inner) in box.pairs {
            guard case .string(let name) = key else {
                others.append(key.summary)
                continue
            }
            guard case .tensor(let reference) = inner else {
                others.append(name)
                continue
            }
            guard tensors.updateValue(reference, forKey: name) == nil else {
                throw malformed(path, "the tensor \(name) stands twice")
            }
        }
        guard !tensors.isEmpty else {
            throw malformed(path, "its dictionary holds no tensors")
        }
        return (withoutModulePrefix(tensors), others)
    }

    private static func names(in box: PickleContainer, except: String) -> [String] {
        box.pairs.compactMap { pair in
            guard case .string(let name) = pair.key else { return pair.key.summary }
            return name == except ? nil : name
        }
    }

    /// A model that was wrapped for training on several devices has `module.` before every name.
    private static func withoutModulePrefix(
        _ tensors: [String: TensorReference]
    ) -> [String: TensorReference] {
        let prefix = "module."
        guard tensors.keys.allSatisfy({ $0.hasPrefix(prefix) && $0.count > prefix.count }) else {
            return tensors
        }
        return Dictionary(
            tensors.map { (String($0.key.dropFirst(prefix.count)), $0.value) },
            uniquingKeysWith: { first, _ in first })
    }
}
