// One request at the models: it waits for its place, stops when its client leaves or its time is up,
// and gives the place back.

import Foundation
import Hummingbird
import NIOCore

extension Backend {
    /// Runs work whose result is sent as a whole.
    func perform<Value: Sendable>(
        _ context: ServerContext, _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try readiness.check()
        let task = Task {
            let ticket = try await admission.enter(client: context.client)
            defer { ticket.leave() }
            return try await work()
        }
        let stop = StopSignal(self, context) { task.cancel() }
        defer { stop.end() }
        do {
            return try await withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            }
        } catch {
            throw stop.error(error)
        }
    }

    /// Runs work that sends its result piece by piece.
    ///
    /// The answer's head is sent with the first
    /// piece, so that what fails before it has a status of its own.
    ///
    /// `produce` may return trailing header fields. `describe` writes an error that comes later; nil
    /// breaks the connection off instead.
    func stream(
        _ context: ServerContext, headers: HTTPFields,
        describe: (@Sendable (APIError) -> ByteBuffer)? = nil,
        produce: @escaping @Sendable (StreamSink) async throws -> HTTPFields?
    ) async throws -> Response {
        try readiness.check()
        let job = StreamJob(self, context, produce)
        do {
            try await job.ready()
        } catch {
            throw job.stop.error(error)
        }
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody { writer in
                defer { job.end() }
                do {
                    while let piece = try await job.next() {
                        try await writer.write(piece)
                    }
                } catch {
                    guard let describe, context.channel.isActive else { throw error }
                    try await writer.write(describe(APIError(job.stop.error(error))))
                }
                try await writer.finish(await job.trailers)
            })
    }
}

/// Where a stream's pieces go.
struct StreamSink: Sendable {
    fileprivate let queue: PieceQueue

    func send(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        queue.append(ByteBuffer(bytes: bytes))
    }

    /// Sends a server-sent event.
    func event(_ value: some Encodable) throws {
        queue.append(Self.event(try JSON.data(value)))
    }

    /// Sends a server-sent event whose data is a plain word.
    func event(word: String) {
        queue.append(Self.event(Data(word.utf8)))
    }

    static func event(_ data: Data) -> ByteBuffer {
        var buffer = ByteBuffer(string: "data: ")
        buffer.writeBytes(data)
        buffer.writeString("\n\n")
        return buffer
    }

    /// An error as the last event of a stream that has begun.
    static func event(_ error: APIError) -> ByteBuffer {
        event((try? JSON.data(error.body)) ?? Data())
    }
}

/// A running stream.
private final class StreamJob: Sendable {
    let queue = PieceQueue()
    let stop: StopSignal
    private let task: Task<HTTPFields?, Never>

    init(
        _ backend: Backend, _ context: ServerContext,
        _ produce: @escaping @Sendable (StreamSink) async throws -> HTTPFields?
    ) {
        let task = Task { [queue] () -> HTTPFields? in
            do {
                let ticket = try await backend.admission.enter(client: context.client)
                defer { ticket.leave() }
                let trailers = try await produce(StreamSink(queue: queue))
                queue.finish(.success(()))
                return trailers
            } catch {
                queue.finish(.failure(error))
                return nil
            }
        }
        self.task = task
        stop = StopSignal(backend, context, closesChannel: true) { [queue] in
            task.cancel()
            queue.finish(.failure(CancellationError()))
        }
    }

    deinit {
        end()
    }

    /// Header fields that follow the body.
    var trailers: HTTPFields? {
        get async { await task.value }
    }

    /// Waits for the first piece.
    func ready() async throws {
        try await withTaskCancellationHandler {
            try await queue.ready()
        } onCancel: {
            cancel()
        }
    }

    /// The next piece, nil at the end.
    func next() async throws -> ByteBuffer? {
        try await withTaskCancellationHandler {
            try await queue.next()
        } onCancel: {
            cancel()
        }
    }

    private func cancel() {
        task.cancel()
        queue.finish(.failure(CancellationError()))
    }

    func end() {
        stop.end()
        task.cancel()
    }
}
