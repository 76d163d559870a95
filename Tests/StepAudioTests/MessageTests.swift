// Messages and conversations as JSON.

import Foundation
import StepAudio
import Testing

struct MessageTests {
    private func read(_ json: String) throws -> [Message] {
        try JSONDecoder().decode([Message].self, from: Data(json.utf8))
    }

    @Test func readsEveryFormOfContent() throws {
        let messages = try read(
            """
            [{"role": "system", "content": "s"}, {"role": "user", "content": {"type": "text", "text": "t"}},
             {"role": "user", "content": {"type": "audio", "audio": "a.wav"}},
             {"role": "user", "content": {"type": "audio", "audio": "<audio_1>"}},
             {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "audio", "tokens": "<audio_2>"}],
              "emotion": "高兴1"},
             {"role": "assistant", "content": null}, {"role": "assistant"}]
            """)
        #expect(
            messages.map(\.content) == [
                [.text("s")], [.text("t")], [.audio(.file("a.wav"))],
                [.audio(.tokens("<audio_1>"))],
                [.text("x"), .audio(.tokens("<audio_2>"))], nil, nil,
            ])
        #expect(messages[4].style == SpeechStyle(emotion: "高兴1"))
    }

    @Test func writesWhatItReads() throws {
        let messages: [Message] = [
            .system("s"), .user("hello"), .user(audio: "a.wav"),
            Message(
                role: "user", content: [.text("a"), .audio(.tokens("<audio_5>"))],
                style: SpeechStyle(language: "粤语", pace: "慢速1")),
            Message(role: "assistant", content: nil),
        ]
        let data = try JSONEncoder().encode(messages)
        #expect(try JSONDecoder().decode([Message].self, from: data) == messages)
    }

    @Test(arguments: [
        (#"[{"content": "x"}]"#, "the field role is missing"),
        (
            #"[{"role": "user", "content": {"type": "video"}}]"#,
            "part type is 'video'; accepted: text, audio"
        ),
        (#"[{"role": "user", "content": {"type": "text"}}]"#, "a text part needs the field text"),
        (
            #"[{"role": "user", "content": {"type": "audio"}}]"#,
            "an audio part needs the field audio (a file) or tokens"
        ),
    ])
    func brokenFilesAreExplained(messages: String, reason: String) throws {
        let path = FileManager.default.temporaryDirectory.path + "/stepaudio-\(UUID()).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data("{\"messages\": \(messages)}".utf8).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: StepAudioError.self) { try Conversation(contentsOf: path) }
        #expect(error == .conversationUnreadable(path: path, reason: reason))
    }

    @Test func conversationsAreKeptInFiles() throws {
        let path = FileManager.default.temporaryDirectory.path + "/stepaudio-\(UUID()).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        var talk = Conversation(system: "s")
        talk.messages += [
            Message(role: "user", content: [.audio(.tokens("<audio_1>"))]), .assistant("a"),
        ]
        try talk.write(to: path)
        #expect(try Conversation(contentsOf: path) == talk)
        try JSONEncoder().encode(talk.messages).write(to: URL(fileURLWithPath: path))
        #expect(try Conversation(contentsOf: path) == talk)
        talk.replaceLastAudio(by: "what was said")
        #expect(talk.messages[1].content == [.text("what was said")])
        #expect(throws: StepAudioError.self) { try Conversation(contentsOf: path + ".none") }
        #expect(throws: StepAudioError.self) { try talk.write(to: "/proc/none/x.json") }
    }
}
