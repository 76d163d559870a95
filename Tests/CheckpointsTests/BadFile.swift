// A file that must be refused, and the exact words of the refusal.

import Testing

/// One malformed file of a table of them.
struct BadFile: Sendable, CustomTestStringConvertible {
    let what: String
    let bytes: [UInt8]
    /// The whole error; FILE stands for the file's path.
    let error: String

    init(_ what: String, _ bytes: [UInt8], _ error: String) {
        self.what = what
        self.bytes = bytes
        self.error = error
    }

    init(_ what: String, _ text: String, _ error: String) {
        self.init(what, Array(text.utf8), error)
    }

    var testDescription: String { what }

    /// Writes the file and expects that reading it fails with the error.
    func expectError(_ read: (String) throws -> Void) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("file", bytes)
        do {
            try read(path)
            Issue.record("\(what) was accepted")
        } catch {
            #expect("\(error)".replacing(path, with: "FILE") == self.error)
        }
    }
}
