// Lets the pages of chosen origins use the server (CORS). Off unless asked for.

import HTTPTypes
import Hummingbird

/// Answers preflights and marks replies for the chosen origins.
struct CrossOrigin: RouterMiddleware {
    let origins: [String]

    func handle(
        _ request: Request, context: ServerContext,
        next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin],
            origins.contains("*") || origins.contains(origin)
        else { return try await next(request, context) }
        var response =
            request.method == .options
            ? Response(status: .noContent) : try await next(request, context)
        response.headers[.accessControlAllowOrigin] = origins.contains("*") ? "*" : origin
        response.headers[.vary] = "Origin"
        response.headers[.accessControlExposeHeaders] = "Server-Timing, X-Request-Id"
        if request.method == .options {
            response.headers[.accessControlAllowMethods] = "GET, POST, DELETE"
            response.headers[.accessControlAllowHeaders] = "Authorization, Content-Type"
            response.headers[.accessControlMaxAge] = "600"
        }
        return response
    }
}
