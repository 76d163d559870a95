// What a server is asked before it is trusted: its models, its version, and whether its tokenizer gives the
// ids that ours gives.

import Foundation

extension RemoteEngine {
    private struct Version: Decodable { let version: String }

    private struct Tokens: Decodable { let tokens: [Int] }

    private struct Question: Encodable {
        let model: String
        let prompt: String
        let addSpecialTokens = false

        enum CodingKeys: String, CodingKey {
            case model, prompt
            case addSpecialTokens = "add_special_tokens"
        }
    }

    /// What each of the addresses says of itself; an error for one that does not answer.
    public static func status(of options: Options) async -> [(
        url: String, result: Result<Status, any Error>
    )] {
        var found: [(String, Result<Status, any Error>)] = []
        for text in options.urls {
            do {
                let url = try base(text)
                let start = ContinuousClock.now
                let list = try await models(at: url, options: options)
                let time = (ContinuousClock.now - start).components
                let chosen = list.first { $0.id == options.model ?? $0.id }
                let version = try? await ask(
                    "/version", at: url, options: options, as: Version.self)
                let latency = Double(time.seconds) + Double(time.attoseconds) * 1e-18
                let status = Status(
                    url: url, models: list.map(\.id), contextLength: chosen?.contextLength,
                    version: version?.version, latency: latency)
                found.append((text, .success(status)))
            } catch {
                found.append((text, .failure(error)))
            }
        }
        return found
    }

    /// The ids that a server's tokenizer gives for a text.
    public static func tokenize(_ text: String, model: String, at url: String, options: Options)
        async throws
        -> [Int]
    {
        let body = try JSONEncoder().encode(Question(model: model, prompt: text))
        let reply = try await ask(
            "/tokenize", at: try base(url), options: options, body: body, as: Tokens.self)
        return reply.tokens
    }
}
