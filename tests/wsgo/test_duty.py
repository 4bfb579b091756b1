"""wsgo/duty.py: the pause after a flush."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from wsgo.duty import DutyCycle, fanout_share


def pause_after(duty: DutyCycle, wall: float, cpu: float) -> float:
    with patch("wsgo.duty.time") as clock:
        clock.perf_counter.return_value, clock.thread_time.return_value = 100.0, 5.0
        duty.begin()
        clock.perf_counter.return_value, clock.thread_time.return_value = 100.0 + wall, 5.0 + cpu
        assert duty.end() == pytest.approx(wall)
        return duty.wait()


def test_a_flush_is_followed_by_what_keeps_it_in_its_share() -> None:
    # 60 ms of CPU at half a core: nothing more until 120 ms have passed.
    assert pause_after(DutyCycle(0.5, 1.0), 0.060, 0.060) == pytest.approx(0.060)


def test_the_pause_is_bounded() -> None:
    assert pause_after(DutyCycle(0.1, 0.25), 0.1, 0.1) == pytest.approx(0.25)


@pytest.mark.parametrize("share", [0.0, 1.0, 4.0])
def test_no_pause_without_a_limit_or_with_a_whole_core(share: float) -> None:
    assert pause_after(DutyCycle(share, 0.25), 0.1, 0.1) <= 1e-9


def test_a_strained_worker_pauses_as_long_as_it_may() -> None:
    duty = DutyCycle(0.0, 0.25)
    duty.strained = True
    assert pause_after(duty, 0.001, 0.001) == pytest.approx(0.25)


def test_the_share_lies_below_the_refusal_threshold() -> None:
    assert fanout_share(1.0, 1, 75.0) == pytest.approx(0.6)
    assert fanout_share(1.9, 2, 75.0) == pytest.approx(0.57)
    assert fanout_share(0.0, 1, 75.0) == 0.0
