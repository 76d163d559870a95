"""The official openai package: chat, speech, streaming, voices, errors."""

import base64
import io
import json
import wave

import numpy
import openai
import pytest
from conftest import decoded_seconds, wav


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


SENTENCE = "The capital of France is Paris."


def typed(question):
    return [{"role": "user", "content": question["text"]}]


def heard(question):
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(wav(question)).decode(), "format": "wav"}}
    return [{"role": "user", "content": [part]}]


def test_models(client):
    assert "step-audio-chat" in [model.id for model in client.models.list()]
    assert client.models.retrieve("step-audio-tts").owned_by == "stepaudio"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("gpt-0")
    assert refused.value.code == "model_not_found"


def test_typed_questions_are_answered(client, questions):
    for question in questions[:4]:
        reply = client.chat.completions.create(model="step-audio-chat", messages=typed(question), temperature=0)
        assert reply.choices[0].message.content == question["answer"]
        assert reply.choices[0].finish_reason == "stop"
        assert reply.usage.prompt_tokens > 5 and reply.usage.completion_tokens > 3
        assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_recording_is_answered_by_speech(client, questions):
    question = questions[0]
    reply = client.chat.completions.create(
        model="step-audio-chat", messages=heard(question), temperature=0, modalities=["text", "audio"], audio={"voice": "default", "format": "wav"}
    )
    audio = reply.choices[0].message.audio
    assert reply.choices[0].message.content is None and audio.transcript == question["answer"]
    with wave.open(io.BytesIO(base64.b64decode(audio.data))) as file:
        assert 1 < file.getnframes() / file.getframerate() < 8
    assert reply.usage.prompt_tokens_details.audio_tokens > 20
    assert reply.usage.completion_tokens_details.audio_tokens > 20
    # The answer comes back by its id; the same words as text give the same prompt.
    history = heard(question) + [{"role": "assistant", "audio": {"id": audio.id}}] + typed(questions[1])
    spelled = heard(question) + [{"role": "assistant", "content": audio.transcript}] + typed(questions[1])
    replies = [client.chat.completions.create(model="m", messages=turns, temperature=0) for turns in (history, spelled)]
    assert replies[0].choices[0].message.content == replies[1].choices[0].message.content
    assert replies[0].usage.prompt_tokens == replies[1].usage.prompt_tokens


def test_text_streams(client, questions):
    stream = client.chat.completions.create(
        model="m", messages=typed(questions[0]), temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == questions[0]["answer"] and len(chunks) > 4
    assert chunks[-1].usage.completion_tokens > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_speech_streams_with_its_words(client, questions):
    stream = client.chat.completions.create(
        model="m", messages=heard(questions[0]), temperature=0, stream=True, modalities=["text", "audio"], audio={"voice": "default", "format": "pcm16"}
    )
    transcript, sound, ids = "", b"", set()
    for chunk in stream:
        audio = getattr(chunk.choices[0].delta, "audio", None) if chunk.choices else None
        if audio:
            ids.add(audio.id)
            transcript += audio.transcript or ""
            sound += base64.b64decode(audio.data or "")
    assert transcript == questions[0]["answer"] and len(ids) == 1
    samples = numpy.frombuffer(sound, dtype="<i2")
    assert 1 < len(samples) / 24_000 < 8 and numpy.abs(samples).max() > 1000


def test_limits_of_an_answer(client, questions):
    cut = client.chat.completions.create(model="m", messages=typed(questions[0]), temperature=0, stop=["Paris"])
    assert cut.choices[0].message.content == "The capital of France is " and cut.choices[0].finish_reason == "stop"
    short = client.chat.completions.create(model="m", messages=typed(questions[0]), temperature=0, max_completion_tokens=2)
    assert short.choices[0].finish_reason == "length" and short.usage.completion_tokens == 2
    spoken = client.chat.completions.create(
        model="m", messages=typed(questions[0]), temperature=0, stop="France", modalities=["text", "audio"], audio={"voice": "default", "format": "wav"}
    )
    assert spoken.choices[0].message.audio.transcript == "The capital of "


def test_the_same_seed_gives_the_same_answer(client, questions):
    replies = [
        client.chat.completions.create(model="m", messages=typed(questions[5]), seed=seed, temperature=1.2).choices[0].message.content
        for seed in (7, 7)
    ]
    assert replies[0] == replies[1]


@pytest.mark.parametrize("form", ["wav", "mp3", "opus", "aac", "flac"])
def test_speech_in_every_format(client, form):
    reply = client.audio.speech.create(model="step-audio-tts", voice="default", input=SENTENCE, response_format=form)
    assert 1 < decoded_seconds(reply.content) < 8


def test_pcm_is_24_khz_and_speed_changes_its_length(client):
    def seconds(**options):
        return len(client.audio.speech.create(model="m", voice={"id": "default"}, input=SENTENCE, response_format="pcm", **options).content) / 48_000

    usual = seconds()
    assert 1 < usual < 8
    assert seconds(speed=2.0) == pytest.approx(usual / 2, rel=0.1)
    native = client.audio.speech.create(model="m", voice="default", input=SENTENCE, response_format="pcm", extra_body={"sample_rate": "native"})
    assert "rate=" in native.response.headers["content-type"]


def test_speech_comes_in_chunks(client):
    text = " ".join([SENTENCE, "Good morning.", "A week has seven days.", "The sky is blue."])
    with client.audio.speech.with_streaming_response.create(model="m", voice="default", input=text, response_format="pcm") as reply:
        pieces = [len(piece) for piece in reply.iter_bytes(4096)]
    assert sum(pieces) / 48_000 > 2.5 and len(pieces) > 4


def test_speech_as_events(client):
    with client.audio.speech.with_streaming_response.create(
        model="m", voice="default", input=SENTENCE, response_format="pcm", stream_format="sse"
    ) as reply:
        lines = [line for line in reply.iter_lines() if line.startswith("data: ")]
    events = [json.loads(line[6:]) for line in lines]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done" and events[-1]["usage"]["output_tokens"] > 20
    assert events[-1]["timings"]["first_audio"] <= events[-1]["timings"]["total"]
    assert sum(len(base64.b64decode(event["audio"])) for event in events[:-1]) / 48_000 > 1


def test_errors_name_the_field(client, questions):
    def refused(call, **options):
        with pytest.raises(openai.BadRequestError) as error:
            call(**options)
        return error.value.param, str(error.value)

    speech = dict(call=client.audio.speech.create, model="m", voice="default", input="Hello.")
    param, message = refused(**{**speech, "voice": "alloy"})
    assert param == "voice" and "Hibari" in message
    assert refused(**{**speech, "input": " "})[0] == "input"
    assert refused(**{**speech, "input": "a" * 5000})[0] == "input"
    assert refused(**{**speech, "speed": 9.0})[0] == "speed"
    assert refused(**{**speech, "response_format": "ogg"})[0] == "response_format"
    assert refused(**{**speech, "extra_body": {"emotion": "sleepy"}})[0] == "emotion"
    chat = dict(call=client.chat.completions.create, model="m", messages=typed(questions[0]))
    assert refused(**{**chat, "messages": []})[0] == "messages"
    assert refused(**{**chat, "n": 2})[0] == "n"
    assert refused(**{**chat, "temperature": 3.0})[0] == "temperature"
    assert refused(**{**chat, "modalities": ["text", "audio"]})[0] == "audio"
    broken = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]
    assert refused(**{**chat, "messages": broken})[0] == "messages.0.content.0.input_audio"
