// Which of several servers takes the next request: the one with the fewest running, a dead one only when
// nothing else is left or its rest is over.

import Synchronization

/// The servers of one model and what is known of them.
final class EndpointPool: Sendable {
    struct Endpoint {
        let url: String
        var running = 0
        /// Not asked before this.
        var restsUntil: ContinuousClock.Instant?
    }

    /// How long a server that failed is left alone.
    static let rest = Duration.seconds(5)

    private let endpoints: Mutex<[Endpoint]>

    init(urls: [String]) { endpoints = Mutex(urls.map { Endpoint(url: $0) }) }

    var urls: [String] { endpoints.withLock { $0.map(\.url) } }

    /// Takes a place at a server; `avoiding` was tried last.
    func take(avoiding last: String? = nil) -> String {
        endpoints.withLock { endpoints in
            let now = ContinuousClock.now
            func rank(_ endpoint: Endpoint) -> (Int, Int, Int) {
                let rests = endpoint.restsUntil.map { $0 > now } ?? false
                return (rests ? 1 : 0, endpoint.url == last ? 1 : 0, endpoint.running)
            }
            let best = endpoints.indices.min { rank(endpoints[$0]) < rank(endpoints[$1]) } ?? 0
            endpoints[best].running += 1
            return endpoints[best].url
        }
    }

    /// Gives the place back; a server that failed rests.
    func giveBack(_ url: String, failed: Bool) {
        endpoints.withLock { endpoints in
            guard let index = endpoints.firstIndex(where: { $0.url == url }) else { return }
            endpoints[index].running -= 1
            endpoints[index].restsUntil = failed ? ContinuousClock.now + Self.rest : nil
        }
    }
}
