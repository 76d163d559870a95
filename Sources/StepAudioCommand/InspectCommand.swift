// `stepaudio inspect`: what a bundle holds, how large it is and whether it fits.

import ArgumentParser
import StepAudio

/// Describes a bundle without loading its weights.
struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show a bundle's parts: parameters, sizes, memory by precision.")

    @Argument(help: "Bundle directory (default: as --models).")
    var directory: String?

    @OptionGroup var model: ModelSettings

    func run() async throws {
        let settings = try model.resolved()
        var locations = settings.locations
        if let directory { locations.models = directory }
        let inspection = try BundleInspection(locations: locations)
        if settings.json {
            try Console.printJSON(inspection)
            return
        }
        Console.print("bundle: \(inspection.directory)")
        for part in inspection.parts {
            guard part.isPresent else {
                Console.print("\(part.name): missing (\(part.path))")
                continue
            }
            Console.print(
                "\(part.name): \(millions(part.parameters)) parameters, "
                    + "\(megabytes(part.fileBytes)) on disk (\(part.storedAs))")
            for line in part.details {
                Console.print("  \(line)")
            }
        }
        Console.print("speakers: \(inspection.speakers.joined(separator: ", "))")
        for need in inspection.memory {
            Console.print(
                "memory at \(need.precision): \(megabytes(need.bytes)), "
                    + (need.fits ? "fits" : "does not fit"))
        }
        if let free = inspection.availableBytes {
            Console.print("free memory: \(megabytes(free))")
        }
    }

    private func millions(_ count: Int) -> String {
        count >= 1_000_000_000
            ? "\(tenths(Double(count) / 1e9)) billion" : "\(tenths(Double(count) / 1e6)) million"
    }

    private func megabytes(_ bytes: Int) -> String {
        bytes >= 10_000_000_000
            ? "\(tenths(Double(bytes) / 1e9)) GB" : "\(tenths(Double(bytes) / 1e6)) MB"
    }

    private func tenths(_ value: Double) -> String {
        "\((value * 10).rounded() / 10)"
    }
}
