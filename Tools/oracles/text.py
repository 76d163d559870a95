"""The text tokenizer: a small SentencePiece Unigram model, and the rules by which the fast Llama tokenizer uses it.

Sources: Kudo, "Subword Regularization" (2018); google/sentencepiece; huggingface/transformers' fast Llama tokenizer for
a Unigram model with byte fallback.
"""

import io
import re

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protocol

SPACE = "\u2581"

ENGLISH = """the small boat went over the water and the wind was warm today
we are reading the numbers one two three four five six seven eight nine
please say hello to the people in the garden when you see them
a voice can be high or low, fast or slow, loud or quiet
this is a test of the tokenizer; it should find the longer words
she sells shells, he tells tales, they sing and dance all night
what time is it? it is 12:45 already. let us go now!
the weather in the city is good, the weather in the hills is better
    indented lines keep their spaces,   and so  do runs of them
how are you today? i am fine, thank you. and you?
system human assistant tool user text audio speech sound music
the reader of the book read the other book to the children
(happy) (sad) (fast1) (slow2) [Laughter] hello world, hello again"""

CHINESE = """你好，今天天气很好，我们一起去公园吧。
请用高兴的声音说这句话，谢谢你。
（RAP）我们今天说唱一首歌，大声唱出来。
（哼唱）小小的船在水上走，小小的人在船上唱。
(高兴1)(四川话)你今天吃了什么？
作为一名声优，你的任务是朗读文本。
请参考对话里的音色，将文本内容说出来。
今天的天气比昨天的天气好，明天的天气会更好。
情感、语种、方言、语音调整等标签，快速1，慢速2。
你好世界，世界你好。我说话，你听话。"""

CONTROL = (
    "<s> </s> <|EOT|> <|BOT|> <|CALL_START|> <|CALL_END|> <|THINK_START|> <|THINK_END|> <|IMG_START|> <|IMG_END|> "
    "<|META_START|> <|META_END|> <im_patch> <im_start> <im_end> <dream> <dream_start> <dream_end>").split()


def head_pieces():
    """(text, kind) of the ids 0 to 67: specials in the published order."""
    kinds = protocol.ModelProto.SentencePiece
    rows = [("<unk>", kinds.UNKNOWN)] + [(text, kinds.CONTROL) for text in CONTROL]
    rows += [("<|MASK_1e69f|>", kinds.USER_DEFINED), ("<|UNMASK_1e69f|>", kinds.USER_DEFINED)]
    rows += [(text, kinds.CONTROL) for text in ("<video_start>", "<video_end>", "<row_patch>", "<column_patch>")]
    rows += [("<|SEP_1e69f|>", kinds.USER_DEFINED)]
    rows += [(f"<user_defined_symbol_{index}>", kinds.USER_DEFINED) for index in range(22, 27)]
    rows += [(text, kinds.CONTROL) for text in (
        "<audio_start>", "<audio_end>", "<text_start>", "<text_end>", "<|TTS|>", "<|ASR|>", "<|TQAA|>", "<|AQTA|>")]
    rows += [(f"<user_defined_symbol_{index}>", kinds.USER_DEFINED) for index in range(35, 64)]
    assert len(rows) == 68
    return rows


def train(normal, audio):
    """A tokenizer.model in the published order: 68 specials, 256 bytes, `normal` pieces, `audio` tokens."""
    lines = [line for line in (ENGLISH + "\n" + CHINESE).split("\n")] * 3
    target = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=target, vocab_size=normal + 256 + 3, model_type="unigram",
        byte_fallback=True, split_digits=True, character_coverage=1.0, normalization_rule_name="identity",
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, add_dummy_prefix=True, num_threads=1,
        bos_id=1, eos_id=2, unk_id=0, pad_id=-1, minloglevel=2)
    model = protocol.ModelProto()
    model.ParseFromString(target.getvalue())
    kinds = protocol.ModelProto.SentencePiece
    learnt = [piece for piece in model.pieces if piece.type == kinds.NORMAL]
    assert len(learnt) == normal, len(learnt)
    rows = [(text, 0.0, kind) for text, kind in head_pieces()]
    rows += [(f"<0x{byte:02X}>", 0.0, kinds.BYTE) for byte in range(256)]
    rows += [(piece.piece, piece.score, kinds.NORMAL) for piece in learnt]
    rows += [(f"<audio_{index}>", 0.0, kinds.USER_DEFINED) for index in range(audio)]
    del model.pieces[:]
    for text, score, kind in rows:
        model.pieces.add(piece=text, score=score, type=kind)
    return model.SerializeToString()


class Tokenizer:
    """Text to ids and back, after the fast Llama tokenizer; no BOS is added."""

    def __init__(self, model: bytes):
        proto = protocol.ModelProto()
        proto.ParseFromString(model)
        kinds = protocol.ModelProto.SentencePiece
        self.pieces = [piece.piece for piece in proto.pieces]
        self.kinds = [piece.type for piece in proto.pieces]
        self.scores = [piece.score for piece in proto.pieces]
        self.ids = {text: index for index, text in enumerate(self.pieces)}
        self.normal = {
            text: (index, score) for index, (text, score, kind)
            in enumerate(zip(self.pieces, self.scores, self.kinds)) if kind == kinds.NORMAL}
        self.longest = max(map(len, self.normal))
        self.unknown = min(score for _, score in self.normal.values()) - 10
        self.bytes = {int(text[3:5], 16): index for text, index in self.ids.items()
                      if self.kinds[index] == kinds.BYTE}
        self.byte_of = {index: byte for byte, index in self.bytes.items()}
        special = (kinds.UNKNOWN, kinds.CONTROL, kinds.USER_DEFINED)
        self.added = {text: index for text, index in self.ids.items() if self.kinds[index] in special}
        ordered = sorted(self.added, key=len, reverse=True)
        self.pattern = re.compile("(" + "|".join(map(re.escape, ordered)) + ")")

    def encode(self, text):
        """Ids of `text`; added tokens become single ids."""
        ids, offset = [], 0
        for part in self.pattern.split(text):
            if part in self.added:
                ids.append(self.added[part])
            elif part:
                section = part.replace(" ", SPACE)
                if offset == 0 and not section.startswith(SPACE):
                    section = SPACE + section
                ids += self.best(section)
            offset += len(part)
        return ids

    def best(self, section):
        """The most likely pieces of one section; unknown characters as bytes."""
        total, back = [0.0] + [-1e30] * len(section), [None] * (len(section) + 1)
        for end in range(1, len(section) + 1):
            for start in range(max(0, end - self.longest), end):
                found = self.normal.get(section[start:end])
                if found and total[start] + found[1] > total[end]:
                    total[end], back[end] = total[start] + found[1], (start, [found[0]])
            character = section[end - 1]
            if character not in self.normal and total[end - 1] + self.unknown > total[end]:
                total[end] = total[end - 1] + self.unknown
                back[end] = (end - 1, [self.bytes[byte] for byte in character.encode()])
        ids, end = [], len(section)
        while end > 0:
            start, part = back[end]
            ids = part + ids
            end = start
        return ids

    def decode(self, ids):
        """Text of `ids`; invalid byte runs become one U+FFFD a byte, one leading space goes."""
        result, run = "", b""
        for index in list(ids) + [None]:
            if index in self.byte_of:
                run += bytes([self.byte_of[index]])
                continue
            if run:
                try:
                    result += run.decode()
                except UnicodeDecodeError:
                    result += "\ufffd" * len(run)
                run = b""
            if index is not None:
                result += self.pieces[index].replace(SPACE, " ")
        return result.removeprefix(" ")


def reference(model: bytes):
    """The same tokenizer built with the `tokenizers` package, for the self-check."""
    from tokenizers import AddedToken, Tokenizer as Fast, decoders, models, pre_tokenizers
    ours = Tokenizer(model)
    fast = Fast(models.Unigram(list(zip(ours.pieces, ours.scores)), unk_id=0, byte_fallback=True))
    fast.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="first", split=False)
    fast.decoder = decoders.Sequence([
        decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    fast.add_tokens([AddedToken(text, normalized=False, special=False)
                     for text, _ in sorted(ours.added.items(), key=lambda row: row[1])])
    return fast
