"""Measures the bundle's speaker encoder: equal error rate over utterances that no training has heard.

Usage: PYTHONPATH=Tools python Tools/evaluation/speakers.py [--models FOLDER] [--each N]

Each of the recipe's voices reads sentences of sentences.txt; every pair of utterances is compared by cosine. Needs the
teachers' programs (Tools/training).
"""

import argparse
import itertools
import pathlib
import re

import numpy as np
from scipy.signal import resample_poly

import sound
from training.teachers import ESPEAK, FLITE, Hibari, program

HERE = pathlib.Path(__file__).parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=HERE.parents[1] / "Models/pocket", type=pathlib.Path)
    parser.add_argument("--each", type=int, default=12, help="sentences a voice")
    options = parser.parse_args()
    texts = (HERE / "sentences.txt").read_text("utf-8").splitlines()
    main_voice = Hibari()
    groups = {"the voices it learnt": [Hibari.name, *FLITE], "with those of espeak-ng": [Hibari.name, *FLITE, *ESPEAK]}
    spoken = []
    for number, voice in enumerate(groups["with those of espeak-ng"]):
        for text in texts[number :: len(texts) // options.each][: options.each]:
            text = re.sub(r"[^A-Za-z0-9', .?!]", "", text)
            samples = main_voice.read(text, 0)[0] if voice == Hibari.name else program(voice, text)
            spoken.append((voice, resample_poly(samples, 320, 441).astype(np.float32)))
    vectors = sound.embeddings(options.models, [samples for _, samples in spoken])
    print("| equal error rate of the speaker encoder | value |\n| --- | --- |")
    for name, voices in groups.items():
        pairs = [
            (one[0] == other[0], float(a @ b))
            for (one, a), (other, b) in itertools.combinations(zip(spoken, vectors), 2)
            if one[0] in voices and other[0] in voices
        ]
        same, different = ([score for alike, score in pairs if alike == wanted] for wanted in (True, False))
        rate = sound.equal_error_rate(np.array(same), np.array(different))
        print(f"| {name} ({len(same)} pairs of one voice, {len(different)} of two) | {rate:.1f} % |")


main()
