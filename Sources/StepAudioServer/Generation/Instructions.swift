// From a sentence such as "speak slowly, in a cheerful voice" to the tags that the model knows. Words
// that mean nothing to it are left out; `docs/server.md` says so.

import Foundation
import StepAudio

/// Reads free instructions.
package enum Instructions {
    private static let emotions: [(tag: String, words: [String])] = [
        ("高兴2", ["very happy", "very cheerful", "excited", "overjoyed", "非常高兴", "兴奋"]),
        ("高兴1", ["happy", "cheerful", "joyful", "glad", "高兴", "开心", "快乐"]),
        ("生气2", ["very angry", "furious", "愤怒", "非常生气"]),
        ("生气1", ["angry", "annoyed", "生气"]),
        ("悲伤1", ["sad", "sorrowful", "gloomy", "悲伤", "难过", "伤心"]),
        ("撒娇1", ["coquettish", "pleading", "撒娇"]),
    ]
    private static let languages: [(tag: String, words: [String])] = [
        ("四川话", ["sichuan", "sichuanese", "四川"]),
        ("粤语", ["cantonese", "粤语", "广东话"]),
        ("韩语", ["korean", "韩语"]),
        ("日语", ["japanese", "日语"]),
        ("英文", ["english", "英文", "英语"]),
        ("中文", ["chinese", "mandarin", "中文", "普通话"]),
    ]
    private static let paces: [(tag: String, words: [String])] = [
        ("慢速2", ["very slowly", "very slow", "非常慢", "很慢"]),
        ("慢速1", ["slowly", "slow", "slower", "慢"]),
        ("快速2", ["very fast", "very quickly", "非常快", "很快"]),
        ("快速1", ["fast", "quickly", "faster", "quick", "快速", "快一点"]),
    ]

    /// The style that instructions ask for.
    package static func style(of text: String) -> SpeechStyle {
        SpeechStyle(
            emotion: first(in: text, of: emotions, exact: SpeechStyle.emotions),
            language: first(in: text, of: languages, exact: SpeechStyle.languages),
            pace: first(in: text, of: paces, exact: SpeechStyle.paces))
    }

    /// A tag that is named itself wins; then the first whose words are there.
    private static func first(
        in text: String, of table: [(tag: String, words: [String])], exact tags: [String]
    ) -> String? {
        if let tag = tags.first(where: { text.contains($0) && $0.last?.isNumber == true }) {
            return tag
        }
        let lower = " " + String(text.lowercased().map { $0.isLetter ? $0 : " " }) + " "
        return table.first { entry in
            entry.words.contains { word in
                word.first?.isASCII == true ? lower.contains(" \(word) ") : text.contains(word)
            }
        }?.tag
    }
}
