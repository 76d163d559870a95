// The small parts of the server, by arithmetic that can be checked by hand.

import AudioSignal
import Foundation
import StepAudio
import Testing

import StepAudioServer

struct PartsTests {
    @Test func pcmGoesThereAndBack() {
        #expect(PCM16.bytes([0, 1, -1, 2]) == [0, 0, 255, 127, 1, 128, 255, 127])
        #expect(PCM16.samples([0, 64, 0, 192, 7]) == [0.5, -0.5])
    }

    @Test func theHeaderSaysHowLongItIs() {
        let known = WAVHeader.bytes(sampleRate: 24_000, dataBytes: 10)
        #expect(known.count == 44 && known[4] == 46 && known[40] == 10)
        #expect(WAVHeader.bytes(sampleRate: 24_000, dataBytes: nil)[40...] == [255, 255, 255, 255])
    }

    @Test func stopsAtTheFirstStopText() {
        var scanner = StopScanner(["lo w", "zzz"])
        #expect(scanner.append("hel") == "he")
        #expect(scanner.append("lo") == "l")
        #expect(scanner.append("! l") == "lo! ")
        #expect(scanner.append("o world") == "")
        #expect(scanner.isStopped)
        #expect(scanner.append("more") == "" && scanner.finish() == "")
    }

    @Test func givesBackWhatWasHeld() {
        var scanner = StopScanner(["abc"])
        #expect(scanner.append("xab") == "x")
        #expect(scanner.finish() == "ab")
    }

    @Test func readsForms() throws {
        let text =
            "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nanna\r\n"
            + "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
            + "Content-Type: audio/wav\r\n\r\n1\r\n--2\r\n\r\n--b--\r\n"
        let form = try MultipartForm(
            Data(text.utf8), contentType: "multipart/form-data; boundary=b")
        #expect(form.text("name") == "anna")
        #expect(form.part("file")?.fileName == "a.wav")
        #expect(form.text("file") == "1\r\n--2\r\n")
    }

    @Test(arguments: [
        "", "--b", "--b\r\n", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx",
        "--b\r\nX: y\r\n\r\nx\r\n--b--", "nothing",
    ])
    func refusesBrokenForms(text: String) {
        #expect(throws: APIError.self) {
            try MultipartForm(Data(text.utf8), contentType: "multipart/form-data; boundary=b")
        }
    }

    @Test func comparesWholeKeys() {
        let keys = APIKeys(["abc", "abcd"])
        #expect(keys.index(of: "abc") == 0 && keys.index(of: "abcd") == 1)
        #expect(keys.index(of: "ab") == nil && keys.index(of: "") == nil)
        #expect(keys.index(of: "abc\0") == nil)
    }

    @Test func staysAtHomeWithoutAKey() {
        var options = ServerOptions()
        options.host = "0.0.0.0"
        #expect(throws: ServerError.open(host: "0.0.0.0")) { try options.validate() }
        options.keys = APIKeys(["a-key-of-ours"])
        #expect(throws: Never.self) { try options.validate() }
    }

    @Test(
        arguments: [
            ("Speak slowly, in a cheerful tone.", "高兴1", nil, "慢速1"),
            ("非常生气地说四川话", "生气2", "四川话", nil), ("very fast English", nil, "英文", "快速2"),
            ("like a glad gladiator", "高兴1", nil, nil), ("breakfast", nil, nil, nil),
        ] as [(String, String?, String?, String?)])
    func readsInstructions(text: String, emotion: String?, language: String?, pace: String?) {
        let style = Instructions.style(of: text)
        #expect(style == SpeechStyle(emotion: emotion, language: language, pace: pace))
    }

    @Test func metricsAreInPrometheusForm() {
        let metrics = MetricsRegistry()
        metrics.add("stepaudio_requests_total", 2, [("endpoint", "/a\"b")])
        metrics.observe("stepaudio_real_time_factor", 0.25, [("endpoint", "/a")])
        let text = metrics.text(gauges: [.init(name: "g", help: "h", value: 1.5)])
        #expect(text.contains("stepaudio_requests_total{endpoint=\"/a\\\"b\"} 2\n"))
        #expect(text.contains("stepaudio_real_time_factor_bucket{endpoint=\"/a\",le=\"0.2\"} 0\n"))
        #expect(text.contains("stepaudio_real_time_factor_bucket{endpoint=\"/a\",le=\"0.3\"} 1\n"))
        #expect(text.contains("stepaudio_real_time_factor_count{endpoint=\"/a\"} 1\n"))
        #expect(text.contains("# TYPE g gauge\ng 1.5\n"))
    }

    @Test func answersAreRememberedForTheirClientOnly() {
        let memory = AnswerMemory()
        _ = memory.keep("words", id: "a", client: "one")
        #expect(memory.transcript(of: "a", client: "one") == "words")
        #expect(memory.transcript(of: "a", client: "two") == nil)
    }

    @Test func keepsTheWordsThatWereHeard() {
        var answer = SpokenAnswer()
        answer.append(text: "One two. Three four five six.")
        func chunk(_ seconds: Double, _ sentence: Int, _ text: String, _ ends: Bool) {
            answer.append(
                SpeechChunk(
                    samples: [Float](repeating: 0, count: Int(seconds * 1000)), sampleRate: 1000,
                    sentence: sentence, text: text, endsSentence: ends))
        }
        chunk(1, 0, "One two.", true)
        chunk(1, 1, "Three four five six.", false)
        chunk(1, 1, "Three four five six.", true)
        var whole = answer
        whole.truncate(toMilliseconds: 3000)
        #expect(whole.text == "One two. Three four five six.")
        answer.truncate(toMilliseconds: 2200)
        #expect(answer.text == "One two. Three four")
        answer.truncate(toMilliseconds: 900)
        #expect(answer.text == "One")
        answer.truncate(toMilliseconds: 0)
        #expect(answer.text == "")
    }
}
