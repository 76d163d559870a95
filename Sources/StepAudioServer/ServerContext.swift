// What travels with a request: its channel, and the client that sent it.

import Hummingbird
import NIOCore

/// The context of a request.
package struct ServerContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    package let channel: any Channel
    /// Who asks: the number of the key, or the address where no key is asked for.
    package var client: String
    /// Names the request to the client and to whoever reads the log.
    package let requestID = "req_" + ID.random()

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
        client = source.channel.remoteAddress?.ipAddress ?? "local"
    }
}

/// Names that clients see.
package enum ID {
    /// 24 random letters and digits.
    package static func random() -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        return String((0..<24).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] })
    }
}
