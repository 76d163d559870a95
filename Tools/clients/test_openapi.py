"""The OpenAPI document is sound, and the running server answers every path as it says."""

import base64

import httpx
import jsonschema
import pytest
from conftest import wav
from openapi_spec_validator import validate


@pytest.fixture(scope="module")
def document(server):
    document = httpx.get(server.url + "/openapi.json").json()
    validate(document)
    return document


def check(document, reply, path, method, status):
    """The status is documented, and the body is what the document says of it."""
    assert reply.status_code == status, reply.text[:500]
    described = document["paths"][path][method]["responses"]
    assert str(status) in described, f"{method} {path}: {status} is not documented"
    response = described[str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].split("/")[-1]]
    kind = reply.headers["content-type"].split(";")[0]
    assert kind in response.get("content", {kind: {}}), f"{method} {path}: {kind} is not documented"
    schema = response.get("content", {}).get(kind, {}).get("schema")
    if schema and kind == "application/json":
        whole = {**schema, "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(reply.json())


def test_every_path_answers_as_documented(server, document, questions):
    audio = {"data": base64.b64encode(wav(questions[0])).decode(), "format": "wav"}
    ids = httpx.post(server.url + "/v1/audio/tokens", json={"input_audio": audio}, timeout=60).json()["ids"]
    voice = {"name": "documented", "transcript": questions[0]["text"]}
    chat = {"model": "m", "messages": [{"role": "user", "content": questions[0]["text"]}]}
    calls = [
        ("/v1/chat/completions", "post", 200, dict(json=chat)),
        ("/v1/chat/completions", "post", 200, dict(json={**chat, "stream": True})),
        ("/v1/chat/completions", "post", 200, dict(json={**chat, "modalities": ["text", "audio"], "audio": {"voice": "default", "format": "wav"}})),
        ("/v1/chat/completions", "post", 400, dict(json={})),
        ("/v1/chat/completions", "post", 400, dict(content=b"{")),
        ("/v1/audio/speech", "post", 200, dict(json={"model": "m", "voice": "default", "input": "Good morning.", "response_format": "wav"})),
        ("/v1/audio/speech", "post", 200, dict(json={"model": "m", "voice": "default", "input": "Good morning.", "response_format": "pcm", "stream_format": "sse"})),
        ("/v1/audio/speech", "post", 400, dict(json={"model": "m", "voice": "nobody", "input": "Good morning."})),
        ("/v1/audio/tokens", "post", 200, dict(json={"input_audio": audio})),
        ("/v1/audio/tokens", "post", 400, dict(json={"input_audio": {"data": "AAAA"}})),
        ("/v1/audio/tokens/decode", "post", 200, dict(json={"ids": ids})),
        ("/v1/audio/tokens/decode", "post", 400, dict(json={"ids": [1, 2, 3, 4, 5, 99_999]})),
        ("/v1/audio/voices", "get", 200, {}),
        ("/v1/audio/voices", "post", 201, dict(data=voice, files={"audio_sample": ("a.wav", wav(questions[0]))})),
        ("/v1/audio/voices", "post", 400, dict(data=voice, files={"audio_sample": ("a.wav", b"RIFF")})),
        ("/v1/audio/voices/{id}", "delete", 200, dict(id="documented")),
        ("/v1/audio/voices/{id}", "delete", 404, dict(id="documented")),
        ("/v1/audio/voices/{id}", "delete", 400, dict(id="Hibari")),
        ("/v1/models", "get", 200, {}),
        ("/v1/models/{id}", "get", 200, dict(id="step-audio-chat")),
        ("/v1/models/{id}", "get", 404, dict(id="none")),
        ("/v1/realtime", "get", 426, {}),
        ("/health", "get", 200, {}),
        ("/metrics", "get", 200, {}),
        ("/openapi.json", "get", 200, {}),
        ("/", "get", 200, {}),
        ("/v1/models", "get", 403, dict(headers={"origin": "https://example.com"})),
    ]
    seen = set()
    for path, method, status, options in calls:
        options = dict(options)
        address = server.url + path.replace("{id}", options.pop("id", ""))
        check(document, httpx.request(method, address, timeout=60, **options), path, method, status)
        seen.add((path, method))
    documented = {(path, method) for path, item in document["paths"].items() for method in item}
    assert seen == documented


def test_unknown_paths_are_json_too(server):
    reply = httpx.get(server.url + "/v2/nothing")
    assert reply.status_code == 404 and reply.json()["error"]["type"] == "invalid_request_error"


def test_metrics_count(server):
    lines = httpx.get(server.url + "/metrics").text.splitlines()
    values = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and not line.startswith("#")}
    assert values["stepaudio_ready"] == 1
    assert values['stepaudio_requests_total{endpoint="/v1/chat/completions",method="POST",status="200"}'] >= 2
    assert values['stepaudio_first_audio_seconds_count{endpoint="/v1/audio/speech"}'] >= 1
    assert values["process_resident_memory_bytes"] > 10_000_000
