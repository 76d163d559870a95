"""Keys, limits, restarts, the end: each with a server of its own."""

import asyncio
import concurrent.futures
import json
import signal
import subprocess
import time

import httpx
import pytest
import websockets
from conftest import COMMAND, ROOT, Server, wav

LONG = "The sky is blue. A week has seven days. The capital of France is Paris. Good morning. " * 8


def speech(server, text="Good morning.", **options):
    order = {"model": "m", "voice": "default", "input": text, "response_format": "pcm"}
    return httpx.post(server.url + "/v1/audio/speech", json=order, timeout=120, **options)


async def open_socket(server, then=None, **options):
    """Opens a realtime session; gives the subprotocol, or what `then` gives."""
    async with websockets.connect(server.socket + "/v1/realtime", **options) as socket:
        await socket.recv()
        return await then(socket) if then else socket.subprotocol


def test_keys_are_asked_for(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# ours\nfirst-key-123\nsecond-key-456\n")
    server = Server("--api-key-file", str(keys), environment={"STEPAUDIO_API_KEY": "third-key-789"})
    try:
        refused = httpx.get(server.url + "/v1/models")
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
        assert refused.headers["www-authenticate"] == "Bearer"
        for key, status in [("first-key-123", 200), ("third-key-789", 200), ("first-key-12", 401), ("first-key-1234", 401)]:
            assert httpx.get(server.url + "/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == status
        assert httpx.get(server.url + "/health").status_code == 200 and httpx.get(server.url + "/").status_code == 200
        assert httpx.get(server.url + "/metrics").status_code == 401
        asyncio.run(open_socket(server, additional_headers={"Authorization": "Bearer first-key-123"}))
        browser = ["realtime", "openai-insecure-api-key.second-key-456"]
        assert asyncio.run(open_socket(server, subprotocols=browser)) == "realtime"
        with pytest.raises(websockets.InvalidStatus) as wrong:
            asyncio.run(open_socket(server, subprotocols=["realtime", "openai-insecure-api-key.nobody-456"]))
        assert wrong.value.response.status_code == 401
    finally:
        server.stop()


def test_answers_are_kept_for_one_key(tmp_path):
    server = Server("--answer-cache", "64", environment={"STEPAUDIO_API_KEY": "first-key-123,second-key-456"})
    first, second = ({"authorization": f"Bearer {key}"} for key in ("first-key-123", "second-key-456"))
    question = {"model": "m", "messages": [{"role": "user", "content": "What color is the sky?"}], "stream": True}

    def figure(name):
        lines = httpx.get(server.url + "/metrics", headers=first).text.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(name + " "))

    def ask(headers):
        reply = httpx.post(server.url + "/v1/chat/completions", json=question, headers=headers, timeout=120)
        lines = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
        return [line["choices"][0]["delta"].get("content") for line in lines if line["choices"]]

    try:
        assert figure("stepaudio_answer_cache_limit_bytes") == 64e6
        sound = speech(server, headers=first).content
        assert len(sound) > 24_000 and figure("stepaudio_answer_cache_hits_total") == 0
        assert speech(server, headers=first).content == sound
        assert figure("stepaudio_answer_cache_hits_total") == 1
        # Another key, another text: each is made.
        assert speech(server, headers=second).content == sound
        speech(server, "Good night.", headers=first)
        assert figure("stepaudio_answer_cache_hits_total") == 1
        assert ask(first) == ask(first) == ask(second)
        assert figure("stepaudio_answer_cache_hits_total") == 2
        assert figure("stepaudio_answer_cache_bytes") > 4 * len(sound) / 2
    finally:
        server.stop()


def test_other_addresses_need_a_key():
    run = subprocess.run([COMMAND, "serve", "--host", "0.0.0.0", "--port", "0"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert run.returncode == 64 and "--allow-unauthenticated" in run.stderr


def test_too_much_is_refused(questions):
    server = Server("--parallel", "1", "--queue", "2", "--max-body", "200000", "--max-text", "800", "--max-audio", "2")
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: speech(server, LONG[:150]), range(8)))
        statuses = [reply.status_code for reply in replies]
        assert set(statuses) == {200, 429} and statuses.count(200) >= 3, statuses
        for reply in replies:
            if reply.status_code == 429:
                assert int(reply.headers["retry-after"]) >= 1 and reply.json()["error"]["code"] == "rate_limit_exceeded"
        long = {"model": "m", "voice": "default", "input": "a" * 900}
        assert httpx.post(server.url + "/v1/audio/speech", json=long).json()["error"]["code"] == "text_too_long"
        large = httpx.post(server.url + "/v1/audio/tokens", json={"input_audio": {"data": "A" * 300_000}})
        assert large.status_code == 413 and large.json()["error"]["code"] == "body_too_large"
        chunked = httpx.post(server.url + "/v1/audio/tokens", content=(b"x" * 10_000 for _ in range(30)))
        assert chunked.status_code == 413
    finally:
        server.stop()


def test_a_client_that_leaves_stops_its_work():
    server = Server("--parallel", "1")
    try:
        speech(server)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                server.url + "/v1/audio/tokens/decode", timeout=0.5,
                json={"ids": [0, 1, 1024, 1025, 1026] * 900, "response_format": "wav"},
            )  # fmt: skip
        with pytest.raises(httpx.ReadTimeout):
            order = {"model": "m", "voice": "default", "input": LONG, "response_format": "flac"}
            httpx.post(server.url + "/v1/audio/speech", json=order, timeout=0.5)
        for _ in range(100):
            if httpx.get(server.url + "/health").json()["running"] == 0:
                break
            time.sleep(0.1)
        else:
            raise AssertionError("the work went on")
        assert "stepaudio_cancelled_total 2" in httpx.get(server.url + "/metrics").text
    finally:
        server.stop()


def test_voices_survive_a_restart(questions):
    server = Server()
    form = {"name": "anna", "transcript": questions[0]["text"]}
    for data, reason in [(wav(questions[0])[:8000], "accepted: 1 to 30 s"), (b"RIFF" + b"\0" * 60, "")]:
        refused = httpx.post(server.url + "/v1/audio/voices", data=form, files={"audio_sample": data})
        assert refused.status_code == 400 and reason in refused.json()["error"]["message"]
    added = httpx.post(server.url + "/v1/audio/voices", data=form, files={"audio_sample": wav(questions[0])})
    assert added.status_code == 201 and added.json()["origin"] == "user"
    server.stop()
    again = Server(environment={"STEPAUDIO_VOICES": server.voices})
    try:
        voices = httpx.get(again.url + "/v1/audio/voices").json()["data"]
        assert [voice["id"] for voice in voices] == ["Hibari", "anna"] and voices[0]["is_default"]
        order = {"model": "m", "voice": "anna", "input": "Good morning.", "response_format": "pcm"}
        assert len(httpx.post(again.url + "/v1/audio/speech", json=order, timeout=60).content) > 24_000
    finally:
        again.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_may_finish_at_the_end(number):
    server = Server()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        reply = pool.submit(speech, server, "Good morning. The sky is blue. A week has seven days.")
        time.sleep(0.3)
        assert server.stop(number) == 0
        assert reply.result().status_code == 200 and len(reply.result().content) > 100_000


def test_realtime_sessions_are_told_of_the_end():
    server = Server()

    async def wait(socket):
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 20)
        return socket.close_code

    assert asyncio.run(open_socket(server, wait)) == 1001
    assert server.process.wait(timeout=40) == 0  # a second signal would end it at once


def test_other_protocols_are_passed_over():
    """Java's client offers h2c with every request, with bodies too."""
    server = Server()
    try:
        headers = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAARAAAAAAAIAAAAA"}
        assert httpx.get(server.url + "/v1/models", headers=headers).status_code == 200
        assert speech(server, headers=headers).status_code == 200
    finally:
        server.stop()


def test_the_log_is_structured_and_silent_about_content():
    server = Server("--log-format", "json")
    speech(server, "Nobody may read this.")
    server.stop()
    lines = [json.loads(line) for line in open(server.log.name)]
    request = next(line for line in lines if line.get("endpoint") == "/v1/audio/speech")
    assert request["status"] == "200" and int(request["bytes"]) > 10_000 and request["outcome"] == "done"
    assert "Nobody" not in open(server.log.name).read()
