// Conformance case files: one safetensors file with tensors named STAGE/CASE/in.NAME and
// STAGE/CASE/out.NAME. This file reads them; Comparison.swift judges, Stages*.swift compute.

import Checkpoints
import Foundation
import TensorCore

/// What is wrong with a case file or a case.
public enum ConformanceError: Error, Equatable, CustomStringConvertible {
    /// A tensor's name does not follow STAGE/CASE/in.NAME.
    case badName(String, file: String)
    /// The case names a stage that does not exist.
    case unknownStage(String, known: [String])
    /// The stage needs an input that the case does not bring.
    case missingInput(String, present: [String])
    /// An input has a shape or type that the stage cannot take.
    case badInput(String, seen: String, accepted: String)
    /// The case expects nothing that the stage gives.
    case missingOutput(known: [String])
    /// Tensors that nobody read.
    case unreadTensors([String])
    /// No case file was named and the bundle brings none.
    case noCases(directory: String)

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .badName(let name, let file):
            "\(file): tensor \(name) is not named STAGE/CASE/in.NAME or STAGE/CASE/out.NAME"
        case .unknownStage(let stage, let known):
            "there is no stage \(stage); known stages: \(known.joined(separator: ", "))"
        case .missingInput(let name, let present):
            "input \(name) is missing; the case brings \(present.joined(separator: ", "))"
        case .badInput(let name, let seen, let accepted):
            "input \(name) is \(seen); accepted: \(accepted)"
        case .missingOutput(let known):
            "the case expects no output; the stage gives \(known.joined(separator: ", "))"
        case .unreadTensors(let names):
            "tensors that the stage does not know: \(names.joined(separator: ", "))"
        case .noCases(let directory):
            "no case files: name some with --cases, or put *.safetensors into \(directory)"
        }
    }
}

/// One case: the inputs and the expected outputs of one stage.
public struct ConformanceCase: Sendable {
    /// Stage, as in `flow.mel`.
    public let stage: String
    /// Name of the case within the stage.
    public let name: String
    /// Inputs by name, without the `in.` mark.
    public let inputs: [String: StoredTensor]
    /// Expected outputs by name, without the `out.` mark.
    public let outputs: [String: StoredTensor]

    /// Reads all cases of a file, ordered by stage and name.
    public static func read(file path: String) throws -> [ConformanceCase] {
        let source = try SafetensorsFile(path: path)
        var parts: [String: (inputs: [String: StoredTensor], outputs: [String: StoredTensor])] = [:]
        for (name, tensor) in source.tensors {
            let pieces = name.split(separator: "/", omittingEmptySubsequences: false)
            guard pieces.count == 3, !pieces[0].isEmpty, !pieces[1].isEmpty else {
                throw ConformanceError.badName(name, file: path)
            }
            let key = "\(pieces[0])/\(pieces[1])"
            if pieces[2].hasPrefix("in."), pieces[2].count > 3 {
                parts[key, default: ([:], [:])].inputs[String(pieces[2].dropFirst(3))] = tensor
            } else if pieces[2].hasPrefix("out."), pieces[2].count > 4 {
                parts[key, default: ([:], [:])].outputs[String(pieces[2].dropFirst(4))] = tensor
            } else {
                throw ConformanceError.badName(name, file: path)
            }
        }
        return parts.keys.sorted().compactMap { key in
            guard let part = parts[key], let slash = key.firstIndex(of: "/") else { return nil }
            return ConformanceCase(
                stage: String(key[..<slash]), name: String(key[key.index(after: slash)...]),
                inputs: part.inputs, outputs: part.outputs)
        }
    }
}

/// The inputs of one case as a stage reads them; remembers what was read.
final class CaseInputs {
    /// Name of the case; names that start with `music` run on the Music checkpoint.
    let caseName: String
    private let tensors: [String: StoredTensor]
    private var read: Set<String> = []

    init(_ conformanceCase: ConformanceCase) {
        caseName = conformanceCase.name
        tensors = conformanceCase.inputs
    }

    /// Names of inputs that the stage did not ask for.
    var unread: [String] { tensors.keys.filter { !read.contains($0) }.sorted() }

    func has(_ name: String) -> Bool { tensors[name] != nil }

    private func stored(_ name: String) throws -> StoredTensor {
        guard let tensor = tensors[name] else {
            throw ConformanceError.missingInput(name, present: tensors.keys.sorted())
        }
        read.insert(name)
        return tensor
    }

    /// A float tensor of the given rank.
    func tensor(_ name: String, rank: Int) throws -> Tensor {
        let tensor = try stored(name)
        guard tensor.shape.count == rank, tensor.scalarType == .float32 else {
            throw ConformanceError.badInput(
                name, seen: "\(tensor.scalarType.rawValue) \(tensor.shape)",
                accepted: "float32 of rank \(rank)")
        }
        return Tensor(shape: tensor.shape, values: tensor.floats())
    }

    /// A float vector.
    func floats(_ name: String) throws -> [Float] { try tensor(name, rank: 1).values }

    /// An integer vector.
    func integers(_ name: String) throws -> [Int] {
        let tensor = try stored(name)
        guard tensor.shape.count == 1, tensor.scalarType == .int64 else {
            throw ConformanceError.badInput(
                name, seen: "\(tensor.scalarType.rawValue) \(tensor.shape)",
                accepted: "int64 of rank 1")
        }
        return try tensor.integers()
    }

    /// The only element of a float vector.
    func float(_ name: String) throws -> Float {
        let values = try floats(name)
        guard values.count == 1 else {
            throw ConformanceError.badInput(
                name, seen: "\(values.count) values", accepted: "one value")
        }
        return values[0]
    }

    /// The only element of an integer vector.
    func integer(_ name: String) throws -> Int {
        let values = try integers(name)
        guard values.count == 1 else {
            throw ConformanceError.badInput(
                name, seen: "\(values.count) values", accepted: "one value")
        }
        return values[0]
    }

    /// UTF-8 text.
    func text(_ name: String) throws -> String {
        let tensor = try stored(name)
        guard tensor.shape.count == 1, tensor.scalarType == .uint8 else {
            throw ConformanceError.badInput(
                name, seen: "\(tensor.scalarType.rawValue) \(tensor.shape)",
                accepted: "uint8 of rank 1")
        }
        let text = tensor.withBytes { String(validating: $0, as: UTF8.self) }
        guard let text else {
            throw ConformanceError.badInput(name, seen: "invalid UTF-8", accepted: "UTF-8 text")
        }
        return text
    }
}
