"""Ctrl-C once, twice, and at a bad moment."""

from __future__ import annotations

import os
import signal

import pytest

from ops import interrupts
from ops.interrupts import Interrupts


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_ONE_WISH_S", 0.0)


def send(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_ends_what_is_going_on_and_the_second_hurries(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupts() as found:
        with pytest.raises(KeyboardInterrupt):
            send(number)
        found.leave()
        assert not found.hurry()
        send(number)
        assert found.hurry()
    assert signal.getsignal(number) is before


def test_held_it_waits_until_the_end_of_what_must_be_whole() -> None:
    reached = False
    with Interrupts() as found, pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the order is the point
        with found.held():
            send()
            reached = True
        raise AssertionError("it went on")
    assert reached


def test_nothing_is_raised_after_an_undisturbed_hold() -> None:
    with Interrupts() as found, found.held():
        pass


def test_a_signal_that_came_twice_at_once_is_one_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_ONE_WISH_S", 60.0)
    with Interrupts() as found:
        with pytest.raises(KeyboardInterrupt):
            send()
        found.leave()
        send(signal.SIGTERM)
        assert not found.hurry()
