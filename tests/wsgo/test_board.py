"""wsgo/board.py: what one worker writes, another reads whole, whatever becomes of the writer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from unittest.mock import patch

import pytest

from wsgo.board import PAGE_BYTES, Board


def figures(number: int) -> dict[str, object]:
    return {"numbers": [number] * 2000}


def test_each_worker_has_figures_of_its_own() -> None:
    board = Board(3)
    for worker in (0, 2):
        board.write(worker, figures(worker))
    assert [board.read(worker) for worker in range(3)] == [figures(0), None, figures(2)]


def test_old_figures_are_none_unless_asked_for() -> None:
    board = Board(1)
    with patch("wsgo.board.time.time", return_value=time.time() - 10):
        board.write(0, figures(1))
    assert board.read(0, 5.0) is None
    assert board.read(0, 20.0) == board.read(0) == figures(1)


def test_a_writer_stopped_half_way_hides_nothing() -> None:
    board = Board(1)
    board.write(0, figures(1))
    board.write(0, figures(2))

    with patch("wsgo.board.time.time", side_effect=InterruptedError), pytest.raises(InterruptedError):
        board.write(0, figures(3))
    assert board.read(0) == figures(2)


def test_figures_are_never_torn() -> None:
    board = Board(1)
    board.write(0, figures(0))

    def write() -> None:
        number = 0
        while True:
            number += 1
            board.write(0, figures(number % 10))

    writer = multiprocessing.get_context("fork").Process(target=write, daemon=True)
    writer.start()
    try:
        for _ in range(2000):
            read = board.read(0)
            assert read is not None
            numbers = read["numbers"]
            assert len(numbers) == 2000
            assert len(set(numbers)) == 1
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGSTOP)
        assert board.read(0) is not None
    finally:
        writer.kill()
        writer.join()


def test_who_died_is_no_reader_s_business_but_is_inherited_from() -> None:
    board = Board(2)
    board.set_clients(0, 7)
    board.set_clients(1, 5)
    board.write(1, figures(1))
    board.worker_died(1)
    assert board.clients() == 7
    assert board.restarts == 1
    assert board.read(1, 60.0) is None
    assert board.read(1) == figures(1)


def test_what_is_too_large_is_left_out() -> None:
    board = Board(1)
    board.write(0, figures(1))
    board.write(0, {"text": "x" * PAGE_BYTES})
    assert board.read(0) == figures(1)
