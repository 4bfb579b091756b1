"""The publisher as a process, against a real nats-server."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import nats
import pytest
from nats.js.api import RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError
from prometheus_client.parser import text_string_to_metric_families

from tests.support import ROOT, NatsServer, free_port, http_get, stop_process, wait_until
from wsgo.publisher.ledger import WINDOW
from wsgo.publisher.payloads import EVENTS
from wsgo.publisher.settings import documentation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from nats.js import JetStreamContext

STREAM = "ODIN_TOKENS"
T = TypeVar("T")


@dataclass
class Running:
    """A publisher process; its log goes to a file."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str) -> tuple[int, Any]:
        status, body = http_get(self.port, path)
        return status, json.loads(body) if body else None

    def stats(self) -> Any:
        return self.get("/stats")[1]

    def healthy(self) -> bool:
        return self.get("/health")[0] == 200

    def published(self) -> int:
        return int(self.stats()["stats"]["messagesPublished"])

    def post(
        self,
        body: str | dict[str, Any],
        path: str = "/control",
        method: str = "POST",
        content_type: str = "application/json",
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            text = body if isinstance(body, str) else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": content_type})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def end(self, sig: int = signal.SIGTERM) -> int:
        return stop_process(self.process, sig)


def launch(url: str, log: Path, **env: str) -> Running:
    ours = {name for name, _, _ in documentation()}
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"HOST": "127.0.0.1", "PORT": str(port), "NATS_URL": url} | env
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "wsgo.publisher"], env=environment, cwd=ROOT, stdout=out, stderr=out
        )
    running = Running(process, port, log)
    try:
        wait_until(lambda: running.get("/stats")[0] == 200, 20, "the publisher's HTTP API")
    except BaseException:
        running.end()
        raise
    return running


@pytest.fixture
def start(nats_server: NatsServer, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """A function that starts a publisher; keyword arguments are environment variables."""
    started: list[Running] = []

    def start_one(url: str = nats_server.url, **env: str) -> Running:
        started.append(launch(url, tmp_path / f"publisher-{len(started)}.log", **env))
        return started[-1]

    yield start_one
    for running in started:
        running.end()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stopped publisher whose NATS is not there."""
    url = f"nats://127.0.0.1:{free_port()}"
    running = launch(url, tmp_path_factory.mktemp("alone") / "publisher.log", AUTOSTART="false")
    yield running
    running.end()


def jetstream(server: NatsServer, work: Callable[[JetStreamContext], Awaitable[T]]) -> T:
    """Do something with the server's JetStream."""

    async def connected() -> T:
        client = await nats.connect(server.url)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(asyncio.wait_for(connected(), 30))


def stream(server: NatsServer) -> StreamInfo:
    return jetstream(server, lambda js: js.stream_info(STREAM))


def messages(server: NatsServer) -> list[tuple[str, dict[str, Any]]]:
    """Everything the stream holds: (subject, payload)."""

    async def read(js: JetStreamContext) -> list[tuple[str, dict[str, Any]]]:
        count = (await js.stream_info(STREAM)).state.messages
        subscription = await js.subscribe("odin.token.>", ordered_consumer=True)
        found = [await subscription.next_msg(timeout=5) for _ in range(count)]
        return [(message.subject, json.loads(message.data)) for message in found]

    return jetstream(server, read)


def stop_publishing(running: Running) -> Any:
    """Stop, wait for the last acknowledgement, and give /stats."""
    assert running.post({"action": "stop"})[0] == 200
    wait_until(lambda: running.stats()["stats"]["acksPending"] == 0, 10, "the last acknowledgement")
    return running.stats()


def test_the_market_reaches_the_stream(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    publisher = start(RATE="1000", TOKENS="BTC,USDT,NEW", JS_STREAM_MAX_AGE="5m", SEED="1")
    wait_until(lambda: publisher.published() >= 2000, 20, "2000 messages")
    assert publisher.healthy()
    stats = stop_publishing(publisher)

    info = stream(nats_server)
    assert info.config.subjects == ["odin.token.>"]
    assert (info.config.retention, info.config.discard) == ("limits", "old")
    assert (info.config.storage, info.config.max_age) == ("file", 300)
    assert (info.config.max_msgs, info.config.max_bytes) == (100_000, 52_428_800)

    found = messages(nats_server)
    assert len(found) == info.state.messages == info.state.last_seq
    assert stats["stats"]["messagesPublished"] == stats["stats"]["messagesSent"] == len(found)
    assert stats["stats"]["errors"] == 0

    by_event = Counter(subject.rpartition(".")[2] for subject, _ in found)
    assert by_event == stats["stats"]["sentByEvent"]
    assert set(by_event) == set(EVENTS)
    for name, event in EVENTS.items():
        assert abs(by_event[name] - len(found) * event.weight / 100) <= event.weight
    assert {subject.split(".")[2] for subject, _ in found} == {"BTC", "USDT", "NEW"}
    assert len({data["nonce"] for _, data in found}) == len(found)
    for token in ("BTC", "NEW"):
        prices = [data["price"] for subject, data in found if subject == f"odin.token.{token}.trade"]
        assert min(prices) > 0
        assert len(set(prices)) > 50


def test_the_asked_rate_is_reached(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    publisher = start(RATE="1000")
    wait_until(lambda: publisher.published() > 0, 20, "the first message")

    async def window(js: JetStreamContext) -> float:
        began, first = time.monotonic(), (await js.stream_info(STREAM)).state.last_seq
        await asyncio.sleep(4)
        last = (await js.stream_info(STREAM)).state.last_seq
        return (last - first) / (time.monotonic() - began)

    assert jetstream(nats_server, window) == pytest.approx(1000, rel=0.1)
    rate = publisher.stats()["rate"]
    assert rate["asked"] == 1000
    assert rate["reached"] == pytest.approx(1000, rel=0.1)


def test_a_stream_that_differs_is_changed(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    old = StreamConfig(name=STREAM, subjects=["odin.token.BTC.*"], max_msgs=7, retention=RetentionPolicy.INTEREST)
    jetstream(nats_server, lambda js: js.add_stream(old))
    publisher = start()
    wait_until(publisher.healthy, 20, "health")
    config = stream(nats_server).config
    assert (config.subjects, config.max_msgs, config.max_age) == (["odin.token.>"], 100_000, 30)
    assert config.retention == "limits"
    (update,) = [event for event in publisher.events() if event["event"] == "stream_updated"]
    assert update["changes"]["max_msgs"] == {"was": 7, "now": 100_000}
    assert publisher.stats()["stream"]["differs"] is None


def test_what_cannot_be_changed_is_said_and_publishing_goes_on(
    nats_server: NatsServer, start: Callable[..., Running]
) -> None:
    old = StreamConfig(name=STREAM, subjects=["odin.token.>"], max_msgs=7, storage=StorageType.MEMORY)
    jetstream(nats_server, lambda js: js.add_stream(old))
    publisher = start(RATE="100")
    wait_until(lambda: publisher.published() > 300, 20, "messages")
    status, health = publisher.get("/health")
    assert status == 200
    assert "storage memory instead of file" in health["stream"]["differs"]
    assert f"nats stream rm {STREAM}" in health["stream"]["differs"]
    assert stream(nats_server).config.max_msgs == 100_000
    # It is tried once, not every time the stream is looked at.
    assert [event["event"] for event in publisher.events()].count("stream_differs") == 1


def test_a_stream_that_is_in_the_way_is_named(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    jetstream(nats_server, lambda js: js.add_stream(name="OTHER", subjects=["odin.>"]))
    publisher = start()
    wait_until(lambda: "cannot be created" in str(publisher.get("/health")[1]["fault"]), 20, "the fault")
    status, health = publisher.get("/health")
    assert (status, health["status"], health["nats"]) == (503, "unhealthy", "connected")
    jetstream(nats_server, lambda js: js.delete_stream("OTHER"))
    wait_until(publisher.healthy, 20, "health")


def test_a_lost_stream_is_made_again(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    publisher = start(RATE="200")
    wait_until(lambda: publisher.published() > 20, 20, "messages")
    jetstream(nats_server, lambda js: js.delete_stream(STREAM))

    def again() -> bool:
        try:
            return stream(nats_server).state.messages > 20
        except NotFoundError:
            return False

    wait_until(again, 20, "the stream")
    assert publisher.healthy()
    assert publisher.stats()["stats"]["errors"] < 200


def test_nats_is_restarted(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    publisher = start(RATE="200", JS_STREAM_MAX_AGE="5m")
    wait_until(lambda: publisher.published() > 50, 20, "messages")
    nats_server.stop()
    wait_until(lambda: not publisher.healthy(), 20, "503")
    status, health = publisher.get("/health")
    assert (status, health["nats"], health["publishing"]) == (503, "disconnected", True)
    before = publisher.published()
    wait_until(lambda: str(publisher.stats()["rate"]["limited_by"]).startswith("nats: "), 20, "the reason")
    nats_server.start()
    wait_until(lambda: publisher.healthy() and publisher.published() > before + 50, 20, "messages again")
    stats = stop_publishing(publisher)["stats"]
    # A message may have been stored whose acknowledgement died with the broker.
    assert 0 <= stream(nats_server).state.last_seq - stats["messagesPublished"] <= stats["errors"] < 200
    assert {"nats_away", "nats_connected"} <= {event["event"] for event in publisher.events()}


def test_a_broker_that_hangs_is_noticed(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    publisher = start(RATE="5000")
    wait_until(lambda: publisher.published() > 500, 20, "messages")
    assert nats_server.process is not None
    nats_server.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not publisher.healthy(), 20, "503")
        assert "did not report" in publisher.get("/health")[1]["fault"]
        wait_until(lambda: str(publisher.stats()["rate"]["limited_by"]).startswith("acks: "), 20, "the reason")
        assert publisher.stats()["stats"]["acksPending"] <= WINDOW
    finally:
        nats_server.process.send_signal(signal.SIGCONT)
    wait_until(publisher.healthy, 20, "health")
    before = publisher.published()
    wait_until(lambda: publisher.published() > before + 500, 20, "messages again")


def test_nats_comes_later(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    nats_server.stop()
    publisher = start()
    status, health = publisher.get("/health")
    assert (status, health["nats"], health["publishing"]) == (503, "disconnected", True)
    assert str(nats_server.port) in health["fault"]
    nats_server.start()
    wait_until(lambda: publisher.healthy() and publisher.published() > 0, 20, "messages")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(sig: int, nats_server: NatsServer, start: Callable[..., Running]) -> None:
    publisher = start(RATE="5000")
    wait_until(lambda: publisher.published() > 100, 20, "messages")
    assert publisher.end(sig) == 0
    last = publisher.events()[-1]
    assert (last["event"], last["errors"]) == ("stopped", 0)
    assert last["published"] == stream(nats_server).state.last_seq


def test_a_signal_ends_it_without_nats(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    nats_server.stop()
    publisher = start()
    began = time.monotonic()
    assert publisher.end() == 0
    assert time.monotonic() - began < 5


def test_control_takes_effect_at_once(nats_server: NatsServer, start: Callable[..., Running]) -> None:
    publisher = start(RATE="0.01", TOKENS="BTC,ETH")
    wait_until(publisher.healthy, 20, "health")
    change = {"action": "configure", "messagesPerSecond": 500, "tokens": ["BTC", "NEW"], "connections": 7}
    status, answer = publisher.post(change)
    assert (status, answer["success"]) == (200, True)
    assert answer["configuration"] == {"connections": 7, "messagesPerSecond": 500, "tokens": ["BTC", "NEW"]}
    wait_until(lambda: publisher.published() > 200, 10, "messages at the new rate")
    assert stop_publishing(publisher)["isPublishing"] is False
    assert {subject.split(".")[2] for subject, _ in messages(nats_server)} == {"BTC", "NEW"}

    status, answer = publisher.post({"action": "stop"})
    assert (status, answer["success"]) == (409, False)
    assert "not publishing" in answer["error"]
    status, answer = publisher.post({"action": "configure", "duration": 1000})
    assert status == 409

    status, answer = publisher.post({"action": "start", "duration": 400})
    assert (status, answer["isPublishing"]) == (200, True)
    assert answer["endsAt"] > time.time() * 1000 - 1000
    status, answer = publisher.post({"action": "start"})
    assert status == 409
    assert "already publishing" in answer["error"]
    wait_until(lambda: not publisher.stats()["isPublishing"], 10, "the end of the duration")
    assert publisher.stats()["endsAt"] is None


def test_metrics_are_prometheus(start: Callable[..., Running]) -> None:
    publisher = start(RATE="100")
    wait_until(lambda: publisher.published() > 10, 20, "messages")
    status, text = http_get(publisher.port, "/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {sample.labels["event"] for sample in families["publisher_messages_sent"].samples} == set(EVENTS)
    assert families["publisher_messages_published"].samples[0].value > 10
    assert families["publisher_rate_asked"].samples[0].value == 100
    assert families["publisher_healthy"].samples[0].value == 1
    assert families["publisher_ack_seconds"].type == "histogram"
    assert "process_cpu_seconds" in families


def test_wrong_commands_change_nothing(alone: Running) -> None:
    before = alone.stats()["configuration"]
    wrong = {"action": "go", "messagesPerSecond": -1, "tokens": [">"], "connections": 5}
    status, answer = alone.post(wrong)
    assert (status, answer["success"]) == (400, False)
    assert answer["error"]
    assert [fault.partition(":")[0] for fault in answer["faults"]] == ["action", "messagesPerSecond", "tokens"]
    assert alone.post("{")[0] == 400
    assert alone.stats()["configuration"] == before
    assert alone.stats()["isPublishing"] is False


def test_wrong_requests_are_answered_in_json(alone: Running) -> None:
    assert alone.get("/nothing")[0] == 404
    assert alone.get("/control")[0] == 405
    for path in ("/health", "/stats", "/metrics"):
        status, answer = alone.post("", path)
        assert (status, answer["success"]) == (405, False)
        assert "POST /control" in answer["faults"][0]
    assert alone.post('{"action":"' + "x" * 70_000 + '"}')[0] == 413
    # What a page of another origin can send without asking.
    status, answer = alone.post({"action": "stop"}, content_type="text/plain")
    assert (status, answer["success"]) == (415, False)
    assert "application/json" in answer["error"]


def test_start_without_nats_says_so(alone: Running) -> None:
    status, answer = alone.post({"action": "start"})
    assert (status, answer["isPublishing"]) == (200, True)
    assert "not connected" in answer["message"]
    wait_until(lambda: str(alone.stats()["rate"]["limited_by"]).startswith("nats: "), 10, "the reason")
    assert alone.post({"action": "stop"})[0] == 200
