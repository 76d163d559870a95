"""Writes vocabulary_sentences.txt: 100 sentences from the stated vocabulary, for evaluation only.

    PYTHONPATH=Tools python Tools/evaluation/make_sentences.py

The recipe never trains on a sentence of this folder. Needs Debian's `scowl`.
"""

import pathlib

from training import sentences, vocabulary

SEED, COUNT = 2027, 100

common, others = vocabulary.listed()
grammar = sentences.Grammar([word for word in others if word.islower() and len(word) > 3], SEED)
found = []
while len(found) < COUNT:
    text = grammar.sentence()
    if 15 <= len(text) <= 64 and text not in found:
        found.append(text)
pathlib.Path(__file__).with_name("vocabulary_sentences.txt").write_text("\n".join(found) + "\n", "utf-8")
