// GET / and /assets: the web page, whose files are part of the program.

import HTTPTypes
import Hummingbird

/// A file of the page.
private struct PageFile {
    let bytes: [UInt8]
    let type: String

    static let all: [String: PageFile] = [
        "page.html": PageFile(bytes: PackageResources.page_html, type: "text/html"),
        "page.css": PageFile(bytes: PackageResources.page_css, type: "text/css"),
        "icon.svg": PageFile(bytes: PackageResources.icon_svg, type: "image/svg+xml"),
        "app.js": script(PackageResources.app_js),
        "clone.js": script(PackageResources.clone_js),
        "recorder.js": script(PackageResources.recorder_js),
        "settings.js": script(PackageResources.settings_js),
        "sound.js": script(PackageResources.sound_js),
        "talk.js": script(PackageResources.talk_js),
        "text.js": script(PackageResources.text_js),
        "turns.js": script(PackageResources.turns_js),
    ]

    private static func script(_ bytes: [UInt8]) -> PageFile {
        PageFile(bytes: bytes, type: "text/javascript")
    }
}

extension Backend {
    func page(_ request: Request, _ context: ServerContext) async throws -> Response {
        try file(named: "page.html")
    }

    func asset(_ request: Request, _ context: ServerContext) async throws -> Response {
        try file(named: context.parameters.require("name"))
    }

    private func file(named name: String) throws -> Response {
        guard let file = PageFile.all[name] else {
            throw APIError.notFound("there is no file '\(name)'", code: "not_found")
        }
        var headers: HTTPFields = [.contentType: file.type + "; charset=utf-8"]
        headers[.cacheControl] = "no-cache"
        headers[.contentSecurityPolicy] = Self.policy
        headers[.xContentTypeOptions] = "nosniff"
        if let name = HTTPField.Name("Referrer-Policy") { headers[name] = "no-referrer" }
        if let name = HTTPField.Name("Permissions-Policy") {
            headers[name] = "microphone=(self), camera=(), geolocation=()"
        }
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: file.bytes)))
    }

    /// Nothing from elsewhere, nothing inline.
    private static let policy = [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
        "connect-src 'self'", "media-src 'self' blob:", "worker-src 'self'", "base-uri 'none'",
        "form-action 'self'", "frame-ancestors 'none'",
    ].joined(separator: "; ")
}
