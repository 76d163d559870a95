// A server that says exactly what a test tells it to, faults included: one connection a request, on a
// socket of the loopback interface.

import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
    private let streamSocket = Int32(SOCK_STREAM.rawValue)
#else
    import Darwin
    private let streamSocket = SOCK_STREAM
#endif

/// A scripted HTTP server.
package final class StubServer: Sendable {
    package struct Request: Sendable {
        package let path: String
        package let headers: String
        package let body: Data

        /// The body as a JSON object.
        package var object: [String: Any] {
            (try? JSONSerialization.jsonObject(with: body)) as? [String: Any] ?? [:]
        }
    }

    /// What the server does, in order; then it closes the connection.
    package enum Action: Sendable {
        case say(String)
        case pause(Double)
        /// Goes on once something has happened, or after a minute.
        case wait(until: @Sendable () -> Bool)
    }

    private let listener: Int32
    package let port: UInt16
    private let handler: @Sendable (Request, Int) -> [Action]
    private let seen = Mutex<[Request]>([])
    private let hungUp = Mutex(0)
    private let isStopped = Mutex(false)

    /// `handler` hears a request and how many came before it to `/v1/completions`.
    package init(_ handler: @escaping @Sendable (Request, Int) -> [Action]) {
        self.handler = handler
        signal(SIGPIPE, SIG_IGN)
        let listener = socket(AF_INET, streamSocket, 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(listener, $0, length)
                _ = listen(listener, 128)
                _ = getsockname(listener, $0, &length)
            }
            return UInt16(bigEndian: pointer.pointee.sin_port)
        }
        Thread.detachNewThread { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                Thread.detachNewThread { self.serve(connection) }
            }
        }
    }

    deinit { stop() }

    /// Refuses connections from now on.
    package func stop() {
        // A second close would hit whoever got the descriptor's number since.
        let isFirst = isStopped.withLock { stopped in
            defer { stopped = true }
            return !stopped
        }
        guard isFirst else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    package var url: String { "http://127.0.0.1:\(port)" }
    /// The requests to `/v1/completions`.
    package var completions: [Request] {
        seen.withLock { $0.filter { $0.path == "/v1/completions" } }
    }
    /// How often the client left inside an answer.
    package var clientsThatLeft: Int { hungUp.withLock { $0 } }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        guard let request = Self.read(connection) else { return }
        let count = completions.count
        seen.withLock { $0.append(request) }
        for action in handler(request, count) {
            switch action {
            case .pause(let seconds): Thread.sleep(forTimeInterval: seconds)
            case .wait(let condition):
                for _ in 0..<6000 {
                    if condition() { break }
                    Thread.sleep(forTimeInterval: 0.01)
                }
            case .say(let text):
                let bytes = Array(text.utf8)
                if send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) < 0 {
                    hungUp.withLock { $0 += 1 }
                    return
                }
            }
        }
        shutdown(connection, Int32(SHUT_RDWR))
    }

    private static func read(_ connection: Int32) -> Request? {
        var data = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end = data.range(of: Data("\r\n\r\n".utf8)) {
                let head = String(decoding: data[..<end.lowerBound], as: UTF8.self)
                let length =
                    head.lowercased().split(separator: "\r\n")
                    .first { $0.hasPrefix("content-length:") }
                    .flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
                if data.count >= end.upperBound + length {
                    let path = head.split(separator: " ").dropFirst().first.map(String.init) ?? ""
                    return Request(path: path, headers: head, body: data[end.upperBound...])
                }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            data.append(contentsOf: buffer[..<count])
        }
    }
}

/// Replies in the forms of vLLM.
package enum Reply {
    package static func json(_ text: String, status: String = "200 OK") -> StubServer.Action {
        .say(
            "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(text.utf8.count)\r\nConnection: close\r\n\r\n\(text)")
    }

    package static func error(_ status: String, _ message: String) -> StubServer.Action {
        json(#"{"error":{"message":"\#(message)","type":"x","code":0}}"#, status: status)
    }

    package static let models = json(
        #"{"data":[{"id":"step","max_model_len":100},{"id":"other"}]}"#)

    /// The head of an event stream.
    package static let stream = StubServer.Action.say(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

    package static func tokens(_ ids: [Int], finish: String? = nil) -> StubServer.Action {
        let reason = finish.map { "\"\($0)\"" } ?? "null"
        return .say(
            #"data: {"choices":[{"index":0,"text":"?","token_ids":\#(ids),"finish_reason":\#(reason)}]}"#
                + "\n\n")
    }

    package static func text(_ text: String) -> StubServer.Action {
        .say(#"data: {"choices":[{"index":0,"text":"\#(text)","finish_reason":null}]}"# + "\n\n")
    }

    package static let done = StubServer.Action.say("data: [DONE]\n\n")
}
