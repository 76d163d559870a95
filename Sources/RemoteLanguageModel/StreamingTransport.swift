// HTTP with bodies that arrive piece by piece, on Foundation's URLSession.

import Foundation
import Synchronization

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Sends requests and hands out their replies while they arrive.
final class StreamingTransport: NSObject, URLSessionDataDelegate, Sendable {
    typealias Pieces = AsyncThrowingStream<Data, any Error>

    private struct Exchange {
        var head: CheckedContinuation<HTTPURLResponse, any Error>?
        let pieces: Pieces.Continuation
    }

    private let exchanges = Mutex<[Int: Exchange]>([:])

    private static let shared = StreamingTransport()
    private static let session: URLSession = {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpMaximumConnectionsPerHost = 256
        configuration.timeoutIntervalForResource = 24 * 3600
        return URLSession(configuration: configuration, delegate: shared, delegateQueue: nil)
    }()

    /// The head of the reply, and its body as it comes.
    ///
    /// Ending the iteration closes the connection.
    static func send(_ request: URLRequest) async throws -> (HTTPURLResponse, Pieces) {
        let task = session.dataTask(with: request)
        let (pieces, continuation) = Pieces.makeStream()
        continuation.onTermination = { _ in task.cancel() }
        let head = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { head in
                shared.exchanges.withLock {
                    $0[task.taskIdentifier] = Exchange(head: head, pieces: continuation)
                }
                task.resume()
            }
        } onCancel: {
            task.cancel()
        }
        return (head, pieces)
    }

    /// A whole reply.
    static func fetch(_ request: URLRequest) async throws -> (HTTPURLResponse, Data) {
        let (head, pieces) = try await send(request)
        var body = Data()
        for try await piece in pieces {
            body.append(piece)
            guard body.count <= 1 << 24 else { throw URLError(.dataLengthExceedsMaximum) }
        }
        return (head, body)
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        let head = exchanges.withLock { $0[dataTask.taskIdentifier]?.head.take() }
        if let response = response as? HTTPURLResponse {
            head?.resume(returning: response)
        } else {
            head?.resume(throwing: URLError(.badServerResponse))
        }
        completionHandler(.allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        _ = exchanges.withLock { $0[dataTask.taskIdentifier]?.pieces.yield(data) }
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?
    ) {
        let exchange = exchanges.withLock { $0.removeValue(forKey: task.taskIdentifier) }
        guard let exchange else { return }
        let isCancelled = (error as? URLError)?.code == .cancelled
        let failure: (any Error)? = isCancelled ? CancellationError() : error
        exchange.head?.resume(throwing: failure ?? URLError(.badServerResponse))
        exchange.pieces.finish(throwing: failure)
    }
}
