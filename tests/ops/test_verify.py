"""The checklist against a system that works, and against one that fails in each way: it must say no."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from constructs_lib.checklist import Check, Probe, checklist
from ops import report
from ops.local import LocalPlaces
from ops.probes import metrics, websocket
from ops.probes.metrics import Target
from ops.probes.system import System
from ops.verify import Result, Verdict, holds, verify
from stacks.settings import Settings
from stacks.topology import declare
from tests.ops.fake_system import OPENMETRICS, Fake
from tests.support import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GOOD_LINE = '{"ts":"2026-01-01T00:00:00Z","level":"info","event":"started","message":"up"}\n'
TOPOLOGY = declare(Settings())
CHECKS = checklist(TOPOLOGY)
PRESENT = frozenset({"ws-go", "publisher"})


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "LISTEN_S", 0.3)
    monkeypatch.setattr(websocket, "PATIENCE_S", 1.0)
    monkeypatch.setattr(websocket, "TIMEOUT_S", 2.0)
    monkeypatch.setattr(metrics, "SETTLE_S", 1.0)
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)  # refused handshakes are meant


def system(port: int, tmp_path: Path, log: str = GOOD_LINE, scraped: Mapping[str, Target] | None = None) -> System:
    numbers = {f"{name}:{entry.name}": port for name in PRESENT for entry in TOPOLOGY.services[name].ports}
    (tmp_path / "any.log").write_text(log)
    return System(
        places=LocalPlaces(TOPOLOGY, "127.0.0.1", numbers, tmp_path),
        present=PRESENT,
        logs=dict.fromkeys(PRESENT, tmp_path / "any.log"),
        scraped=scraped,
    )


def check(probe: Probe, service: str = "ws-go") -> Check:
    return next(check for check in CHECKS if (check.probe, check.service) == (probe, service))


def verdict(fake: Fake, probe: Probe, tmp_path: Path, **more: object) -> Verdict:
    with fake.running():
        (found,) = verify(system(fake.port, tmp_path, **more), [check(probe)])  # type: ignore[arg-type]
    return found


def test_all_that_is_here_holds_and_the_rest_is_not_here(tmp_path: Path) -> None:
    with Fake().running() as fake:
        verdicts = list(verify(system(fake.port, tmp_path), CHECKS))
    asked = {verdict.check.service for verdict in verdicts if verdict.result is Result.YES}
    assert [verdict.seen for verdict in verdicts if verdict.result is Result.NO] == []
    assert asked == PRESENT
    for found in verdicts:
        assert (found.result is Result.NOT_HERE) == (found.check.service not in PRESENT)
    assert holds(verdicts)
    assert {found.check.probe for found in verdicts if found.result is Result.YES} == set(Probe)


def test_what_a_reader_is_told(tmp_path: Path) -> None:
    fake = Fake()
    assert verdict(fake, Probe.BROKER, tmp_path).seen == "NATS connected, the service healthy"
    assert "on 2 channels, gaps 0, seq 10" in verdict(fake, Probe.DELIVERY, tmp_path).seen
    assert "latency p50 " in verdict(fake, Probe.DELIVERY, tmp_path).seen
    seen = verdict(fake, Probe.METRICS, tmp_path).seen
    assert "ws_connections_current 1; ws_messages_sent_total " in seen
    assert seen.endswith("scraped by this check")


@pytest.mark.parametrize(
    ("fake", "probe", "seen"),
    [
        (Fake(health_status=503), Probe.HTTP, "GET /health: 503"),
        (Fake(nats={"status": "disconnected", "healthy": False}), Probe.BROKER, "NATS is disconnected"),
        (Fake(nats={}), Probe.BROKER, "says nothing of NATS"),
        (Fake(refuses=True), Probe.WEBSOCKET, 'the handshake is answered 503 {"error":"CAPACITY"}'),
        (Fake(acknowledgement='{"type":"error"}'), Probe.WEBSOCKET, "subscribe was answered with"),
        (Fake(acknowledgement="none"), Probe.WEBSOCKET, "subscribe was answered with none"),
        (Fake(silent=True), Probe.DELIVERY, "no message within 1 s"),
        (Fake(gap_at=7), Probe.DELIVERY, "gaps 1"),
        (Fake(backwards_at=5), Probe.DELIVERY, "seq 55 came after 104"),
        (Fake(frame="[]"), Probe.DELIVERY, "this is no envelope: []"),
        (Fake(frame='{"seq": "1"}'), Probe.DELIVERY, "this is no envelope"),
        (Fake(metrics="<html>"), Probe.METRICS, "is not Prometheus text"),
        (Fake(metrics=""), Probe.METRICS, "has no metric"),
        (Fake(metrics="up 1\n"), Probe.METRICS, "ws_connections_current, ws_messages_sent_total not among its 1"),
        (Fake(silent=True), Probe.METRICS, "ws_messages_sent_total stays at 0"),
        (Fake(content_type="application/json"), Probe.METRICS, "is not Prometheus text"),
        (Fake(refuses=True), Probe.METRICS, "the handshake is answered 503"),
    ],
)
def test_each_probe_says_no(fake: Fake, probe: Probe, seen: str, tmp_path: Path) -> None:
    found = verdict(fake, probe, tmp_path)
    assert found.result is Result.NO
    assert seen in found.seen
    assert not holds([found])


@pytest.mark.parametrize(
    ("log", "seen"),
    [
        ("", "it has logged nothing"),
        (GOOD_LINE + "Traceback (most recent call last):\n", "line 2 is not JSON: Traceback"),
        ("[]\n", "line 1 is no JSON object"),
        ('{"ts":1,"message":""}\n', "line 1 has no level, event"),
    ],
)
def test_logs_that_a_collector_could_not_read(log: str, seen: str, tmp_path: Path) -> None:
    found = verdict(Fake(), Probe.LOGS, tmp_path, log=log)
    assert (found.result, seen in found.seen) == (Result.NO, True)


@pytest.mark.parametrize("probe", [Probe.HTTP, Probe.BROKER, Probe.WEBSOCKET, Probe.DELIVERY, Probe.METRICS])
def test_nobody_there_is_a_no(probe: Probe, tmp_path: Path) -> None:
    (found,) = verify(system(free_port(), tmp_path), [check(probe)])
    assert (found.result, "refused" in found.seen) == (Result.NO, True)


def test_openmetrics_is_read_too(tmp_path: Path) -> None:
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert verdict(Fake(metrics=OPENMETRICS, content_type=kind), Probe.METRICS, tmp_path).result is Result.YES
    cut = OPENMETRICS.replace("# EOF\n", "")
    assert verdict(Fake(metrics=cut, content_type=kind), Probe.METRICS, tmp_path).result is Result.NO


def test_prometheus_own_word_counts(tmp_path: Path) -> None:
    down = {"ws-go": Target("down", "connection refused", "3.6.0")}
    found = verdict(Fake(), Probe.METRICS, tmp_path, scraped=down)
    assert (found.result, found.seen) == (Result.NO, "Prometheus says down: connection refused")
    up = {"ws-go": Target("up", "", "3.6.0")}
    assert verdict(Fake(), Probe.METRICS, tmp_path, scraped=up).seen.endswith("scraped by Prometheus 3.6.0")
    assert verdict(Fake(), Probe.METRICS, tmp_path, scraped={}).result is Result.NO


def test_nothing_asked_is_no_yes() -> None:
    assert not holds([])
    assert not holds([Verdict(check(Probe.HTTP), Result.NOT_HERE, "")])


def test_output_that_was_not_captured_is_not_here(tmp_path: Path) -> None:
    elsewhere = System(places=system(1, tmp_path).places, present=PRESENT)
    (found,) = verify(elsewhere, [check(Probe.LOGS)])
    assert found.result is Result.NOT_HERE


def test_results_for_a_program() -> None:
    no = Verdict(check(Probe.BROKER), Result.NO, "NATS is gone")
    data = report.as_data([no, Verdict(check(Probe.HTTP), Result.YES, "200 on /health")])
    assert data["ok"] is False
    assert data["checks"][0]["next_step"] == no.check.next_step
    assert data["checks"][1] | {"title": ""} == {
        "title": "",
        "service": "ws-go",
        "probe": "http",
        "plan": True,
        "result": "yes",
        "seen": "200 on /health",
        "next_step": "",
    }
