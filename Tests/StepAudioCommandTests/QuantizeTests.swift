// `quantize` and `bench` as real processes.

import Foundation
import Testing

@Suite(.serialized) struct QuantizeTests {
    private static func temporary() -> String {
        FileManager.default.temporaryDirectory.path + "/quantize-\(UUID().uuidString)"
    }

    @Test(arguments: ["int8", "int4"]) func aQuantisedBundleAnswersAndSpeaks(precision: String)
        throws
    {
        let bundle = CommandProcess.package.path + "/Models/pocket"
        let copy = Self.temporary()
        defer { try? FileManager.default.removeItem(atPath: copy) }
        let result = try CommandProcess.run(
            ["quantize", bundle, copy, "--precision", precision, "--quiet"])
        #expect(result.status == 0, "\(result)")
        let inspected = try CommandProcess.run(["inspect", copy, "--json"]).json()
        let parts = try #require(inspected["parts"] as? [[String: Any]])
        let chat = try #require(parts.first { $0["name"] as? String == "chat model" })
        #expect((chat["stored_as"] as? String)?.contains(precision) == true, "\(chat)")
        let answer = try CommandProcess.run(
            [
                "chat", "What is the capital of France?", "--models", copy, "--temperature", "0",
                "-o", copy + "/answer.wav",
            ])
        #expect(answer.status == 0, "\(answer)")
        #expect(answer.output == "The capital of France is Paris.\n")
        #expect(FileManager.default.fileExists(atPath: copy + "/answer.wav"))
        // A second copy into the same folder, or of a copy, is refused.
        #expect(
            try CommandProcess.run(["quantize", bundle, copy, "--precision", precision]).status == 1
        )
        let again = try CommandProcess.run(["quantize", copy, copy + "-2", "--quiet"])
        #expect(again.status == 1 && again.error.contains("quantised already"), "\(again)")
        try? FileManager.default.removeItem(atPath: copy + "-2")
    }

    @Test func plainBundlesRunInEveryPrecision() throws {
        for precision in ["int8", "int4"] {
            let result = try CommandProcess.run([
                "chat", "What is the capital of France?", "--precision", precision,
                "--temperature", "0",
            ])
            #expect(result.output == "The capital of France is Paris.\n", "\(result)")
        }
    }

    @Test func benchReportsEachStageAgainstALimit() throws {
        let plot = Self.temporary() + ".svg"
        defer { try? FileManager.default.removeItem(atPath: plot) }
        let report = try CommandProcess.run([
            "bench", "--stage", "decode", "prefill", "precision", "--precision", "int8",
            "--context",
            "8", "--runs", "1", "--json", "--quiet", "--plot", plot,
        ]).json()
        let machine = try #require(report["machine"] as? [String: Any])
        for key in ["read_gigabytes_per_second", "fp32_gigaflops", "int8_gigaops"] {
            #expect((machine[key] as? Double ?? 0) > 0, "\(key)")
        }
        let results = try #require(report["results"] as? [[String: Any]])
        let decode = try #require(results.first { $0["stage"] as? String == "decode" })
        #expect(decode["precision"] as? String == "int8" && decode["shape"] as? String == "pocket")
        for key in ["tokens_per_second", "gigabytes_per_second", "share_of_limit"] {
            #expect((decode[key] as? Double ?? 0) > 0, "\(key)")
        }
        for precision in results where precision["stage"] as? String == "precision" {
            #expect((precision["logits_cosine"] as? Double ?? 0) > 0.999, "\(precision)")
        }
        #expect(try String(contentsOfFile: plot, encoding: .utf8).hasPrefix("<svg"))
        for wrong in [
            ["--stage", "sing"], ["--shape", "big"], ["--runs", "0"], ["--plot", "a.png"],
        ] {
            #expect(try CommandProcess.run(["bench"] + wrong).status == 64)
        }
        #expect(try CommandProcess.run(["quantize", "a", "b", "--precision", "bf16"]).status == 64)
        #expect(try CommandProcess.run(["quantize", "/nowhere", "/tmp/b"]).status == 1)
    }
}
