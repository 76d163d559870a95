// The Step-1 network: slopes, the cache against the whole, precision, loading.

import Foundation
import Checkpoints
import LanguageModel
import TensorCore
import Testing

struct ModelTests {
    @Test func slopesFollowThePublishedRule() {
        let slopes = Step1Model.slopes(heads: 48)
        #expect(slopes.count == 48)
        for (index, value) in [
            (0, 0.8408964), (1, 0.7071068), (31, 0.00390625), (32, 0.9170040), (33, 0.7711054),
            (47, 0.0681567),
        ] {
            #expect(abs(Double(slopes[index]) - value) < 1e-6)
        }
        // Six heads: four regular ones, then odd powers of 2^(-4/4).
        #expect(Step1Model.slopes(heads: 6) == [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125])
    }

    @Test func interpolationFlattensTheGentleHeadsMost() {
        // Weights 0, 1/3, 2/3, 1 of four heads; sqrt(16) = 4.
        let slopes = Step1Model.slopes(heads: 4, interpolation: 16)
        for (slope, exponent) in zip(slopes, [-2, -4 - 2.0 / 3, -6 - 4.0 / 3, -10]) {
            #expect(abs(slope / Float(exp2(exponent)) - 1) < 1e-6)
        }
        #expect(Step1Model.slopes(heads: 1, interpolation: 16) == [1 / 256])
    }

    @Test(arguments: [[1, 1, 1, 1, 1, 1, 1], [3, 4], [5, 1, 1], [2, 2, 3]])
    func theCacheGivesWhatTheWholeGives(parts: [Int]) throws {
        let model = try TinyModel.make()
        let ids = [5, 90, 0, 17, 17, 3, 42]
        let whole = model.hidden(ids, cache: model.makeCache())
        let cache = model.makeCache()
        var rows: [Tensor] = []
        var start = 0
        for count in parts {
            rows.append(model.hidden(Array(ids[start..<start + count]), cache: cache))
            start += count
        }
        let joined = Tensor.concatenatedRows(rows)
        for (left, right) in zip(whole.values, joined.values) {
            #expect(abs(left - right) < 2e-5)
        }
    }

    @Test func theThreadCountChangesNothing() throws {
        let model = try TinyModel.make()
        let ids = (0..<70).map { $0 % 91 }
        Parallel.setThreadCount(1)
        let one = model.logits(model.hidden(ids, cache: model.makeCache()))
        Parallel.setThreadCount(3)
        let three = model.logits(model.hidden(ids, cache: model.makeCache()))
        Parallel.setThreadCount(0)
        #expect(one == three)
    }

    @Test func logitsOfARangeAreThoseOfTheWhole() throws {
        let model = try TinyModel.make()
        let hidden = model.hidden([1, 2, 3], cache: model.makeCache())
        let whole = model.logits(hidden).row(2)
        let range = model.logits(hidden.rows(2..<3), ids: 40..<77)
        for (left, right) in zip(whole[40..<77], range.values) {
            #expect(abs(left - right) < 1e-5)
        }
    }

    @Test func bf16HalvesTheWeightsAndStaysClose() throws {
        let (wide, narrow) = (try TinyModel.make(), try TinyModel.make(precision: .bf16))
        #expect(narrow.weightBytes * 2 == wide.weightBytes)
        let ids = [7, 8, 9]
        let left = wide.logits(wide.hidden(ids, cache: wide.makeCache()))
        let right = narrow.logits(narrow.hidden(ids, cache: narrow.makeCache()))
        let largest = left.values.map(abs).max() ?? 0
        for (x, y) in zip(left.values, right.values) {
            #expect(abs(x - y) < 0.05 * largest)
        }
    }

    @Test func namesAMissingTensor() throws {
        let name = "model.layers.1.mlp.up_proj.weight"
        let error = #expect(throws: CheckpointError.self) {
            try TinyModel.make(damaged: name)
        }
        #expect(
            error?.description
                == "memory: 1 tensor does not fit the network:\n  missing: \(name) [47, 30]")
    }
}
