"""/v1/realtime: the openai package and a plain WebSocket client."""

import asyncio
import base64
import json

import numpy
import openai
import pytest
import websockets
from conftest import recording

SILENCE = numpy.zeros(24_000, dtype="<i2")


def encoded(samples):
    return base64.b64encode(samples.tobytes()).decode()


def pieces(samples, size=2400):
    return [samples[at : at + size] for at in range(0, len(samples), size)]


def test_the_openai_package_talks(server, questions):
    async def talk():
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", websocket_base_url=server.socket + "/v1", api_key="none")
        async with client.realtime.connect(model="step-audio-chat") as connection:
            await connection.session.update(
                session={"type": "realtime", "instructions": "", "audio": {"input": {"turn_detection": None}}}
            )
            for piece in pieces(recording(questions[0])):
                await connection.input_audio_buffer.append(audio=encoded(piece))
            await connection.input_audio_buffer.commit()
            await connection.response.create()
            transcript, sound, types = "", b"", []
            async for event in connection:
                types.append(event.type)
                if event.type == "response.output_audio_transcript.delta":
                    transcript += event.delta
                elif event.type == "response.output_audio.delta":
                    sound += base64.b64decode(event.delta)
                elif event.type == "response.done":
                    return event.response, transcript, sound, types
                elif event.type == "error":
                    raise AssertionError(event.error.message)

    response, transcript, sound, types = asyncio.run(asyncio.wait_for(talk(), 60))
    assert response.status == "completed" and transcript == questions[0]["answer"]
    assert response.usage.input_token_details.audio_tokens > 20 and response.usage.output_tokens > 20
    assert 1 < len(sound) / 48_000 < 8
    order = [
        "session.created", "session.updated", "input_audio_buffer.committed", "conversation.item.added", "conversation.item.done",
        "response.created", "response.output_item.added", "response.content_part.added", "response.output_audio.delta",
        "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done", "response.output_item.done",
        "response.done",
    ]  # fmt: skip
    places = [types.index(name) for name in order]
    assert places == sorted(places), types


class Socket:
    """A plain client that keeps what it hears."""

    def __init__(self, connection):
        self.connection, self.seen = connection, []

    async def send(self, kind, **fields):
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def until(self, *kinds):
        while True:
            event = json.loads(await asyncio.wait_for(self.connection.recv(), 60))
            self.seen.append(event)
            if event["type"] in kinds:
                return event

    async def speak(self, samples):
        for piece in pieces(samples):
            await self.send("input_audio_buffer.append", audio=encoded(piece))


def session(server, work, **options):
    async def run():
        async with websockets.connect(server.socket + "/v1/realtime?model=m", max_size=None, **options) as connection:
            socket = Socket(connection)
            assert (await socket.until("session.created"))["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
            return await work(socket)

    return asyncio.run(run())


def test_turns_are_found_and_answered(server, questions):
    """Hands-free: silence, a question, silence; then another, with the first in the history."""

    async def work(socket):
        answers = []
        for question in questions[:2]:
            await socket.speak(numpy.concatenate([SILENCE[:12_000], recording(question), SILENCE]))
            started = await socket.until("input_audio_buffer.speech_started")
            stopped = await socket.until("input_audio_buffer.speech_stopped")
            spoken = (stopped["audio_end_ms"] - started["audio_start_ms"]) / 1000
            assert abs(spoken - len(recording(question)) / 24_000) < 0.8
            committed = await socket.until("input_audio_buffer.committed")
            assert committed["item_id"] == started["item_id"] == stopped["item_id"]
            done = await socket.until("response.done")
            answers.append(done["response"]["output"][0]["content"][0]["transcript"])
            assert done["response"]["timings"]["real_time_factor"] > 0
            await asyncio.sleep(4)  # It plays; speech before its end would be a barge-in.
        return answers

    answers = session(server, work)
    assert answers[0] == questions[0]["answer"]
    assert answers[1] and answers[1] != answers[0]


def test_noise_is_not_speech(server):
    async def work(socket):
        noise = (numpy.random.default_rng(1).normal(0, 2000, 24_000 * 3)).astype("<i2")
        await socket.speak(noise)
        await socket.send("session.update", session={"instructions": "Be brief."})
        await socket.until("session.updated")
        return [event["type"] for event in socket.seen]

    assert "input_audio_buffer.speech_started" not in session(server, work)


def test_speech_breaks_an_answer_off(server, questions):
    """Barge-in: the answer ends where it was heard, and the model remembers only that."""

    async def work(socket):
        await socket.send(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": questions[1]["text"]}]},
        )
        await socket.send("response.create")
        first = await socket.until("response.output_audio.delta")
        await asyncio.sleep(0.3)
        await socket.speak(numpy.concatenate([recording(questions[2]), SILENCE]))
        cut = await socket.until("conversation.item.truncated")
        assert cut["item_id"] == first["item_id"] and cut["audio_end_ms"] < 3000
        await socket.send("conversation.item.retrieve", item_id=first["item_id"])
        kept = (await socket.until("conversation.item.retrieved"))["item"]
        assert kept["status"] == "incomplete" and len(kept["content"][0]["transcript"]) < len(questions[1]["answer"])
        done = await socket.until("response.done")
        while done["response"]["status"] == "cancelled":
            assert done["response"]["status_details"]["reason"] == "turn_detected"
            done = await socket.until("response.done")
        stale = [event for event in socket.seen[socket.seen.index(cut) :] if event.get("item_id") == first["item_id"] and event["type"].endswith("audio.delta")]
        assert not stale, "sound of the broken-off answer was still sent"
        return done["response"]["output"][0]["content"][0]["transcript"]

    assert session(server, work)


def test_a_held_button_may_be_held_too_long(server, questions):
    """Silence in front of the words and behind them does not change what is heard."""

    async def work(socket):
        await socket.send("session.update", session={"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}})
        for question in questions[:3]:
            await socket.speak(numpy.concatenate([SILENCE[:17_000], recording(question), SILENCE, SILENCE]))
            await socket.send("input_audio_buffer.commit")
            await socket.send("response.create")
            done = await socket.until("response.done")
            assert done["response"]["output"][0]["content"][0]["text"] == question["answer"]
        # What holds no speech is a turn all the same.
        await socket.speak(SILENCE)
        await socket.send("input_audio_buffer.commit")
        await socket.until("input_audio_buffer.committed")

    session(server, work)


def test_cancel_truncate_and_delete(server, questions):
    async def work(socket):
        await socket.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}, "output": {"speed": 0.5}}})
        assert (await socket.until("session.updated"))["session"]["audio"]["input"]["turn_detection"] is None
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": questions[1]["text"]}]}
        await socket.send("conversation.item.create", item=item)
        await socket.send("response.create")
        await socket.until("response.output_audio.delta")
        await socket.send("response.create", event_id="twice")
        assert (await socket.until("error", "response.done"))["type"] in ("error", "response.done")
        await socket.send("response.cancel")
        await socket.until("response.done", "error")
        await socket.send("response.create", response={"output_modalities": ["text"]})
        done = await socket.until("response.done")
        while done["response"]["status"] == "cancelled":
            done = await socket.until("response.done")
        answer = done["response"]["output"][0]
        assert answer["content"][0]["type"] == "output_text" and answer["content"][0]["text"]
        await socket.send("conversation.item.delete", item_id=answer["id"])
        assert (await socket.until("conversation.item.deleted"))["item_id"] == answer["id"]

    session(server, work)


def test_errors_are_events(server):
    async def work(socket):
        async def error(kind, **fields):
            await socket.send(kind, event_id="mine", **fields)
            error = (await socket.until("error"))["error"]
            assert error["event_id"] == "mine"
            return error

        assert (await error("nonsense"))["code"] == "unknown_event"
        assert (await error("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
        assert (await error("input_audio_buffer.append", audio="#"))["param"] == "audio"
        assert (await error("response.cancel"))["code"] == "response_cancel_not_active"
        assert (await error("conversation.item.delete", item_id="x"))["code"] == "item_not_found"
        assert "Hibari" in (await error("session.update", session={"audio": {"output": {"voice": "alloy"}}}))["message"]
        transcription = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        assert (await error("session.update", session=transcription))["param"] == "session.audio.input.transcription"
        await socket.connection.send("{")
        assert (await socket.until("error"))["error"]["message"] == "the body is not JSON"

    session(server, work)


def test_foreign_pages_are_refused(server):
    async def connect():
        async with websockets.connect(server.socket + "/v1/realtime", origin="https://example.com"):
            pass

    with pytest.raises(websockets.InvalidStatus) as refused:
        asyncio.run(connect())
    assert refused.value.response.status_code == 403
