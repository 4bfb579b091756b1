"""The original plan contradicts itself in these places and in no others, and one message names them all."""

from __future__ import annotations

import pytest

from constructs_lib.checks import verify
from constructs_lib.faults import FaultsError
from tests import snapshot
from tests.plan_as_written import PLAN

CONTRADICTIONS = {
    # The picture's name for the backend; the steps never create or rename a machine of that name.
    ("flow-target", "flow ws-go -> odin-backend:nats"),
    # "Promtail - collects logs from ws-go via network": it listens nowhere, nobody sends, Loki is shut twice.
    ("flow-port", "flow ws-go -> promtail:logs"),
    ("log-route", "service ws-go"),
    ("flow-loopback", "flow ws-go -> loki:http"),
    ("flow-rule", "flow ws-go -> loki:http"),
    # 3002 is scraped, opened and asked for its health, and 3004 is published.
    ("flow-published", "flow prometheus -> ws-go:metrics"),
    ("flow-published", "flow operator -> ws-go:metrics"),
    ("scrape-format", "flow prometheus -> nats:monitor"),
    # To be opened in a browser: one has no rule, two are bound to 127.0.0.1 besides.
    ("flow-rule", "flow internet -> grafana:http"),
    ("flow-loopback", "flow internet -> prometheus:http"),
    ("flow-rule", "flow internet -> prometheus:http"),
    ("flow-loopback", "flow internet -> nats:monitor"),
    ("flow-rule", "flow internet -> nats:monitor"),
    # SSH is used on both machines, opened by none of the plan's rules, and by the network's own to everybody.
    ("tunnel-ssh", "node odin-ws-server"),
    ("tunnel-ssh", "node odin-ws-go"),
    ("rest-open", "network default"),
    ("tag-unused", "node odin-ws-go"),
    ("memory-budget", "node odin-ws-go"),
    ("secret", "service grafana"),
}


def refusal() -> FaultsError:
    with pytest.raises(FaultsError) as caught:
        verify(PLAN)
    return caught.value


def test_every_contradiction_at_once_and_nothing_else() -> None:
    found = [(fault.rule, fault.where) for fault in refusal().faults]
    assert set(found) == CONTRADICTIONS
    assert len(found) == len(CONTRADICTIONS)


def test_the_message_says_the_values_on_both_sides() -> None:
    message = str(refusal())
    assert message.splitlines()[0] == "topology plan-as-written: 19 faults"
    for words in (
        "does not publish ws-go's port 3002 as 3002 (it publishes 3002 as 3004)",
        "nats:8222 speaks NATS monitoring (JSON)",
        "127.0.0.1:3101 only, where ws-go cannot reach it",
        "127.0.0.1:9091 only, where internet cannot reach it",
        "127.0.0.1:8222 only, where internet cannot reach it",
        "lets internet (0.0.0.0/0) reach tcp:3010 on odin-ws-server",
        "1792 MiB, but e2-small has 2048 MiB",
        "carries the tag allow-websocket",
    ):
        assert words in message, words


def test_the_message_as_its_reader_sees_it(request: pytest.FixtureRequest) -> None:
    snapshot.compare(request, "plan_as_written.txt", f"{refusal()}\n")
