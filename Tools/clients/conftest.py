"""A server for the clients: the built command on a free port with the pocket bundle, ended afterwards."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import urllib.request
import wave

import numpy
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "Models/pocket/questions"
COMMAND = os.environ.get("STEPAUDIO_COMMAND", str(ROOT / ".build/release/stepaudio"))


class Server:
    """A running `stepaudio serve`."""

    def __init__(self, *flags, environment=None, wait=True):
        self.voices = tempfile.mkdtemp(prefix="stepaudio-voices-")
        variables = {name: value for name, value in os.environ.items() if not name.startswith("STEPAUDIO_")}
        variables.update({"STEPAUDIO_VOICES": self.voices}, **(environment or {}))
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log", delete=False)
        self.process = subprocess.Popen(
            [COMMAND, "serve", "--port", "0", *flags], cwd=ROOT, env=variables, text=True, stdout=subprocess.PIPE, stderr=self.log
        )
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), f"{line!r}\n{open(self.log.name).read()}"
        self.url = line.split()[-1]
        self.socket = self.url.replace("http", "ws")
        if wait:
            self.wait()

    def wait(self):
        for _ in range(600):
            try:
                with urllib.request.urlopen(self.url + "/health") as reply:
                    if json.load(reply)["status"] == "ok":
                        return
            except urllib.error.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError("the server did not get ready\n" + open(self.log.name).read())

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=40)

    def resident(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.fixture(scope="session")
def server():
    server = Server()
    yield server
    assert server.stop() == 0, open(server.log.name).read()[-2000:]


@pytest.fixture(scope="session")
def questions():
    return json.loads((QUESTIONS / "questions.json").read_text())


def recording(question, rate=24_000):
    """A question's recording as 16-bit samples at a rate (linear interpolation does for a test)."""
    with wave.open(str(QUESTIONS / question["recording"])) as file:
        samples = numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)
        own = file.getframerate()
    times = numpy.arange(int(len(samples) * rate / own)) * own / rate
    return numpy.interp(times, numpy.arange(len(samples)), samples).astype("<i2")


def wav(question):
    return (QUESTIONS / question["recording"]).read_bytes()


def decoded_seconds(data):
    """The length of a sound of any format, as ffmpeg hears it."""
    pcm = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", "pipe:0", "-f", "s16le", "-ac", "1", "-ar", "16000", "-"], input=data, capture_output=True, check=True
    ).stdout
    assert numpy.abs(numpy.frombuffer(pcm, dtype="<i2")).max() > 1000, "it is silent"
    return len(pcm) / 32_000
