"""wsgo/duty.py: when the next group may be written to."""

from __future__ import annotations

import pytest

from wsgo.duty import AHEAD, DutyCycle, fanout_share


class Clock:
    """Stands in for the time module."""

    def __init__(self) -> None:
        self.now, self.cpu = 100.0, 5.0

    def perf_counter(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.cpu


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("wsgo.duty.time", clock)
    return clock


def work(duty: DutyCycle, clock: Clock, seconds: float) -> None:
    duty.begin()
    clock.now += seconds
    clock.cpu += seconds
    assert duty.end() == pytest.approx(seconds)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_work_without_end_keeps_to_its_share(clock: Clock, share: float) -> None:
    duty, begun, cpu = DutyCycle(share, 10.0), clock.now, clock.cpu
    while clock.now < begun + 20:
        wait = duty.wait(clock.now)
        if wait > 0:
            clock.now += wait
        else:
            work(duty, clock, 0.004)
    assert (clock.cpu - cpu) / (clock.now - begun) == pytest.approx(share, rel=0.02)


def test_turns_are_spread_evenly(clock: Clock) -> None:
    duty, waits = DutyCycle(0.4, 10.0), []
    for _ in range(100):
        waits.append(max(0.0, duty.wait(clock.now)))
        clock.now += waits[-1]
        work(duty, clock, 0.004)
    assert waits[50:] == pytest.approx([0.006] * 50)


def test_after_a_rest_a_lone_message_goes_out_at_once(clock: Clock) -> None:
    duty = DutyCycle(0.3, 10.0)
    used = 0.0
    while duty.wait(clock.now) <= 0:
        work(duty, clock, 0.004)
        used += 0.004
    # What a cgroup allows in one of its periods, and no more.
    assert used == pytest.approx(0.3 * AHEAD, abs=0.3 * 0.06)


def test_no_message_is_held_back_longer_than_it_may(clock: Clock) -> None:
    duty = DutyCycle(0.001, 0.25)
    work(duty, clock, 0.1)
    assert duty.wait(clock.now - 0.2) == pytest.approx(0.05)
    assert duty.wait(clock.now - 0.3) <= 0


@pytest.mark.parametrize("share", [0.0, 1.0, 4.0])
def test_no_pause_without_a_limit_or_with_a_whole_core(clock: Clock, share: float) -> None:
    duty = DutyCycle(share, 0.25)
    for _ in range(100):
        work(duty, clock, 0.1)
        assert duty.wait(clock.now) <= 1e-9


def test_a_strained_worker_waits_as_long_as_it_may(clock: Clock) -> None:
    duty = DutyCycle(0.0, 0.25)
    duty.strained = True
    assert duty.wait(clock.now) == pytest.approx(0.25)


def test_the_share_lies_below_the_refusal_threshold() -> None:
    assert fanout_share(1.0, 1, 75.0) == pytest.approx(0.6)
    assert fanout_share(1.9, 2, 75.0) == pytest.approx(0.57)
    assert fanout_share(0.0, 1, 75.0) == 0.0
