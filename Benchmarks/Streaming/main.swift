// What streaming and batching give: the time to the first sound, how far streamed speech is from speech
// decoded whole, many requests at once, and long texts on a language model of the published shape with
// random weights. Run with a part's name (`first`, `parity`, `many`, `batch`) or none for all.

import Foundation
import StepAudio

let parts = CommandLine.arguments.dropFirst()
let bundle = ProcessInfo.processInfo.environment["STEPAUDIO_MODELS"] ?? "Models/pocket"
let system = StepAudio(
    locations: ModelLocations(models: bundle), options: StepAudio.Options(userVoices: "/nowhere"))

if parts.isEmpty || parts.contains("first") { try await measureFirstSound(system) }
if parts.isEmpty || parts.contains("parity") { try await measureParity(system) }
if parts.isEmpty || parts.contains("many") { try await measureMany(system) }
if parts.isEmpty || parts.contains("batch") { try await measureBatch() }
