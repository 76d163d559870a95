"""Runs the measurements in turns, one engine after the other in every round, and writes the table and the picture."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from . import engine_ggml, ours, report

LANGUAGE, SPEECH = ("decode", "prefill"), ("flow", "vocoder", "linguistic", "semantic", "speaker")
PROMPT, TOKENS = 512, 8


def python(module, **options):
    """The seconds that a module of this package prints, measured in a process of its own."""
    flags = [part for name, value in options.items() for part in ("--" + name, str(value))]
    command = [sys.executable, "-m", "peers." + module, *flags]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def language(stage, precision, batch, layers, options):
    """Engines by name: functions that give (seconds of each run, facts of our own bench)."""
    prompt = PROMPT if stage == "prefill" else 0
    context = PROMPT if stage == "prefill" else options.context

    def own():
        machine, result = ours.bench(
            options.stepaudio, stage, precision, options.threads, layers=layers, batch=batch, context=context,
            runs=options.runs)
        return [result["seconds"]], {"machine": machine, "bench": result}
    engines = {"stepaudio": own}
    if "ggml" in options.engines:
        def peer():
            program = engine_ggml.build(options.work)
            return engine_ggml.seconds(
                program, precision, layers, options.threads, rows=prompt or 1, batch=batch,
                context=0 if prompt else context, runs=options.runs if prompt else TOKENS), {}
        engines["ggml " + engine_ggml.NAMES[precision]] = peer
    if "torch" in options.engines and precision == "bf16" and batch == 1:
        for kind in ("fp32", "bf16"):
            engines["PyTorch " + kind] = lambda kind=kind: (python(
                "network", layers=layers, precision=kind, prompt=prompt, tokens=0 if prompt else TOKENS,
                context=0 if prompt else context, runs=options.runs, threads=options.threads), {})
    return engines


def speech(stage, options):
    shared = {"stage": stage, "seconds": options.seconds, "runs": options.runs, "threads": options.threads}
    engines = {}
    if stage in ("flow", "vocoder"):
        def own():
            machine, result = ours.bench(
                options.stepaudio, stage, "bf16", options.threads, seconds=options.seconds, runs=2 * options.runs)
            return [result["seconds"]], {"machine": machine, "bench": result}
        engines["stepaudio"] = own
    if "torch" in options.engines:
        for kind in ("fp32", "bf16"):
            engines["PyTorch " + kind] = lambda kind=kind: (python("speech", precision=kind, **shared), {})
    if "onnxruntime" in options.engines and stage in ("semantic", "speaker"):
        engines["ONNX Runtime fp32"] = lambda: (python("speech", engine="onnxruntime", **shared), {})
    return engines


def measure(key, engines, rounds, path):
    """Adds one row to the file of results: the seconds of every engine, in turns."""
    row = dict(key, engines={name: [] for name in engines}, facts={})
    for number in range(rounds):
        for name, work in engines.items():
            try:
                seconds, facts = work()
            except subprocess.CalledProcessError as error:
                sys.exit(f"{name} failed: {error}\n{(error.stderr or '')[-2000:]}")
            row["engines"][name] += seconds
            row["facts"] |= facts
            print(f"{key} round {number + 1}, {name}: {min(seconds):.4f} s", file=sys.stderr, flush=True)
    rows = json.loads(path.read_text()) if path.exists() else []
    rows = [other for other in rows if any(other.get(name) != value for name, value in key.items())]
    path.write_text(json.dumps(rows + [row], indent=1) + "\n")


def parse():
    parser = argparse.ArgumentParser(prog="Tools/peers/run", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--stepaudio", default="../.build/release/stepaudio", help="our program")
    parser.add_argument("--stages", nargs="*", choices=LANGUAGE + SPEECH, default=LANGUAGE + SPEECH)
    parser.add_argument("--precision", nargs="*", choices=engine_ggml.TYPES,
                        default=list(engine_ggml.TYPES))
    parser.add_argument("--batch", nargs="*", type=int, default=[1, 8], help="sequences that decode at once")
    parser.add_argument("--engines", nargs="*", choices=["ggml", "torch", "onnxruntime"],
                        default=["ggml", "torch", "onnxruntime"])
    parser.add_argument("--layers", type=int, default=8, help="layers of the language model; the published one has 32")
    parser.add_argument("--context", type=int, default=128, help="tokens before the ones that are decoded")
    parser.add_argument("--seconds", type=float, default=5, help="of speech")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="turns; every engine runs once a round")
    parser.add_argument("--runs", type=int, default=2, help="runs of a turn")
    parser.add_argument("--prepare", action="store_true", help="only build ggml")
    parser.add_argument("--report", action="store_true", help="only write the table and the picture")
    return parser.parse_args()


def main():
    options = parse()
    path = options.work / "results.json"
    if options.prepare:
        engine_ggml.build(options.work)
        return
    if not options.report:
        for stage in options.stages:
            if stage in SPEECH:
                key = {"stage": stage, "seconds": options.seconds, "threads": options.threads}
                measure(key, speech(stage, options), options.rounds, path)
                continue
            for precision in options.precision:
                for batch in options.batch if stage == "decode" else [1]:
                    key = {"stage": stage, "precision": precision, "batch": batch, "layers": options.layers,
                           "context": PROMPT if stage == "prefill" else options.context, "threads": options.threads}
                    measure(key, language(stage, precision, batch, options.layers, options), options.rounds, path)
    rows = json.loads(path.read_text())
    print(report.table(rows))
    (options.work / "table.md").write_text(report.table(rows))
    (options.work / "roofline.svg").write_text(report.roofline(rows))


if __name__ == "__main__":
    main()
