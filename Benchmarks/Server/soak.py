#!/usr/bin/env python3
"""Mixed traffic against a server of its own on loopback: speech, chat, realtime, cancels, slow readers, dropped connections.

    Benchmarks/Server/soak.py [--minutes 1] [--clients 200] [--command .build/release/stepaudio]

Prints what was finished, refused and broken off, the times, and the memory. Fails when an answer was incomplete, a refusal was neither 429 nor 503, the server
died, or its memory still grew. Needs the environment of scripts/test-clients (.build/clients/bin/python).
"""

import argparse
import asyncio
import base64
import collections
import json
import os
import pathlib
import random
import signal
import statistics
import sys
import tempfile
import time

import httpx
import websockets

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUESTIONS = json.loads((ROOT / "Models/pocket/questions/questions.json").read_text())
SENTENCES = [question["answer"] for question in QUESTIONS]


class Soak:
    def __init__(self, url, end):
        self.url, self.end = url, end
        self.counts = collections.Counter()
        self.faults = []
        self.first_bytes, self.whole = [], []
        self.client = httpx.AsyncClient(timeout=240, limits=httpx.Limits(max_connections=None, max_keepalive_connections=50))

    def fault(self, text):
        self.faults.append(text)
        self.counts["fault"] += 1

    def refused(self, reply):
        """Whether it was refused as it should be."""
        if reply.status_code in (429, 503) and "retry-after" in reply.headers:
            self.counts[f"refused {reply.status_code}"] += 1
            return True
        if reply.status_code != 200:
            self.fault(f"status {reply.status_code}")
            return True
        return False

    def order(self):
        return {"model": "m", "voice": "default", "input": random.choice(SENTENCES), "response_format": "pcm", "seed": random.randrange(4)}

    async def speech(self):
        start = time.monotonic()
        async with self.client.stream("POST", self.url + "/v1/audio/speech", json=self.order()) as reply:
            if self.refused(reply):
                return await asyncio.sleep(random.uniform(1, 4))
            size = 0
            async for piece in reply.aiter_bytes():
                if size == 0:
                    self.first_bytes.append(time.monotonic() - start)
                size += len(piece)
        self.whole.append(time.monotonic() - start)
        if size < 24_000:
            self.fault(f"speech of {size} bytes")
        self.counts["speech"] += 1

    async def slow_reader(self):
        async with self.client.stream("POST", self.url + "/v1/audio/speech", json=self.order()) as reply:
            if self.refused(reply):
                return await asyncio.sleep(random.uniform(1, 4))
            size = 0
            async for piece in reply.aiter_bytes(8192):
                size += len(piece)
                await asyncio.sleep(0.2)
        if size < 24_000:
            self.fault(f"slowly read speech of {size} bytes")
        self.counts["slow reader"] += 1

    async def chat(self):
        question = random.choice(QUESTIONS)
        sound = base64.b64encode((ROOT / "Models/pocket/questions" / question["recording"]).read_bytes()).decode()
        content = question["text"] if random.random() < 0.5 else [{"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}]
        order = {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": content}], "stream": True}
        async with self.client.stream("POST", self.url + "/v1/chat/completions", json=order) as reply:
            if self.refused(reply):
                return await asyncio.sleep(random.uniform(1, 4))
            lines = [line[6:] async for line in reply.aiter_lines() if line.startswith("data: ")]
        if not lines or lines[-1] != "[DONE]":
            return self.fault(f"chat ended with {lines[-1:]}")
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in map(json.loads, lines[:-1]) if chunk["choices"])
        if text != question["answer"]:
            self.fault(f"chat answered {text!r} for {question['answer']!r}")
        self.counts["chat"] += 1

    async def cancel(self):
        """The client leaves in the middle."""
        try:
            async with self.client.stream("POST", self.url + "/v1/audio/speech", json=self.order()) as reply:
                if self.refused(reply):
                    return await asyncio.sleep(random.uniform(1, 4))
                async for _ in reply.aiter_bytes():
                    break
        except httpx.HTTPError:
            pass
        self.counts["cancelled"] += 1

    async def drop(self):
        """A connection that ends in the middle of its request, or before its answer."""
        host, port = self.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(self.order()).encode()
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write(head + body[: random.choice([0, len(body) // 2, len(body)])])
        await writer.drain()
        await asyncio.sleep(random.uniform(0, 0.5))
        writer.transport.abort()
        self.counts["dropped"] += 1

    async def realtime(self):
        question = random.choice(QUESTIONS)
        try:
            async with websockets.connect(self.url.replace("http", "ws") + "/v1/realtime", max_size=None, open_timeout=60) as socket:
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": question["text"]}]}
                await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
                await socket.send(json.dumps({"type": "response.create"}))
                size = 0
                while True:
                    event = json.loads(await asyncio.wait_for(socket.recv(), 240))
                    if event["type"] == "response.output_audio.delta":
                        size += len(event["delta"]) * 3 // 4
                    if event["type"] == "response.done":
                        break
                response = event["response"]
                if response["status"] == "failed":
                    if response["status_details"]["error"]["code"] not in ("rate_limit_exceeded", "timeout"):
                        self.fault(f"realtime: {response['status_details']}")
                    self.counts["refused realtime"] += 1
                elif size < 24_000:
                    self.fault(f"realtime speech of {size} bytes")
                else:
                    self.counts["realtime"] += 1
        except websockets.InvalidStatus as refused:
            if refused.response.status_code != 503:
                self.fault(f"realtime status {refused.response.status_code}")
            self.counts["refused realtime"] += 1
            await asyncio.sleep(random.uniform(1, 4))

    async def client_loop(self):
        work = [self.speech] * 6 + [self.chat] * 5 + [self.realtime] * 3 + [self.cancel] * 3 + [self.drop] * 2 + [self.slow_reader]
        await asyncio.sleep(random.uniform(0, 3))
        while time.monotonic() < self.end:
            job = random.choice(work)
            try:
                await job()
            except (OSError, httpx.HTTPError, websockets.WebSocketException, asyncio.TimeoutError) as error:
                self.fault(f"{job.__name__}: {type(error).__name__} {error}")
            await asyncio.sleep(random.uniform(0, 1))


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


async def watch(pid, end, samples):
    while time.monotonic() < end:
        samples.append(resident(pid))
        await asyncio.sleep(1)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--command", default=str(ROOT / ".build/release/stepaudio"))
    options = parser.parse_args()
    random.seed(1)
    variables = {**os.environ, "STEPAUDIO_VOICES": tempfile.mkdtemp()}
    log = tempfile.NamedTemporaryFile("w", suffix=".log", delete=False)
    server = await asyncio.create_subprocess_exec(
        options.command, "serve", "--port", "0", stdout=asyncio.subprocess.PIPE, stderr=log, cwd=ROOT, env=variables
    )
    url = (await server.stdout.readline()).decode().split()[-1]
    async with httpx.AsyncClient() as client:
        while (await client.get(url + "/health")).status_code != 200:
            await asyncio.sleep(0.1)
    await asyncio.sleep(2)
    idle = resident(server.pid)
    seconds = options.minutes * 60
    end = time.monotonic() + seconds
    soak, samples = Soak(url, end), []
    await asyncio.gather(watch(server.pid, end, samples), *(soak.client_loop() for _ in range(options.clients)))
    await soak.client.aclose()
    for _ in range(60):
        async with httpx.AsyncClient() as client:
            load = (await client.get(url + "/health")).json()
        if load["running"] == load["waiting"] == 0:
            break
        await asyncio.sleep(1)
    half = samples[len(samples) // 2 :]
    third = max(1, len(half) // 3)
    growth = statistics.mean(half[-third:]) / statistics.mean(half[:third]) - 1
    alive = server.returncode is None
    if alive:
        server.send_signal(signal.SIGTERM)
    status = await server.wait()

    def quantiles(values):
        values = sorted(values) or [0]
        return " ".join(f"{name} {values[min(len(values) - 1, int(len(values) * share))]:.2f} s" for name, share in [("median", 0.5), ("p95", 0.95)])

    print(f"{options.clients} clients, {seconds:.0f} s")
    for name, count in sorted(soak.counts.items()):
        print(f"  {name:20} {count}")
    print(f"  first sound          {quantiles(soak.first_bytes)}")
    print(f"  whole speech         {quantiles(soak.whole)}")
    print(f"  resident             idle {idle:.0f} MB, mean {statistics.mean(half):.0f} MB, peak {max(samples):.0f} MB, growth in the second half {growth:+.1%}")
    print(f"  left at the end      {load['running']} running, {load['waiting']} waiting; exit status {status}")
    for fault in soak.faults[:10]:
        print("  fault:", fault)
    sys.exit(bool(soak.faults) or not alive or status != 0 or load["running"] + load["waiting"] > 0 or growth > 0.05)


if __name__ == "__main__":
    asyncio.run(main())
