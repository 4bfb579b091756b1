"""The load client tells a faithful server from one that loses, repeats or closes."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.bench.fake import FakeServer, frame, payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

CLIENTS, MESSAGES = 5, 200


def run(
    programs: Path, sending: Callable[[int], Iterable[bytes]], *arguments: str, cut: int = 0, messages: int = MESSAGES
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What wsload says when it is ready, and at the end."""
    with FakeServer(CLIENTS, messages, sending, cut) as server:
        argv = [str(programs / "wsload"), "--port", str(server.port), "--clients", str(CLIENTS), "--timeout", "20"]
        timing = ["--warm", "0", "--window", "0.8", "--drain", "5"]
        client = subprocess.Popen([*argv, *timing, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert client.stdin is not None
            assert client.stdout is not None
            ready = json.loads(client.stdout.readline())
            client.stdin.write(b"go\n")
            client.stdin.flush()
            server.start()
            return ready, json.loads(client.stdout.readline())
        finally:
            client.kill()
            client.communicate()


def test_a_faithful_server_is_found_faithful(programs: Path) -> None:
    ready, done = run(programs, lambda n: [frame(payload(n))])
    assert (ready["open"], ready["failed"]) == (CLIENTS, 0)
    assert ready["handshakes_s"] > 0
    assert (done["gaps"], done["repeats"], done["closed"], done["other"]) == (0, 0, 0, 0)
    assert done["received"] == done["reached"] == CLIENTS * MESSAGES
    assert 0 < done["delivered"] <= done["received"]
    assert 0 < done["p50"] <= done["p99"] <= done["p999"] <= done["max"] < 5_000


def test_frames_may_be_cut_anywhere(programs: Path) -> None:
    _, done = run(programs, lambda n: [frame(payload(n))], cut=7, messages=40)
    assert done["gaps"] == 0
    assert done["received"] == CLIENTS * 40


def test_an_envelope_around_the_payload_is_no_obstacle(programs: Path) -> None:
    _, done = run(programs, lambda n: [frame(b'{"seq":%d,"prev":0,"data":%b}' % (n + 1, payload(n)))])
    assert (done["gaps"], done["received"]) == (0, CLIENTS * MESSAGES)


def test_loss_is_reported(programs: Path) -> None:
    _, done = run(programs, lambda n: [] if n in {50, 51, 120} else [frame(payload(n))])
    assert done["gaps"] == CLIENTS * 3
    assert done["received"] == CLIENTS * (MESSAGES - 3)


def test_what_never_came_at_the_end_is_not_reached(programs: Path) -> None:
    _, done = run(programs, lambda n: [frame(payload(n))] if n < MESSAGES - 10 else [])
    assert done["gaps"] == 0
    assert done["reached"] == CLIENTS * (MESSAGES - 10)


def test_a_repeated_message_is_reported(programs: Path) -> None:
    _, done = run(programs, lambda n: [frame(payload(n))] * (2 if n == 30 else 1))
    assert (done["gaps"], done["repeats"]) == (0, CLIENTS)


def test_other_messages_are_counted_apart_and_pings_are_none(programs: Path) -> None:
    _, done = run(programs, lambda n: [frame(b"hm", 9), frame(b'{"type":"news"}'), frame(payload(n))], messages=20)
    assert done["received"] == done["other"] == CLIENTS * 20


def test_a_closed_connection_is_reported(programs: Path) -> None:
    _, done = run(programs, lambda n: [frame(payload(n)), *([frame(b"\x03\xe8", 8)] if n == 99 else [])])
    assert (done["closed"], done["open"]) == (CLIENTS, 0)


def test_latency_is_from_publish_to_read(programs: Path) -> None:
    quarter = 250_000_000
    _, done = run(programs, lambda n: [frame(payload(n, time.monotonic_ns() - quarter))], messages=50)
    assert done["p50"] == pytest.approx(250, rel=0.25)


@pytest.mark.parametrize("cut", [0, 11])
def test_nats_inside_frames_is_read(programs: Path, cut: int) -> None:
    def sending(n: int) -> list[bytes]:
        message = b"MSG odin.token.BTC.trade 1 %d\r\n%b\r\n" % (len(payload(n)), payload(n))
        if n == 0:
            return [frame(b"INFO {}\r\nPING\r\n" + message, 2)]
        # Messages do not care for frames: this one ends in the middle of a payload.
        return [frame(message[:40], 2), frame(message[40:], 2)]

    with FakeServer(1, 60, lambda n: [frame(b"PONG\r\n", 2)] if n == 0 else sending(n - 1), cut) as server:
        argv = [str(programs / "wsload"), "--port", str(server.port), "--clients", "1", "--nats", "--timeout", "10"]
        timing = ["--warm", "0", "--window", "0.5", "--drain", "3", "--expect", "0,1"]
        client = subprocess.Popen([*argv, *timing], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            server.start()
            output, _ = client.communicate(b"go\n", timeout=30)
        finally:
            client.kill()
    _, done = (json.loads(line) for line in output.splitlines())
    assert (done["gaps"], done["received"]) == (0, 59)


def test_who_cannot_connect_is_reported(programs: Path) -> None:
    with FakeServer(1, 0, lambda _: []) as server:
        port = server.port
    argv = [str(programs / "wsload"), "--port", str(port), "--clients", "3", "--timeout", "5"]
    done = subprocess.run(argv, capture_output=True, timeout=20, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["failed"] == 3
