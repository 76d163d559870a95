// The words of the protocol: vLLM's OpenAI-compatible `/v1/completions` with a prompt of token ids, its
// server-sent events, `/v1/models`, `/tokenize` and `/version`.

import Foundation
import LanguageModelInterface

/// The body of a request.
struct CompletionBody: Encodable {
    let model: String
    let prompt: [Int]
    let maxTokens: Int
    let temperature: Float
    let topP: Float
    let topK: Int
    let seed: Int64
    let stopTokenIDs: [Int]
    let allowedTokenIDs: [Int]?
    let stream = true
    // The ids are what counts; the text must at least keep the special tokens.
    let returnTokenIDs = true
    let skipSpecialTokens = false
    let spacesBetweenSpecialTokens = false
    let addSpecialTokens = false

    enum CodingKeys: String, CodingKey {
        case model, prompt, temperature, seed, stream
        case maxTokens = "max_tokens"
        case topP = "top_p"
        case topK = "top_k"
        case stopTokenIDs = "stop_token_ids"
        case allowedTokenIDs = "allowed_token_ids"
        case returnTokenIDs = "return_token_ids"
        case skipSpecialTokens = "skip_special_tokens"
        case spacesBetweenSpecialTokens = "spaces_between_special_tokens"
        case addSpecialTokens = "add_special_tokens"
    }

    init(_ request: GenerationRequest, model: String) {
        self.model = model
        prompt = request.prompt
        maxTokens = request.maximumNewTokens
        temperature = max(0, request.sampling.temperature)
        topP = request.sampling.topP
        topK = request.sampling.topK > 0 ? request.sampling.topK : -1
        seed = Int64(request.sampling.seed & 0x7FFF_FFFF_FFFF_FFFF)
        let stops = request.stopIDs.sorted()
        stopTokenIDs = stops
        allowedTokenIDs = request.candidates.map { range in
            Array(range) + stops.filter { !range.contains($0) }
        }
    }
}

/// One event of an answer.
struct CompletionEvent: Decodable {
    struct Choice: Decodable {
        let text: String?
        let tokenIDs: [Int]?
        let finishReason: String?

        enum CodingKeys: String, CodingKey {
            case text
            case tokenIDs = "token_ids"
            case finishReason = "finish_reason"
        }
    }

    let choices: [Choice]?
    let error: ServerWords?
}

/// What a server says of an error, in the forms that are in use.
struct ServerWords: Decodable {
    let message: String?
    let code: Int?

    private struct Nested: Decodable {
        let error: ServerWords?
        let message: String?
        let detail: String?
    }

    /// The message in a reply's body, or its beginning.
    static func message(in body: Data) -> String {
        let nested = try? JSONDecoder().decode(Nested.self, from: body)
        if let text = nested?.error?.message ?? nested?.message ?? nested?.detail { return text }
        let text = String(decoding: body.prefix(300), as: UTF8.self)
        return text.isEmpty ? "no reason given" : text
    }
}

/// The reply of `/v1/models`.
struct ModelList: Decodable {
    struct Model: Decodable {
        let id: String
        let contextLength: Int?

        enum CodingKeys: String, CodingKey {
            case id
            case contextLength = "max_model_len"
        }
    }

    let data: [Model]
}

/// Cuts a byte stream into the payloads of server-sent events.
struct EventSplitter {
    private var rest: [UInt8] = []
    static let longestLine = 16 << 20

    /// Complete payloads after more bytes; nil when a line is absurdly long.
    mutating func payloads(after data: Data) -> [Data]? {
        var found: [Data] = []
        rest.append(contentsOf: data)
        var start = rest.startIndex
        while let end = rest[start...].firstIndex(of: 0x0A) {
            var line = rest[start..<end]
            if line.last == 0x0D { line.removeLast() }
            if line.starts(with: Array("data:".utf8)) {
                found.append(Data(line.dropFirst(5).drop { $0 == 0x20 }))
            }
            start = end + 1
        }
        rest.removeSubrange(..<start)
        return rest.count <= Self.longestLine ? found : nil
    }
}
