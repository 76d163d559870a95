// Tags, styles and system prompts.

import SpeechSynthesis
import Testing

struct PromptingTests {
    @Test(arguments: [
        ("（RAP）x", "RAP"), ("(高兴1)(四川话)x", "高兴1"), (" (RAP)x", ""), ("()x", ""),
        ("(Humming (哼唱))x", ""), ("（高兴（x）哼唱）y", "高兴（x）哼唱"), ("(RAP）x", "RAP"),
        ("no tag", ""), ("", ""), ("(open", ""), ("（哼唱）\nline", "哼唱"),
    ])
    func readsTheInstructionAsTheOriginal(text: String, name: String) {
        #expect(BracketTag.instruction(of: text) == name)
    }

    @Test(arguments: [
        ("(高兴1)(四川话)你好", "(高兴1)(四川话)", "你好"), ("你好", "", "你好"),
        ("(This is an aside) and text", "", "(This is an aside) and text"),
        ("（RAP）go", "（RAP）", "go"), ("(2024) was fine", "", "(2024) was fine"),
    ])
    func splitsLeadingTags(text: String, tags: String, rest: String) {
        #expect(BracketTag.split(text).tags == tags)
        #expect(BracketTag.split(text).rest == rest)
    }

    @Test func stylesAreWrittenInTheOrderOfTheOriginal() {
        let style = SpeechStyle(emotion: "高兴1", language: "粤语", pace: "快速2")
        #expect(style.tags == "(高兴1)(粤语)(快速2)")
        #expect(SpeechStyle().tags == "")
    }

    @Test func unknownStylesAreNamed() {
        let error = #expect(throws: SpeechSynthesisError.self) {
            try SpeechStyle(emotion: "happy").validate()
        }
        #expect(
            error?.description
                == "emotion is 'happy'; accepted: 高兴1, 高兴2, 生气1, 生气2, 悲伤1, 撒娇1")
    }

    @Test func choosesTheSystemPrompt() throws {
        let prompts = try SystemPrompts()
        #expect(prompts.prompt(text: "(RAP)go", speaker: "A") == prompts.rap)
        #expect(prompts.prompt(text: "(RAP)哼唱", speaker: "A") == prompts.vocal)
        #expect(prompts.prompt(text: "（哼唱）la", speaker: "") == prompts.vocal)
        #expect(prompts.prompt(text: "hi", speaker: "") == prompts.withoutSpeaker)
        #expect(prompts.prompt(text: "hi", speaker: "Ann").contains("使用[Ann]的声音"))
        #expect(prompts.withSpeaker.contains("[{}]"))
    }
}

struct SentenceSplitterTests {
    private func parts(_ text: String, longest: Double = 1.4) -> [String] {
        SentenceSplitter(longestPart: longest).split(text)
    }

    @Test func splitsAtSentenceEnds() {
        #expect(
            parts("One is here. Two is there! Three?") == [
                "One is here.", "Two is there!", "Three?",
            ])
        #expect(parts("今天很好。明天呢？后天！") == ["今天很好。", "明天呢？", "后天！"])
        #expect(parts("今日は晴れ。明日は？") == ["今日は晴れ。", "明日は？"])
        #expect(parts("first line\nsecond line") == ["first line", "second line"])
        #expect(parts("He said \"stop.\" Then he left.") == ["He said \"stop.\"", "Then he left."])
        #expect(parts("Wait... what?", longest: 0.7) == ["Wait...", "what?"])
    }

    @Test(arguments: [
        "Pi is 3.14159 today", "Dr. Smith met Mrs. Jones", "See example.com for it",
        "Version 2.0.1 works", "J. R. Tolkien wrote", "e.g. this one",
    ])
    func neverInsideNumbersAndAbbreviations(text: String) {
        #expect(SentenceSplitter(longestPart: 30).split(text) == [text])
        #expect(!parts(text + ". Next one.", longest: 3).contains { $0.hasSuffix("Dr.") })
        let longest = SentenceSplitter.seconds(text + ".") + 0.1
        #expect(parts(text + ". Next one.", longest: longest) == [text + ".", "Next one."])
    }

    @Test func aBracketThatNobodyClosesHoldsNothing() {
        let sentences = ["So sad :( it was."] + (1...5).map { "This is sentence number \($0)." }
        #expect(parts(sentences.joined(separator: " "), longest: 2).count >= 4)
        #expect(parts("one line\r\nanother line") == ["one line", "another line"])
    }

    @Test func packsShortSentences() {
        #expect(parts("Hi. No.", longest: 10) == ["Hi. No."])
        #expect(
            parts("No. The sky is blue. Yes. Good morning.", longest: 10) == [
                "No. The sky is blue.", "Yes. Good morning.",
            ])
    }

    @Test func repeatsTagsAndNeverCutsThem() {
        #expect(parts("(高兴1)(粤语)一句话。两句话。") == ["(高兴1)(粤语)一句话。", "(高兴1)(粤语)两句话。"])
        #expect(
            parts("Look (it is. here) now. End.", longest: 1).contains {
                $0.contains("(it is. here)")
            })
    }

    @Test func cutsLongSentencesAtPauses() {
        let text = "one two three four, five six seven eight, nine ten eleven twelve"
        let result = parts(text, longest: 2)
        #expect(result.count == 3)
        #expect(result.joined(separator: " ") == text)
        let wide = String(repeating: "字", count: 40)
        #expect(parts(wide, longest: 2).joined() == wide)
        #expect(parts(wide, longest: 2).allSatisfy { SentenceSplitter.seconds($0) <= 2 })
        #expect(parts("It costs 1,000,000 now", longest: 1).contains { $0.contains("1,000,000") })
    }

    @Test(arguments: ["", "   ", "\n\n"])
    func nothingGivesNothing(text: String) {
        #expect(parts(text).isEmpty)
    }
}
