// Configurations and vocabularies that are cyclic, bottomless or out of range: each is refused with its
// exact error.

import Checkpoints
import Testing

@Suite struct MalformedSettingsTests {
    static let yaml: [BadFile] = [
        BadFile(
            "bytes that are no text", [0xFF, 0xFE, 0x00],
            "FILE is not a sound YAML file: it is not valid UTF-8"),
        BadFile(
            "a tab as indentation", "a:\n\tb: 1",
            "FILE is not a sound YAML file: line 2: found character that cannot start any token"),
        BadFile(
            "a list that never ends", "a: [1, 2",
            "FILE is not a sound YAML file: line 2: did not find expected ',' or ']'"),
        BadFile(
            "a key twice", "a: 1\na: 2",
            "FILE is not a sound YAML file: line 1: the key a stands twice"),
        BadFile(
            "a hundred levels", String(repeating: "[", count: 100),
            "FILE is not a sound YAML file: more than 64 levels of nesting"),
        BadFile(
            "a bomb of aliases",
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
                + "bcdef".reduce(into: "") { text, key in
                    let previous = Character(UnicodeScalar(key.asciiValue.map { $0 - 1 } ?? 0));
                    text +=
                        "\(key): &\(key) ["
                        + Array(repeating: "*\(previous)", count: 6).joined(separator: ",") + "]\n"
                }, "FILE is not a sound YAML file: its aliases unfold to more than 100000 values"),
        BadFile(
            "an alias inside its own anchor", "a: &a [*a]",
            "FILE is not a sound YAML file: line 1: found undefined alias"),
        BadFile(
            "an alias of nothing", "a: *b",
            "FILE is not a sound YAML file: line 1: found undefined alias"),
    ]

    static let references: [BadFile] = [
        BadFile(
            "a reference to itself", "flow: !ref <flow>",
            "FILE is not a sound HyperPyYAML file: the references <flow> -> <flow> go in a circle"),
        BadFile(
            "two references in a circle", "flow: !ref <hift>\nhift: !ref <flow>",
            "FILE is not a sound HyperPyYAML file: the references <hift> -> <flow> -> <hift> go in a circle"
        ),
        BadFile(
            "a reference to nothing", "flow:\n  input_size: !ref <nowhere>",
            "FILE is not a sound HyperPyYAML file: <nowhere> at flow.input_size refers to nothing"),
        BadFile(
            "a division by zero", "one: 1\nflow:\n  input_size: !ref <one> / 0",
            #"FILE: flow.input_size is "1 / 0"; accepted: an integer from 1 to 65536"#),
        BadFile(
            "a size that is text", "flow:\n  input_size: wide",
            #"FILE: flow.input_size is "wide"; accepted: an integer from 1 to 65536"#),
        BadFile(
            "a negative size", "flow:\n  input_size: -512",
            "FILE: flow.input_size is -512; accepted: an integer from 1 to 65536"),
        BadFile(
            "an absurd size", "flow:\n  input_size: 9000000000",
            "FILE: flow.input_size is 9000000000; accepted: an integer from 1 to 65536"),
        BadFile(
            "an unknown schedule",
            "flow:\n  decoder:\n    cfm_params:\n      content:\n        t_scheduler: random",
            #"FILE: flow.decoder.cfm_params.content.t_scheduler is "random"; accepted: cosine, linear"#
        ),
    ]

    static let language: [BadFile] = [
        BadFile(
            "no JSON", "{hidden_size: 1}",
            "FILE is not a sound JSON file: a key without quotes at byte 1"),
        BadFile(
            "a list", "[]", "FILE is not a sound JSON file: it holds a list of 0, not an object"),
        BadFile(
            "text after the value", "{} {}",
            "FILE is not a sound JSON file: text after the value at byte 3"),
        BadFile(
            "a width of zero", #"{"hidden_size":0}"#,
            "FILE: hidden_size is 0; accepted: an integer from 1 to 262144"),
        BadFile(
            "a width that the heads do not divide", #"{"hidden_size":50,"num_attention_heads":6}"#,
            "FILE: num_attention_heads is 6; accepted: a divisor of hidden_size 50"),
        BadFile(
            "heads that the groups do not divide",
            #"{"hidden_size":48,"num_attention_heads":6,"num_attention_groups":4}"#,
            "FILE: num_attention_groups is 4; accepted: a divisor of num_attention_heads 6"),
        BadFile(
            "slopes for other heads",
            #"{"hidden_size":48,"num_attention_heads":6,"num_attention_groups":2,"alibi_slopes":[1]}"#,
            "FILE: alibi_slopes is a list of 1; accepted: 6 positive numbers, one a head"),
        BadFile(
            "layers as text", #"{"num_hidden_layers":"many"}"#,
            #"FILE: num_hidden_layers is "many"; accepted: an integer from 1 to 4096"#),
        BadFile(
            "another model", #"{"model_type":"llama"}"#,
            #"FILE: model_type is "llama"; accepted: step1"#),
    ]

    static let vocabularies: [BadFile] = [
        BadFile("no bytes", [], "FILE is not a sound SentencePiece file: it holds no pieces"),
        BadFile(
            "another format", "{\"model\": \"json\"}",
            "FILE is not a sound SentencePiece file: field 15 has the wire type 3 at byte 0"),
        BadFile(
            "half of the file", Array(Proto.vocabulary().dropLast(6)),
            "FILE is not a sound SentencePiece file: field 3 claims 10 bytes, 4 are left at byte 76"
        ),
        BadFile(
            "pairs of bytes instead of Unigram", Proto.vocabulary(trainer: Proto.integer(3, 2)),
            "FILE: the model type BPE is not supported; accepted: Unigram"
        ),
        BadFile(
            "rules that rewrite text", Proto.vocabulary(normalizer: Proto.message(2, [1, 2, 3])),
            "FILE: the normaliser identity with a map of 3 bytes is not supported; accepted: identity"
        ),
        BadFile(
            "a score that is not a number", Proto.vocabulary(more: Proto.piece([0x63], .nan, 1)),
            "FILE is not a sound SentencePiece file: piece 5 has the score nan"),
        BadFile(
            "a piece twice", Proto.vocabulary(more: Proto.piece([0x61], -3, 1)),
            #"FILE is not a sound SentencePiece file: the pieces 3 and 5 are both "a""#),
        BadFile(
            "an empty piece", Proto.vocabulary(more: Proto.piece([], -3, 1)),
            "FILE is not a sound SentencePiece file: piece 5 has 0 bytes, 1 to 4096 are accepted"),
        BadFile(
            "a piece of no class", Proto.vocabulary(more: Proto.piece([0x63], -3, 9)),
            "FILE is not a sound SentencePiece file: piece 5 is of class 9, 1 to 6 are known"),
        BadFile(
            "bytes without all bytes",
            Proto.vocabulary(trainer: Proto.integer(3, 1) + Proto.integer(35, 1)),
            "FILE is not a sound SentencePiece file: it spells bytes but has 0 byte pieces, not 256"
        ),
        BadFile(
            "an end outside the vocabulary",
            Proto.vocabulary(trainer: Proto.integer(3, 1) + Proto.integer(42, 99)),
            "FILE is not a sound SentencePiece file: its eos_id is 99, it has 5 pieces"),
    ]

    static let statistics: [BadFile] = [
        BadFile(
            "no rows", "<Nnet>\n</Nnet>",
            "FILE is not a sound am.mvn file: it has 0 lines of <AddShift>, one is needed"),
        BadFile(
            "rows of two lengths",
            "<AddShift> 2 2\n<LearnRateCoef> 0 [ 1 2 ]\n<Rescale> 3 3\n<LearnRateCoef> 0 [ 1 2 3 ]",
            "FILE is not a sound am.mvn file: it holds 2 shifts and 3 scales"),
        BadFile(
            "a value that is not a number",
            "<AddShift> 1 1\n<LearnRateCoef> 0 [ nan ]\n<Rescale> 1 1\n<LearnRateCoef> 0 [ 1 ]",
            #"FILE is not a sound am.mvn file: <AddShift> holds "nan", numbers are needed"#
        ),
        BadFile(
            "a row that never ends", "<AddShift> 1 1\n<LearnRateCoef> 0 [ 1",
            "FILE is not a sound am.mvn file: no line <LearnRateCoef> 0 [ ... ] follows <AddShift>"),
    ]

    @Test(arguments: yaml) func aYAMLFileIsRefused(_ file: BadFile) throws {
        try file.expectError { _ = try YAMLDocument(path: $0) }
    }

    @Test(arguments: references) func aDecoderIsRefused(_ file: BadFile) throws {
        try file.expectError { _ = try DecoderConfiguration(path: $0) }
    }

    @Test(arguments: language) func aLanguageModelIsRefused(_ file: BadFile) throws {
        try file.expectError { _ = try LanguageModelConfiguration(path: $0) }
    }

    @Test(arguments: vocabularies) func aVocabularyIsRefused(_ file: BadFile) throws {
        try file.expectError { _ = try SentencePieceModel(path: $0) }
    }

    @Test(arguments: statistics) func aNormalisationIsRefused(_ file: BadFile) throws {
        try file.expectError { _ = try FeatureNormalization(path: $0) }
    }
}
