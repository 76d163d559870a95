"""The text pieces of the speech model: whole everyday words, so that the text is easy to follow, and letters for the
rest.

The words come from Debian's `scowl` (sizes 10 and 20), from the grammars of this folder and from the everyday domain.
Each piece is stored with the phones that the teacher reads it with: the speech model's embeddings start from them.
"""

import json
import pathlib
import re
import string

from . import domain, sentences
from .step1 import write_vocabulary

SCOWL = pathlib.Path("/usr/share/dict/scowl")
ENDINGS = "s es ed d ing er est ly ness less ful ment able ion ation un re dis".split()
SLOTS = 14  # phones of a piece that its embedding starts from
STRESS, MARKS = "ˈˌ", "ːʰʲ̃"


def symbols(phones):
    """Phones of one word with the stress joined to the vowel behind it."""
    found, stress = [], ""
    for phone in phones:
        if phone in STRESS:
            stress = phone
        elif phone.isalpha() or phone in MARKS:
            found.append(stress + phone)
            stress = ""
    return found


def scowl(size):
    """Words of one size of the list, possessives left out."""
    found = set()
    for kind in ("english-words", "american-words", "english-contractions", "english-upper"):
        path = SCOWL / f"{kind}.{size}"
        if path.exists():
            found |= set(path.read_text("latin-1").split())
    return {word for word in found if word.isascii() and not word.endswith("'s")}


def own():
    """Words of the grammars and of the domain."""
    grammar = sentences.Grammar(["word"], 1)
    texts = [grammar.sentence() for _ in range(20000)]
    texts += [text for wordings, answer in domain.english() for text in [*wordings, answer] if text.isascii()]
    return {word for text in texts for word in re.findall(r"[A-Za-z]+(?:'[a-z]+)?", text)}


def listed():
    """(common words, other words): the stated vocabulary, as written in the middle of a sentence."""
    names = {word for word in own() if word[0].isupper() and word.lower() not in own()}
    months = set(domain.DAYS + domain.MONTHS)
    common = scowl(10) | {word for word in own() if word.islower()} | names | months | {"I"}
    everyday = {word for word in scowl(20) if word.islower() or "'" in word}
    common = {word for word in common if len(word) > 1 or word in ("a", "I")}
    return sorted(common), sorted(everyday - common)


class Vocabulary:
    """Pieces with their phones; `common` and `others` are whole words."""

    def __init__(self, work):
        with open(work / "vocabulary.json", encoding="utf-8") as file:
            facts = json.load(file)
        self.common, self.others, self.phones = facts["common"], facts["others"], facts["phones"]
        self.inventory = sorted({phone for phones in self.phones.values() for phone in phones})
        self.ids = {phone: index + 1 for index, phone in enumerate(self.inventory)}  # 0 is silence


def build(work, read):
    """Writes vocabulary.json; `read` tells the phones of a text."""
    common, others = listed()
    texts = common + others + ENDINGS + list(string.ascii_uppercase) + list(string.digits)
    phones = {text: symbols(read(text))[:SLOTS] for text in texts}
    for word in common:
        phones.setdefault(word[0].upper() + word[1:], phones[word])
    facts = {"common": common, "others": others, "phones": phones}
    (work / "vocabulary.json").write_text(json.dumps(facts, ensure_ascii=False), "utf-8")


def write(work, vocabulary, lines, styles):
    """The SentencePiece model: fewest pieces win; spaces are pieces of their own; bytes cover everything else."""
    pieces = [("▁", -1.0)] + [(chr(i), -10.0) for i in range(33, 127)] + [(c, -10.0) for c in "，。？！、（）"]
    pieces += [("▁" + word, -8.0) for word in ("human", "assistant", "system")]
    pieces += [(line, -9.0) for line in sorted(lines)] + [(style, -9.0) for style in styles]
    known = {text for text, _ in pieces}
    pieces += [(text, -10.0) for text in vocabulary.phones if text not in known]
    return write_vocabulary(pieces, work / "speech.model")
