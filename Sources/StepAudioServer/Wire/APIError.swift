// Errors as clients read them: {"error":{"message","type","param","code"}} with a fitting status.

import AudioSignal
import Foundation
import HTTPTypes
import Hummingbird
import StepAudio

/// A refused or failed request.
package struct APIError: Error, Sendable, Equatable {
    package var status: HTTPResponse.Status
    package var message: String
    package var type: String
    package var param: String?
    package var code: String?
    /// Seconds after which a client may try again.
    package var retryAfter: Int?

    /// The body.
    package struct Body: Codable, Sendable, Equatable {
        package struct Detail: Codable, Sendable, Equatable {
            package var message: String
            package var type: String
            package var param: String?
            package var code: String?

            // Clients expect all four fields, null included.
            package func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: CodingKeys.self)
                try container.encode(message, forKey: .message)
                try container.encode(type, forKey: .type)
                try container.encode(param, forKey: .param)
                try container.encode(code, forKey: .code)
            }
        }
        package var error: Detail
    }

    package var body: Body {
        Body(error: .init(message: message, type: type, param: param, code: code))
    }

    /// The request itself is wrong.
    package static func invalid(_ message: String, param: String? = nil, code: String? = nil)
        -> APIError
    {
        APIError(
            status: .badRequest, message: message, type: "invalid_request_error", param: param,
            code: code)
    }

    /// There is no such thing.
    package static func notFound(_ message: String, param: String? = nil, code: String) -> APIError
    {
        APIError(
            status: .notFound, message: message, type: "invalid_request_error", param: param,
            code: code)
    }

    /// Too much is asked at once.
    package static func busy(_ message: String, retryAfter: Int) -> APIError {
        APIError(
            status: .tooManyRequests, message: message, type: "rate_limit_error",
            code: "rate_limit_exceeded", retryAfter: retryAfter)
    }

    /// The server cannot do anything now.
    package static func unavailable(_ message: String, code: String, retryAfter: Int) -> APIError {
        APIError(
            status: .serviceUnavailable, message: message, type: "server_error", code: code,
            retryAfter: retryAfter)
    }

    /// The request took longer than it may.
    package static func timedOut(_ seconds: Double) -> APIError {
        .unavailable(
            "the request took longer than \(Int(seconds)) s", code: "timeout", retryAfter: 5)
    }
}

extension APIError {
    /// The client's error for whatever was thrown; `param` names the field behind an audio error.
    package init(_ error: any Error, param: String? = nil) {
        switch error {
        case let error as APIError: self = error
        case let error as StepAudioError: self = Self.translate(error, param: param)
        case let error as AudioError: self = .invalid("\(error)", param: param)
        case let error as DecodingError: self = Self.translate(error)
        case is CancellationError:
            self = .unavailable("the request was cancelled", code: "cancelled", retryAfter: 1)
        case let error as HTTPError:
            let status = error.status
            self = APIError(
                status: status, message: error.body ?? status.reasonPhrase.lowercased(),
                type: status.code < 500 ? "invalid_request_error" : "server_error",
                code: status == .notFound ? "not_found" : nil)
        default:
            self = APIError(
                status: .internalServerError, message: "the server failed: \(error)",
                type: "server_error", code: "internal_error")
        }
    }

    private static func translate(_ error: StepAudioError, param: String?) -> APIError {
        let text = "\(error)"
        switch error {
        case .audioUnusable, .tokensUnusable, .emptyInput: return .invalid(text, param: param)
        case .badOption(let name, _, _): return .invalid(text, param: param ?? name)
        case .unknownSpeaker: return .invalid(text, param: "voice", code: "voice_not_found")
        case .noSpeakers: return .invalid(text, param: "voice", code: "voice_not_found")
        case .cancelled:
            return .unavailable(text, code: "cancelled", retryAfter: 1)
        case .memoryTooSmall, .serverFailed:
            return .unavailable(text, code: "engine_unavailable", retryAfter: 10)
        case .partMissing: return .invalid(text, param: param, code: "model_part_missing")
        case .modelUnusable, .generationFailed, .conversationUnreadable, .conversationUnwritable:
            return APIError(
                status: .internalServerError, message: text, type: "server_error",
                code: "generation_failed")
        }
    }

    private static func translate(_ error: DecodingError) -> APIError {
        func path(_ keys: [any CodingKey]) -> String? {
            let names = keys.map { key in
                key.intValue.map { "\($0)" } ?? JSON.snakeCase(key.stringValue)
            }
            return names.isEmpty ? nil : names.joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context):
            let name = path(context.codingPath + [key]) ?? ""
            return .invalid("the field \(name) is missing", param: name, code: "missing_field")
        case .valueNotFound(_, let context):
            let name = path(context.codingPath)
            return .invalid("the field \(name ?? "?") is null", param: name)
        case .typeMismatch(let type, let context):
            let name = path(context.codingPath)
            return .invalid(
                "the field \(name ?? "at the top") is not a \(JSON.name(of: type))", param: name)
        case .dataCorrupted(let context):
            return .invalid(
                context.codingPath.isEmpty
                    ? "the body is not JSON" : context.debugDescription,
                param: path(context.codingPath))
        @unknown default:
            return .invalid("the body cannot be read")
        }
    }
}

extension APIError: HTTPResponseError {
    package func response(from request: Request, context: some RequestContext) throws -> Response {
        var response = try JSON.response(body, status: status)
        if let retryAfter {
            response.headers[.retryAfter] = "\(retryAfter)"
        }
        if status == .unauthorized {
            response.headers[.wwwAuthenticate] = "Bearer"
        }
        return response
    }
}
