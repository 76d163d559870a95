// Log lines on standard error, as words or as JSON objects.

import Foundation
import Logging
import Synchronization

/// Writes log lines.
struct ServerLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    let isJSON: Bool
    private static let lock = Mutex(())

    init(level: Logger.Level, isJSON: Bool) {
        logLevel = level
        self.isJSON = isJSON
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        write(level: event.level, message: "\(event.message)", metadata: event.metadata)
    }

    private func write(level: Logger.Level, message: String, metadata extra: Logger.Metadata?) {
        let fields = metadata.merging(extra ?? [:]) { $1 }
        let time = Date.now.formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true))
        let line =
            isJSON
            ? Self.json(time, level, message, fields) : Self.words(time, level, message, fields)
        Self.lock.withLock { _ in
            try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
        }
    }

    private static func json(
        _ time: String, _ level: Logger.Level, _ message: String, _ fields: Logger.Metadata
    ) -> String {
        var object = ["time": time, "level": level.rawValue, "message": message]
        for (key, value) in fields { object[key] = "\(value)" }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = (try? encoder.encode(object)) ?? Data()
        return String(decoding: data, as: UTF8.self)
    }

    private static func words(
        _ time: String, _ level: Logger.Level, _ message: String, _ fields: Logger.Metadata
    ) -> String {
        let pairs = fields.sorted { $0.key < $1.key }.map { key, value in
            let text = "\(value)"
            return text.contains(where: { $0.isWhitespace || $0 == "\"" })
                ? "\(key)=\(text.debugDescription)" : "\(key)=\(text)"
        }
        return ([time, level.rawValue, message] + pairs).joined(separator: " ")
    }
}
