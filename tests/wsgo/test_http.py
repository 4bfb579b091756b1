"""/health, /live, /ready, /metrics and the live page, on one listener and on two."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.support import free_port, http_get
from tests.wsgo.client import client, jetstream, publish
from tests.wsgo.conftest import make_stream
from wsgo import app
from wsgo.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.conftest import StartWsgo
    from tests.support import NatsServer
    from tests.wsgo.conftest import Pair


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


def test_health_has_the_documented_fields(pair: Pair) -> None:
    async def test() -> None:
        async with client(pair.wsgo.url) as listener:
            await listener.silent()
            status, body = pair.wsgo.get("/health")
            health = json.loads(body)
            assert status == 200
            assert set(health) == {"status", "healthy", "checks", "warnings", "errors", "uptime"}
            assert (health["status"], health["healthy"]) == ("healthy", True)
            checks = health["checks"]
            assert checks["nats"] == {"status": "connected", "healthy": True}
            assert checks["capacity"]["current"] >= 1
            assert set(checks["capacity"]) == {"current", "max", "percentage", "healthy"}
            assert set(checks["memory"]) == {"used_mb", "limit_mb", "percentage", "healthy"}
            assert 1 < checks["memory"]["used_mb"] < 512
            assert set(checks["cpu"]) == {"percentage", "threshold", "healthy"}
            assert checks["limits"]["max_connections"] == 10_000
            assert 0 < health["uptime"] < 600

    run(test())


def test_live_and_ready(pair: Pair) -> None:
    assert pair.wsgo.get("/live") == (200, '{"live":true}')
    assert pair.wsgo.get("/ready") == (200, '{"ready":true}')
    assert pair.wsgo.get("/nothing")[0] == 404


def scrape(port: int, accept: str) -> tuple[str, str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(asked, timeout=10) as response:
        return response.read().decode(), response.headers["Content-Type"]


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_metrics_parse_and_are_the_declared_ones(pair: Pair, accept: str) -> None:
    async def test() -> None:
        async with jetstream(pair.nats.url) as stream, client(pair.wsgo.url) as listener:
            await listener.subscribe("MET.trade")
            await publish(stream, "MET.trade", 1)
            await listener.receive()
            body, content_type = await asyncio.to_thread(scrape, pair.wsgo.port, accept)
            assert accept.partition(";")[0] in content_type
            parse = parse_openmetrics if "openmetrics" in accept else parse_text
            families = {family.name: family for family in parse(body)}
            declared = {
                series.name.removesuffix("_total") if series.type == "counter" else series.name: series
                for series in METRICS
            }
            assert set(families) == set(declared)
            for name, family in families.items():
                assert family.type == declared[name].type
            assert families["ws_messages_sent"].samples[0].value >= 1
            assert families["ws_connections_current"].samples[0].value >= 1
            latency = {
                s.name: s.value for s in families["ws_delivery_latency_seconds"].samples if "bucket" not in s.name
            }
            assert latency["ws_delivery_latency_seconds_count"] >= 1
            assert 0 < latency["ws_delivery_latency_seconds_sum"] < 60

    run(test())


def test_counts_on_the_way(pair: Pair) -> None:
    def value(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", pair.wsgo.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def test() -> None:
        async with jetstream(pair.nats.url) as stream, client(pair.wsgo.url) as listener:
            await listener.subscribe("CNT.trade")
            before = {name: value(name) for name in ("ws_messages_sent_total", "ws_bytes_sent_total")}
            received = value("ws_messages_received_total")
            size = 0
            for number in range(10):
                await publish(stream, "CNT.trade", number)
                size += len(json.dumps(await listener.receive(), separators=(",", ":")))
            assert value("ws_messages_sent_total") - before["ws_messages_sent_total"] == 10
            assert value("ws_bytes_sent_total") - before["ws_bytes_sent_total"] == size + 10 * 2  # frame headers
            await listener.silent()
            assert value("ws_messages_received_total") - received == 1

    run(test())


def test_metrics_are_on_the_internal_address_only(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    asyncio.run(make_stream(nats_server.url))
    port = free_port()
    server = wsgo_server(WS_INTERNAL_ADDR=f"127.0.0.1:{port}")
    assert server.get("/metrics")[0] == 404
    assert "ws_connections_current" in http_get(port, "/metrics")[1]
    for path in ("/health", "/live", "/ready"):
        assert server.get(path)[0] == http_get(port, path)[0] == 200
    assert http_get(port, "/")[0] == 404
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert http_get(port, "/ws", {**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})[0] == 404


def test_the_live_page_can_be_turned_off(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    asyncio.run(make_stream(nats_server.url))
    assert wsgo_server(WS_LIVE_PAGE="false").get("/")[0] == 404


def test_the_policy_allows_the_pages_own_script_by_hash_and_nothing_else() -> None:
    policy = app.content_security_policy("<style>a{}</style><script>alert(1)</script>")
    # echo -n 'alert(1)' | openssl dgst -sha256 -binary | base64
    assert "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'none'" in app.content_security_policy("<p>no script</p>")


def test_a_socket_that_sends_no_request_is_cut(nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    asyncio.run(make_stream(nats_server.url))
    server = wsgo_server(WS_HANDSHAKE_TIMEOUT="1s")
    with socket.create_connection(("127.0.0.1", server.port), 10) as silent:
        silent.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(100) == b""
        assert 0.5 < time.monotonic() - began < 8
    assert server.get("/live")[0] == 200


def test_garbage_does_not_hurt(pair: Pair) -> None:
    for garbage in (b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"PUT /ws HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", pair.wsgo.port), 5) as raw:
            raw.sendall(garbage)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(1000):
                pass
    assert pair.wsgo.get("/health")[0] == 200
    assert "Traceback" not in pair.wsgo.log.read_text()


def test_every_log_line_is_one_json_event(pair: Pair) -> None:
    lines = [json.loads(line) for line in pair.wsgo.log.read_text().splitlines()]
    assert {"starting", "listening", "feed_up"} <= {line["event"] for line in lines}
    for line in lines:
        assert list(line)[:4] == ["ts", "level", "event", "message"]


def test_the_websockets_path_says_what_it_is_for(pair: Pair) -> None:
    status, body = pair.wsgo.get("/ws")
    assert status == 426
    assert json.loads(body)["error"] == "upgrade_required"
