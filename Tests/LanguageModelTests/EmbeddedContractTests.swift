// The embedded engine keeps the contract of engines.

import LanguageModel
import TestSupport
import Testing

@Suite struct EmbeddedContractTests {
    @Test(arguments: EngineContract.checks.indices) func keepsTheContract(_ index: Int) async throws
    {
        let engine = EmbeddedEngine(try TinyModel.make())
        try await EngineContract.checks[index].run(EngineContract(engine, prompt: [1, 17, 42, 5]))
    }
}
