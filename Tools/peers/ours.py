"""StepAudio's own figures, from `stepaudio bench --json`."""

import json
import subprocess


def bench(program, stage, precision, threads, *, layers=None, batch=1, context=128, seconds=5.0, runs=3):
    """The machine and the one result of a measurement."""
    command = [
        program, "bench", "--json", "--quiet", "--shape", "tts-3b", "--stage", stage, "--precision", precision,
        "--threads", str(threads), "--batch", str(batch), "--context", str(context), "--seconds", str(seconds),
        "--runs", str(runs),
    ]
    if layers:
        command += ["--layers", str(layers)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["machine"], report["results"][0]
