// GET /openapi.json: the description of all endpoints. The client proof in Tools/clients holds the
// running server to it.

import Hummingbird

extension Backend {
    func document(_ request: Request, _ context: ServerContext) async throws -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.openapi_json)))
    }
}
