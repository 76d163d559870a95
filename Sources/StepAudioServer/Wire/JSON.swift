// JSON as the wire has it: snake_case names, one decoder and one encoder for everything.

import Foundation
import Hummingbird
import NIOCore
import NIOFoundationCompat

/// Reads and writes JSON.
package enum JSON {
    package static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws
        -> Value
    {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(type, from: data)
    }

    package static func data(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        return try encoder.encode(value)
    }

    package static func response(
        _ value: some Encodable, status: HTTPResponse.Status = .ok
    ) throws -> Response {
        let data = try data(value)
        return Response(
            status: status, headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(data: data)))
    }

    /// `maxTokens` as `max_tokens`.
    package static func snakeCase(_ name: String) -> String {
        name.reduce(into: "") { result, character in
            if character.isUppercase, !result.isEmpty { result.append("_") }
            result.append(contentsOf: character.lowercased())
        }
    }

    /// What JSON calls a Swift type.
    package static func name(of type: Any.Type) -> String {
        switch type {
        case is String.Type: "string"
        case is Bool.Type: "boolean"
        case is Int.Type, is UInt64.Type: "whole number"
        case is Double.Type, is Float.Type: "number"
        case is any Collection.Type: "list"
        default: "value of the expected kind"
        }
    }
}

extension Request {
    /// The JSON body; a body over the limit is refused before it is read whole.
    package func decode<Value: Decodable>(_ type: Value.Type, limit: Int) async throws -> Value {
        try JSON.decode(type, from: Data(buffer: try await bytes(limit: limit)))
    }

    /// The body.
    package func bytes(limit: Int) async throws -> ByteBuffer {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw APIError.tooLarge(limit)
        }
        do {
            return try await body.collect(upTo: limit)
        } catch is NIOTooManyBytesError {
            throw APIError.tooLarge(limit)
        }
    }
}

extension APIError {
    package static func tooLarge(_ limit: Int) -> APIError {
        APIError(
            status: .contentTooLarge, message: "the body is larger than \(limit) bytes",
            type: "invalid_request_error", code: "body_too_large")
    }
}
