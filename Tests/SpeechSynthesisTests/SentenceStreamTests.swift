// Sentences of a text that arrives piece by piece.

import SpeechSynthesis
import Testing

@Suite struct SentenceStreamTests {
    /// What comes out after each character and at the end.
    private func sentences(_ text: String, piece: Int = 1) -> [String] {
        var stream = SentenceStream()
        var found: [String] = []
        var rest = Substring(text)
        while !rest.isEmpty {
            found += stream.append(String(rest.prefix(piece)))
            rest = rest.dropFirst(piece)
        }
        return found + stream.finish()
    }

    @Test(arguments: [1, 3, 100]) func piecesDoNotMatter(piece: Int) {
        #expect(
            sentences(
                "A week has seven days. It costs 3.5 dollars at Dr. Who's. 今天天气很好。再见，朋友。",
                piece: piece)
                == [
                    "A week has seven days.", "It costs 3.5 dollars at Dr. Who's.", "今天天气很好。",
                    "再见，朋友。",
                ])
    }

    @Test func aShortSentenceWaitsForTheNext() {
        #expect(
            sentences("No. I am a small program. Bye.") == ["No. I am a small program.", "Bye."])
    }

    @Test func tagsAreRepeated() {
        #expect(
            sentences("(高兴1)The sky is blue. Grass is green.")
                == ["(高兴1)The sky is blue.", "(高兴1)Grass is green."])
    }

    @Test func nothingGivesNothing() {
        #expect(sentences("") == [])
        #expect(sentences(" \n") == [])
    }
}
