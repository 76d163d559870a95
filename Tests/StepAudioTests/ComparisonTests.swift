// The tolerances of conformance cases, by hand, and case files that cannot be judged.

import Checkpoints
import Foundation
import StepAudio
import TensorCore
import Testing

struct ComparisonTests {
    private func stored(_ values: [Float], _ shape: [Int]) throws -> StoredTensor {
        let bytes = values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
        return try StoredTensor(
            name: "x", shape: shape, scalarType: .float32, storage: TensorStorage(copying: bytes),
            byteOffset: 0)
    }

    private func compare(
        _ computed: [Float], _ expected: [Float], _ tolerance: Tolerance, shape: [Int]? = nil
    ) throws -> Comparison {
        let shape = shape ?? [expected.count]
        return Comparison.compare(
            "x", computed: .floats(Tensor(shape: shape, values: computed)),
            expected: try stored(expected, shape), tolerance: tolerance)
    }

    @Test func theLargestDifferenceDecides() throws {
        #expect(try compare([1, 2], [1, 2.000009], .maximum(1e-5)).passed)
        #expect(try !compare([1, 2], [1, 2.001], .maximum(1e-5)).passed)
        #expect(try compare([1, 2.5], [1, 2], .maximum(1)).maximumDifference == 0.5)
        #expect(try compare([1, 2.5], [1, 2], .maximum(1)).meanDifference == 0.25)
    }

    @Test func logitsNeedTheSameLargestElement() throws {
        #expect(try compare([1, 2, 3, 0], [1, 2, 3, 0], .logits, shape: [2, 2]).passed)
        let swapped = try compare([1, 1.00001, 0, 1], [1.00001, 1, 0, 1], .logits, shape: [2, 2])
        #expect(!swapped.passed)
        #expect(swapped.problem == "1 of 2 rows have another largest element")
    }

    @Test func signalsAreJudgedByNoise() throws {
        let signal = (0..<100).map { Float(sin(Double($0))) }
        let noisy = signal.map { $0 * 1.001 }
        #expect(try compare(noisy, signal, .signalToNoise(59)).passed)
        #expect(try !compare(noisy, signal, .signalToNoise(61)).passed)
        #expect(try compare(signal, signal, .signalToNoise(200)).passed)
    }

    @Test func pitchNeedsTheSameVoicing() throws {
        #expect(try compare([100.01, 5], [100, 5], .pitch(voicedAbove: 10)).passed)
        let wrong = try compare([9.99, 5], [10.01, 5], .pitch(voicedAbove: 10))
        #expect(wrong.problem == "1 frames differ in voicing")
    }

    @Test func otherShapesAndTypesFail() throws {
        let shape = Comparison.compare(
            "x", computed: .floats(Tensor(zeros: [2])), expected: try stored([0, 0, 0], [3]),
            tolerance: .cosine)
        #expect(shape.problem == "shape [2], expected [3]")
        let type = Comparison.compare(
            "x", computed: .integers([1]), expected: try stored([1], [1]), tolerance: .exact)
        #expect(type.problem == "the expected tensor has another element type")
        #expect(try compare([.nan], [0], .maximum(1)).problem == "values that are not finite")
    }
}

struct CaseFileTests {
    private func run(_ fill: (inout SafetensorsWriter) -> Void) throws -> [StageResult] {
        let path = FileManager.default.temporaryDirectory.path + "/stepaudio-\(UUID()).safetensors"
        defer { try? FileManager.default.removeItem(atPath: path) }
        var writer = SafetensorsWriter()
        fill(&writer)
        try writer.write(to: path)
        let conformance = Conformance(locations: ModelLocations(models: "/nowhere"))
        return try ConformanceCase.read(file: path).map { conformance.run($0) }
    }

    @Test func aStageThatNeedsNoBundleRuns() throws {
        let results = try run {
            $0.add("audio.normalize/a/in.waveform", shape: [2], floats: [0.5, -0.25])
            $0.add("audio.normalize/a/out.waveform", shape: [2], floats: [0.999, -0.4995])
        }
        #expect(results.map(\.passed) == [true])
        #expect(results[0].line.hasPrefix("pass audio.normalize/a: waveform [2] max "))
    }

    @Test func whatCannotBeJudgedFails() throws {
        let results = try run {
            $0.add("audio.normalize/extra/in.waveform", shape: [1], floats: [1])
            $0.add("audio.normalize/extra/in.other", shape: [1], floats: [1])
            $0.add("audio.normalize/extra/out.waveform", shape: [1], floats: [0.999])
            $0.add("audio.normalize/less/out.waveform", shape: [1], floats: [0.999])
            $0.add("audio.normalize/rank/in.waveform", shape: [1, 1], floats: [1])
            $0.add("audio.normalize/rank/out.waveform", shape: [1], floats: [1])
            $0.add("audio.normalize/silent/in.waveform", shape: [1], floats: [1])
            $0.add("audio.nothing/a/in.waveform", shape: [1], floats: [1])
            $0.add("audio.resample/rate/in.rate", integers: [0])
            $0.add("audio.resample/rate/in.target_rate", integers: [16_000])
            $0.add("audio.resample/rate/in.waveform", shape: [1], floats: [1])
            $0.add("audio.resample/rate/out.waveform", shape: [1], floats: [1])
            $0.add("text.encode/a/in.text", text: "x")
            $0.add("text.encode/a/out.ids", integers: [1])
        }
        #expect(results.allSatisfy { !$0.passed })
        let problems = results.map { $0.problem ?? "" }
        #expect(problems[0] == "tensors that the stage does not know: in.other")
        #expect(problems[1] == "input waveform is missing; the case brings ")
        #expect(problems[2] == "input waveform is float32 [1, 1]; accepted: float32 of rank 1")
        #expect(problems[3] == "the case expects no output; the stage gives waveform")
        #expect(
            problems[4].hasPrefix(
                "there is no stage audio.nothing; known stages: audio.normalize, "))
        #expect(problems[5].contains("0"))
        #expect(
            problems[6].hasPrefix(
                "the bundle has no speech model's vocabulary; looked for /nowhere/"))
    }

    @Test(arguments: ["flat", "a/b/c", "a/b/in.", "/b/in.x", "a/b/c/in.x"])
    func namesAreChecked(name: String) {
        #expect(throws: ConformanceError.self) {
            try run { $0.add(name, shape: [1], floats: [1]) }
        }
    }
}
