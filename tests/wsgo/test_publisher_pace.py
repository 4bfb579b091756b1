"""Pace, ledger and meter: even spacing, honest accounts, and a reason for every shortfall."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgo.publisher import meter as meter_module
from wsgo.publisher.ledger import ACK_TIMEOUT, WINDOW, Ledger
from wsgo.publisher.meter import Meter
from wsgo.publisher.pace import CATCH_UP, TICK, Pace


def run(pace: Pace, seconds: float, now: float = 0.0) -> list[tuple[float, int]]:
    """Follow the pace on a clock of its own: (when, how many) for every burst."""
    end, bursts = now + seconds, []
    while now < end:
        if count := pace.due(now):
            pace.sent(count)
            bursts.append((now, count))
        now += max(pace.delay(now), 1e-6)
    return bursts


@given(rate=st.floats(0.5, 100_000))
def test_the_rate_is_kept(rate: float) -> None:
    seconds = max(1.0, 10 / rate)
    count = sum(count for _, count in run(Pace(rate, 0.0), seconds))
    assert abs(count - rate * seconds) <= 2 + rate * 2 * TICK


@pytest.mark.parametrize("rate", [1, 25, 100, 400])
def test_low_rates_are_evenly_spaced_one_by_one(rate: int) -> None:
    bursts = run(Pace(rate, 0.0), 5)
    assert {count for _, count in bursts} == {1}
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(bursts)]
    assert gaps == pytest.approx([1 / rate] * len(gaps), abs=TICK)


@given(rate=st.floats(1, 100_000), stall=st.floats(0.01, 3600))
def test_a_stall_is_not_repaid_as_a_burst(rate: float, stall: float) -> None:
    pace = Pace(rate, 0.0)
    run(pace, 1.0)
    began = 1.0 + stall
    bursts = run(pace, 1.0, began)
    assert max((count for _, count in bursts), default=0) <= max(1, 2 * rate * TICK + 1)
    # A second of messages and what was owed, which is bounded however long the stall was.
    assert sum(count for _, count in bursts) <= rate * (1 + CATCH_UP) + 2 * rate * TICK + 3
    owed = rate * stall - max(1.0, rate * CATCH_UP)
    assert abs(pace.skipped - max(0.0, owed)) <= 2 + 2 * rate * TICK


def test_restart_forgets_what_was_owed() -> None:
    pace = Pace(1000, 0.0)
    pace.restart(10.0, 10)
    assert pace.due(10.0) == 0
    assert pace.due(10.1) == 1
    assert pace.skipped == 0


def make_ledger() -> Ledger:
    return Ledger(lambda _: None)


def test_a_group_is_published_when_its_sequence_says_so() -> None:
    ledger = make_ledger()
    first, second = ledger.open(10, 0.0), ledger.open(5, 0.0)
    assert (ledger.in_flight, ledger.room) == (15, WINDOW - 15)
    ledger.confirm(first, 110, 0.1)
    ledger.confirm(second, 115, 0.1)
    assert (ledger.published, ledger.errors.total(), ledger.in_flight) == (15, 0, 0)


def test_a_shortfall_of_the_sequence_is_an_error() -> None:
    ledger = make_ledger()
    ledger.confirm(ledger.open(10, 0.0), 10, 0.1)
    ledger.confirm(ledger.open(10, 0.0), 17, 0.1)
    assert (ledger.published, ledger.errors) == (17, {"not_stored": 3})


def test_a_stream_made_anew_counts_from_one() -> None:
    ledger = make_ledger()
    ledger.confirm(ledger.open(10, 0.0), 5000, 0.1)
    ledger.confirm(ledger.open(10, 0.0), 4, 0.1)
    assert (ledger.published, ledger.errors) == (14, {"not_stored": 6})


def test_every_group_is_settled_once() -> None:
    ledger = make_ledger()
    late, lost, refused = (ledger.open(n, 0.0) for n in (1, 2, 4))
    ledger.refuse(refused, "no_stream", "gone")
    ledger.expire(ACK_TIMEOUT - 0.1)
    assert ledger.in_flight == 3
    ledger.expire(ACK_TIMEOUT)
    assert ledger.in_flight == 0
    ledger.confirm(late, 1, 9.0)
    ledger.refuse(lost, "no_stream", "gone")
    assert ledger.errors == {"no_stream": 4, "ack_timeout": 3}
    assert ledger.published == 0
    ledger.open(8, 10.0)
    ledger.abandon()
    assert ledger.errors["connection_lost"] == 8
    assert ledger.last_error is not None
    assert ledger.last_error.startswith("connection_lost")


def test_a_silent_broker_is_probed_with_one_message_at_a_time() -> None:
    ledger = make_ledger()
    ledger.open(10, 0.0)
    ledger.expire(ACK_TIMEOUT)
    assert ledger.room == 1
    probe = ledger.open(1, 6.0)
    assert ledger.room == 0
    ledger.confirm(probe, 11, 6.1)
    assert ledger.room == WINDOW


def test_drained_waits_for_the_last_group_but_not_for_ever() -> None:
    async def scenario() -> tuple[bool, bool]:
        ledger = make_ledger()
        group = ledger.open(1, 0.0)
        kept_waiting = await ledger.drained(0.01)
        asyncio.get_running_loop().call_later(0.02, ledger.confirm, group, 1, 0.1)
        return kept_waiting, await ledger.drained(10)

    assert asyncio.run(scenario()) == (False, True)


class Clock:
    """Stands in for the time module."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cpu = 0.0

    def monotonic(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.cpu


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(meter_module, "time", clock)
    return clock


def measure(meter: Meter, clock: Clock, rate: float, *, cpu: float = 0.1, failed: int = 0) -> None:
    for quarter in range(41):
        clock.now, clock.cpu = quarter / 4, quarter / 4 * cpu
        meter.sample(round(rate * clock.now), round(failed * clock.now))


def test_the_reached_rate_is_that_of_the_last_seconds(clock: Clock) -> None:
    meter = Meter()
    assert (meter.reached(), meter.limited_by(100)) == (0, None)
    measure(meter, clock, 100)
    assert meter.reached() == pytest.approx(100)
    assert meter.limited_by(100) is None
    for _ in range(20):
        clock.now += 0.25
        meter.sample(1000, 0)
    assert meter.reached() == 0
    meter.restart()
    assert meter.limited_by(100) is None


def test_a_shortfall_has_its_reason(clock: Clock) -> None:
    busy = Meter()
    measure(busy, clock, 50, cpu=0.97)
    assert (busy.limited_by(100) or "").startswith("cpu: ")
    idle = Meter()
    measure(idle, clock, 50)
    assert (idle.limited_by(100) or "").startswith("scheduling: ")
    failing = Meter()
    measure(failing, clock, 50, failed=50)
    assert (failing.limited_by(100) or "").startswith("errors: ")
    waiting = Meter()
    clock.now = 0.0
    waiting.sample(0, 0)
    with waiting.waiting("nats: not connected"):
        clock.now += 2
    clock.now += 1
    waiting.sample(100, 0)
    assert waiting.limited_by(100) == "nats: not connected (2.0 of the last 3.0 s)"
