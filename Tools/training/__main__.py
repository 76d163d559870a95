"""Trains the pocket bundle: python -m training STAGE [--work FOLDER] [--minutes N] [--out FOLDER].

Stages, in order: corpus, linguistic, semantic, tokens, speaker, vocoder, flow, chat, spoken, speech, export. A stage
that was stopped goes on where it stood; `curves` draws what all of them learnt. `spoken` and `speech` read the
tokenizers of a bundle (--bundle), so that the speech model can be trained anew for one that is there.
"""

import argparse

import torch

from . import chat, corpus, export, flow, speaker, speech, spoken, tokens, vocoder
from .encoders import Trainer
from .paths import Work
from .session import plot

# Minutes of each training on one core; the committed bundle was trained so.
MINUTES = {"linguistic": 10, "semantic": 12, "speaker": 4, "vocoder": 45, "flow": 55, "chat": 40, "speech": 79}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = ["corpus", "linguistic", "semantic", "tokens", "speaker", "vocoder", "flow", "chat", "spoken", "speech"]
    parser.add_argument("stage", choices=stages + ["export", "curves"])
    parser.add_argument("--work", default=".build/training", help="folder of everything that is made")
    parser.add_argument("--minutes", type=float, help="budget of a training, earlier runs included")
    parser.add_argument("--sentences", type=int, default=24000, help="generated sentences of the corpus")
    parser.add_argument("--utterances", type=int, default=12000, help="utterances of the stage `spoken`")
    parser.add_argument("--known", type=int, default=0, help="how many of them the bundle has learnt from: left out")
    parser.add_argument("--bundle", default="Models/pocket", help="whose tokenizers and voice `spoken` and `speech` use")
    parser.add_argument("--layers", type=int, help="`speech` goes on from the model of the bundle, with so many layers")
    parser.add_argument("--hidden", type=int, help="the same, with feed-forwards so wide")
    parser.add_argument("--rate", type=float, default=0.012, help="of the matrices in `speech`")
    parser.add_argument("--batch", type=int, default=1200, help="ids a step in `speech`")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="Models/pocket", help="where export writes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work, minutes = Work(options.work), options.minutes or MINUTES.get(options.stage)
    match options.stage:
        case "corpus":
            corpus.build(work, options.sentences)
        case "linguistic" | "semantic":
            Trainer(work, options.stage, minutes).run()
        case "tokens":
            tokens.build(work)
        case "speaker":
            speaker.train(work, minutes)
        case "vocoder":
            vocoder.train(work, minutes)
        case "flow":
            flow.train(work, minutes)
        case "chat":
            chat.train(work, minutes)
        case "spoken":
            spoken.build(work, options.utterances, options.bundle, options.known)
        case "speech":
            sizes = options.layers, options.hidden
            speech.train(work, minutes, options.bundle, *sizes, options.rate, options.batch)
        case "export":
            export.build(work, options.out)
        case "curves":
            plot(work)


main()
