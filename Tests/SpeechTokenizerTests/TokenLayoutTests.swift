// Two code streams in one row, and the row's written form.

import SpeechTokenizer
import Testing

struct TokenLayoutTests {
    private let layout = AudioTokenLayout(linguisticCount: 7, semanticCount: 11)

    @Test func mixesTwoAndThree() throws {
        let tokens = try AudioTokens(
            linguistic: [0, 6, 1, 2, 3], semantic: [0, 10, 5, 1, 2, 3, 4, 5], layout: layout)
        #expect(tokens.mixed == [0, 6, 7, 17, 12, 1, 2, 8, 9, 10])
        #expect(tokens.text.hasPrefix("<audio_0><audio_6><audio_7><audio_17>"))
        #expect(tokens.ids(audioBaseID: 100).first == 100)
        let (linguistic, semantic) = try layout.deinterleave(tokens.mixed)
        #expect(linguistic == [0, 6, 1, 2])
        #expect(semantic == [0, 10, 5, 1, 2, 3])
    }

    @Test func readsWhatItWrites() throws {
        let indices = [0, 6, 7, 17, 12]
        #expect(try layout.parse(layout.text(of: indices)) == indices)
        #expect(try layout.parse(" <audio_0>\n<audio_6> ") == [0, 6])
        #expect(try layout.parse("") == [])
    }

    @Test(arguments: [
        (
            "<audio_1",
            "character 0 is not the start of an audio token: \"<audio_1\"; tokens look like <audio_17>"
        ),
        (
            "<audio_1>x<audio_2>",
            "character 9 is not the start of an audio token: \"x\"; tokens look like <audio_17>"
        ),
        (
            "<audio_01>",
            "character 0 is not the start of an audio token: \"<audio_01>\"; tokens look like <audio_17>"
        ),
        (
            "<audio_-1>",
            "character 0 is not the start of an audio token: \"<audio_-1>\"; tokens look like <audio_17>"
        ),
        (
            "hello",
            "character 0 is not the start of an audio token: \"hello\"; tokens look like <audio_17>"
        ),
        ("<audio_18>", "token 0 is <audio_18>; indices 0 to 17 are accepted"),
        (
            "<audio_99999999999999999999>",
            "character 0 is not the start of an audio token: \"<audio_99999999999999999...\"; tokens look like <audio_17>"
        ),
    ])
    func refusesOtherText(text: String, message: String) {
        let error = #expect(throws: SpeechTokenizerError.self) { try layout.parse(text) }
        #expect(error?.description == message)
    }

    @Test(arguments: [
        (
            [7, 0, 7, 7, 7],
            "token 0 is <audio_7>, but its place in the group of five needs an index from 0 to 6"
        ),
        (
            [0, 0, 7, 0, 7],
            "token 3 is <audio_0>, but its place in the group of five needs an index from 7 to 17"
        ),
        ([0, 0, 7], "3 audio tokens are not whole groups of five; the last group has 3"),
        ([0, 18], "token 1 is <audio_18>; indices 0 to 17 are accepted"),
    ])
    func refusesBrokenGroups(indices: [Int], message: String) {
        let error = #expect(throws: SpeechTokenizerError.self) { try layout.deinterleave(indices) }
        #expect(error?.description == message)
    }

    @Test func refusesCodesOutsideTheirCodebook() {
        #expect(
            throws: SpeechTokenizerError.codeOutOfRange(
                codebook: "semantic", position: 1, code: 11, count: 11)
        ) { try layout.interleave(linguistic: [0, 1], semantic: [0, 11, 0]) }
    }

    @Test func idsOutsideTheRangeAreNamed() {
        #expect(
            throws: SpeechTokenizerError.idOutOfRange(token: 1, id: 99, accepted: 100..<118)
        ) { try layout.indices(ofIDs: [100, 99], audioBaseID: 100) }
    }
}

struct CodebookTests {
    @Test func nearestByDistanceTiesToTheFirst() {
        let codebook = Codebook(count: 4, width: 2, values: [0, 0, 2, 0, 0, 2, 2, 0])
        let rows = [[0.1, 0.2], [1.9, 0.4], [0, 1.5], [1, 0]].flatMap { $0.map { Float($0) } }
        // (1, 0) is as far from entry 0 as from 1 and 3; (1.9, 0.4) as far from 1 as from 3.
        #expect(codebook.nearest(.init(shape: [4, 2], values: rows)) == [0, 1, 2, 0])
    }
}
