"""wsgo/intake.py: what is fanned out, what is only kept for replay, and what shows as a gap."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.wsgo.test_hub import FakeClient, make_hub, settle
from wsgo.intake import Intake
from wsgo.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgo.hub import Hub


def check(test: Callable[[Hub, Intake, FakeClient], None], **env: object) -> tuple[Hub, list[dict[str, Any]]]:
    """Run `test` with one client on A.x; returns the hub and the envelopes the client got."""

    async def run() -> tuple[Hub, list[dict[str, Any]]]:
        hub = make_hub()
        values: dict[str, Any] = env
        intake = Intake(hub, hub.metrics, Settings(**values))
        client = FakeClient(hub)
        client.subscribe("A.x")
        test(hub, intake, client)
        await settle(hub)
        parts = client.socket.written.split(b'{"seq"')[1:]
        return hub, [json.loads(b'{"seq"' + part[: part.rindex(b"}") + 1]) for part in parts]

    return asyncio.run(run())


def feed(intake: Intake, seqs: range, subject: str = "odin.token.A.x") -> None:
    for seq in seqs:
        intake.receive(seq, 0, subject, b"1")


@pytest.mark.parametrize("name", ["WS_MAX_NATS_RATE", "WS_MAX_BROADCAST_RATE"])
def test_what_is_over_the_rate_is_not_sent_but_can_be_replayed(name: str) -> None:
    hub, envelopes = check(lambda _, intake, __: feed(intake, range(1, 101)), **{name: 5})
    assert 5 <= len(envelopes) <= 7
    dropped = hub.metrics.nats_dropped["nats_rate"] + hub.metrics.dropped["broadcast_rate"]
    assert dropped == 100 - len(envelopes)
    assert hub.replay.count(0, 100, {"A.x"}) == 100
    assert hub.seq == 100


def test_zero_is_no_limit() -> None:
    _, envelopes = check(lambda _, intake, __: feed(intake, range(1, 1001)), WS_MAX_NATS_RATE=0)
    assert len(envelopes) == 1000


def test_a_message_left_out_shows_as_a_gap() -> None:
    def test(hub: Hub, intake: Intake, client: FakeClient) -> None:
        feed(intake, range(1, 4))
        intake._nats_rate.rate = 0
        feed(intake, range(4, 5))

    _, envelopes = check(test, WS_MAX_NATS_RATE=1)
    assert [(e["seq"], e["prev"]) for e in envelopes] == [(1, 0), (4, 3)]


def test_what_was_stored_before_the_server_came_is_for_replay_only() -> None:
    def test(hub: Hub, intake: Intake, client: FakeClient) -> None:
        intake.begin("epoch", 10, 14)
        feed(intake, range(11, 16))

    hub, envelopes = check(test)
    assert [(e["seq"], e["prev"]) for e in envelopes] == [(14, 13), (15, 14)]
    assert [hub.replay.between(0, seq) for seq in range(10, 16)] == [0, 1, 2, 3, 4, 5]
    assert not hub.replay.covers(9)


def test_lost_messages_make_prev_unknown() -> None:
    def test(hub: Hub, intake: Intake, client: FakeClient) -> None:
        feed(intake, range(1, 3))
        intake.lost(8)
        feed(intake, range(9, 11))

    hub, envelopes = check(test)
    assert [(e["seq"], e["prev"]) for e in envelopes] == [(1, 0), (2, 1), (9, 0), (10, 9)]
    assert not hub.replay.covers(7)
    assert hub.replay.covers(8)


def test_other_subjects_are_counted_and_left() -> None:
    hub, envelopes = check(lambda _, intake, __: feed(intake, range(1, 3), "odin.token.A"))
    assert envelopes == []
    assert hub.metrics.nats_dropped["subject"] == 2
