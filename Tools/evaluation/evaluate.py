"""Measures a bundle from outside: what Whisper tiny.en hears of its speech, and what it answers.

Usage: evaluate.py [--command stepaudio] [--models FOLDER] [--sentences FILE] [--keep FOLDER]

Prints a table in Markdown. Sentences are those of sentences.txt, which no training has seen; questions and answers are
those of the bundle's questions/questions.json.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import tempfile

from faster_whisper import WhisperModel

import sound
from transcribe import model_directory

HERE = pathlib.Path(__file__).parent
SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen""".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth"}


def spelled(value):
    """0 to 999 in words, as the texts write them."""
    if value >= 100:
        return SMALL[value // 100] + " hundred" + (" and " + spelled(value % 100) if value % 100 else "")
    if value >= 20:
        return TENS[value // 10 - 2] + (" " + SMALL[value % 10] if value % 10 else "")
    return SMALL[value]


def ordinal(value):
    *front, last = spelled(value).split()
    last = ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return " ".join([*front, last])


def words(text):
    """Lower-case words; the recogniser's digits are spelled out, as the texts spell them."""
    text = re.sub(r"\$(\d+)", r"\1 dollars", text.lower())
    text = re.sub(r"(\d{1,3})(?:st|nd|rd|th)\b", lambda match: ordinal(int(match[1])), text)
    text = re.sub(r"(?<!\d)\d{1,3}(?!\d)", lambda match: f" {spelled(int(match[0]))} ", text)
    return re.sub(r"[^a-z0-9' ]", " ", text).split()


def errors(said, heard):
    """Words to put in, take out or change."""
    row = list(range(len(heard) + 1))
    for i, one in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (one != other))
    return row[-1]


class Listener:
    """Whisper tiny.en, and the command under test."""

    def __init__(self, command, models, folder):
        self.model = WhisperModel(str(model_directory()), device="cpu", compute_type="float32", cpu_threads=1)
        self.command, self.models, self.folder = command, models, pathlib.Path(folder)
        self.factors = []

    def run(self, *arguments):
        """The command's JSON, or None when it fails."""
        line = [self.command, *arguments, "--models", str(self.models), "--json", "--quiet"]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            print(f"failed: {arguments}: {done.stderr.strip()}")
            return None
        found = json.loads(done.stdout)
        self.factors += [found["real_time_factor"]] if "real_time_factor" in found else []
        return found

    def heard(self, path):
        segments, _ = self.model.transcribe(str(path), language="en", beam_size=5, temperature=0.0)
        return " ".join(segment.text.strip() for segment in segments)

    def rate(self, name, texts, speak):
        """Word errors in percent over texts that `speak(text, path)` makes audible."""
        wrong = total = 0
        for index, text in enumerate(texts):
            path = self.folder / f"{name}-{index:03d}.wav"
            speak(text, path)
            heard = self.heard(path) if path.exists() else ""
            wrong += errors(words(text), words(heard))
            total += len(words(text))
            with open(self.folder / f"{name}.txt", "a", encoding="utf-8") as file:
                file.write(f"{text}\t{heard}\n")
        return round(100 * wrong / total, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = HERE.parents[1]
    parser.add_argument("--command", default=str(root / ".build/release/stepaudio"))
    parser.add_argument("--models", default=root / "Models/pocket", type=pathlib.Path)
    parser.add_argument("--temperature", help="of the speech model; without it the command's own")
    parser.add_argument("--precision", help="of the language models; without it the command's own")
    parser.add_argument("--only", nargs="+", help="rows to measure, by name: see `measures` in main()")
    parser.add_argument("--count", type=int, help="sentences of each list; without it all")
    parser.add_argument("--keep", help="folder that keeps the sounds and what was heard")
    options = parser.parse_args()
    folder = options.keep or tempfile.mkdtemp()
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    listener = Listener(options.command, options.models, folder)
    questions = json.loads((options.models / "questions/questions.json").read_text())
    recordings = {entry["text"]: options.models / "questions" / entry["recording"] for entry in questions}

    warmth = ["--speech-temperature", options.temperature] if options.temperature else []
    warmth += ["--precision", options.precision] if options.precision else []

    def say(text, path):
        listener.run("say", text, "-o", str(path), *warmth)

    def copies():
        """Pairs of a recording and its copy, made where there is none yet."""
        pairs = [(recordings[text], listener.folder / f"copy-{index:03d}.wav") for index, text in enumerate(asked)]
        for text, (_, path) in zip(asked, pairs):
            if not path.exists():
                copy(text, path)
        return pairs

    def distance():
        return f"{statistics.mean(sound.mel_distance(*pair) for pair in copies()):.2f} nats"

    def clicks():
        """In all the speech that this run made, and in the recordings."""
        made = [p for p in listener.folder.glob("*.wav") if not p.name.startswith("original")]
        shown = []
        for name, paths in (("made", made), ("recordings", list(recordings.values()))):
            counts = [sound.clicks(path) for path in paths]
            found, seconds = sum(count for count, _ in counts), sum(length for _, length in counts)
            shown += [f"{name}: {found} in {seconds:.0f} s"] if counts else []
        return ", ".join(shown)

    def copy(text, path):
        tokens = listener.run("encode", str(recordings[text]))
        listener.run("decode", "".join(f"<audio_{i}>" for i in tokens["ids"]), "-o", str(path))

    def original(text, path):
        path.write_bytes(recordings[text].read_bytes())

    def right(ask):
        answers = [(ask(entry) or {}).get("text") == entry["answer"] for entry in questions]
        return f"{sum(answers)} of {len(answers)}"

    def sentences(name):
        return (HERE / f"{name}.txt").read_text("utf-8").splitlines()[: options.count]

    def errors_of(name, texts, speak):
        return lambda: f"{listener.rate(name, texts, speak)} %"

    asked = [entry["text"] for entry in questions]
    answers = [entry["answer"] for entry in questions]
    greedy = ["--temperature", "0"]
    measures = {
        "typed": (
            "typed questions answered rightly",
            lambda: right(lambda e: listener.run("chat", e["text"], *greedy)),
        ),
        "recorded": (
            "recorded questions answered rightly",
            lambda: right(lambda e: listener.run("chat", "--audio", str(recordings[e["text"]]), *greedy)),
        ),
        "original": ("word errors: recordings as they are", errors_of("original", asked, original)),
        "copy": ("word errors: encoded and decoded", errors_of("copy", asked, copy)),
        "mel": ("log-mel distance of a recording and its copy", distance),
        "answers": ("word errors: spoken answers", errors_of("answers", answers, say)),
        "vocabulary": (
            "word errors: sentences of the stated vocabulary",
            errors_of("vocabulary", sentences("vocabulary_sentences"), say),
        ),
        "free": ("word errors: free sentences", errors_of("free", sentences("sentences"), say)),
        "clicks": ("clicks (a jump far above its surroundings)", clicks),
    }
    rows = [(title, measure()) for name, (title, measure) in measures.items() if name in (options.only or measures)]
    if listener.factors:
        rows.append(("real-time factor, median", f"{statistics.median(listener.factors):.2f}"))
    print("| measure | value |\n| --- | --- |")
    for name, value in rows:
        print(f"| {name} | {value} |")


main()
