// multipart/form-data (RFC 7578): the fields of an upload.

import Foundation

/// The parts of a form.
package struct MultipartForm: Sendable {
    /// One part.
    package struct Part: Sendable, Equatable {
        package var name: String
        package var fileName: String?
        package var data: Data
    }

    package let parts: [Part]

    /// Reads a body; `contentType` is the request's header.
    package init(_ body: Data, contentType: String) throws(APIError) {
        guard contentType.lowercased().hasPrefix("multipart/form-data"),
            let boundary = Self.parameter("boundary", of: contentType), !boundary.isEmpty
        else {
            throw .invalid(
                "the content type is '\(contentType)'; accepted: multipart/form-data with a boundary"
            )
        }
        let mark = Data("--\(boundary)".utf8)
        let lineEnd = Data("\r\n".utf8)
        guard var position = body.range(of: mark)?.upperBound else {
            throw .invalid("the form has no part")
        }
        var parts: [Part] = []
        while true {
            guard position + 2 <= body.endIndex else { throw Self.cutOff }
            if body[position..<position + 2] == Data("--".utf8) { break }
            guard let head = body.range(of: Data("\r\n\r\n".utf8), in: position..<body.endIndex),
                let next = body.range(of: lineEnd + mark, in: head.lowerBound..<body.endIndex)
            else { throw Self.cutOff }
            let headers = String(decoding: body[position..<head.lowerBound], as: UTF8.self)
            let start = min(head.upperBound, next.lowerBound)
            parts.append(
                try Self.part(headers, data: Data(body[start..<next.lowerBound])))
            guard parts.count <= 64 else { throw .invalid("the form has more than 64 parts") }
            position = next.upperBound
        }
        self.parts = parts
    }

    /// The first part of one of these names.
    package func part(_ names: String...) -> Part? {
        parts.first { names.contains($0.name) }
    }

    /// The text of a part of one of these names.
    package func text(_ names: String...) -> String? {
        parts.first { names.contains($0.name) }.map { String(decoding: $0.data, as: UTF8.self) }
    }

    private static let cutOff = APIError.invalid("the form ends before its last boundary")

    private static func part(_ headers: String, data: Data) throws(APIError) -> Part {
        let disposition = headers.components(separatedBy: "\r\n")
            .first { $0.lowercased().hasPrefix("content-disposition:") }
        guard let disposition, let name = parameter("name", of: disposition) else {
            throw .invalid("a part of the form has no name")
        }
        return Part(name: name, fileName: parameter("filename", of: disposition), data: data)
    }

    /// The value of `; name=value` or `; name="value"` in a header.
    private static func parameter(_ name: String, of header: String) -> String? {
        for field in header.split(separator: ";").dropFirst() {
            let pair = field.split(separator: "=", maxSplits: 1)
            guard pair.count == 2,
                pair[0].trimmingCharacters(in: .whitespaces).lowercased() == name
            else { continue }
            return pair[1].trimmingCharacters(in: CharacterSet(charactersIn: " \"\r\n"))
        }
        return nil
    }
}
