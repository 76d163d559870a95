// The four system prompts of the speech model, read from the resource system_prompts.json, which
// names their source.

import Checkpoints
import Foundation

/// The system prompts that the published speech model was trained on.
public struct SystemPrompts: Sendable, Equatable {
    /// For rapping.
    public let rap: String
    /// For humming.
    public let vocal: String
    /// For a speaker with a name; `[{}]` holds the name's place.
    public let withSpeaker: String
    /// For a cloned voice.
    public let withoutSpeaker: String

    private struct Resource: Decodable {
        let rap, vocal, withSpeaker, withoutSpeaker: String

        enum CodingKeys: String, CodingKey {
            case rap, vocal
            case withSpeaker = "with_spk"
            case withoutSpeaker = "wo_spk"
        }
    }

    /// Reads the resource; throws only if the package was built from a damaged one.
    public init() throws {
        let resource = try JSONDecoder().decode(
            Resource.self, from: Data(PackageResources.system_prompts_json))
        rap = resource.rap
        vocal = resource.vocal
        withSpeaker = resource.withSpeaker
        withoutSpeaker = resource.withoutSpeaker
    }

    /// The prompt for a text: singing by its tag, otherwise by whether the speaker has a name.
    public func prompt(text: String, speaker: String) -> String {
        if BracketTag.vocalStyles.contains(BracketTag.instruction(of: text)) {
            return text.contains("哼唱") ? vocal : rap
        }
        guard !speaker.isEmpty else { return withoutSpeaker }
        guard let place = withSpeaker.range(of: "{}") else { return withSpeaker }
        return withSpeaker.replacingCharacters(in: place, with: speaker)
    }
}
