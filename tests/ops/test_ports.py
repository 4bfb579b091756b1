"""Free and taken ports, and who has them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from ops import ports
from ops.ports import Reservations, choose, free, owner
from tests.support import free_port, wait_until


@pytest.fixture
def taken() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def number(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def test_a_free_port_is_chosen_as_declared() -> None:
    port, reservations = free_port(), Reservations()
    assert choose("127.0.0.1", {"nats:client": port}, reservations) == ({"nats:client": port}, [])
    reservations.release()


def test_a_taken_port_is_replaced_and_its_owner_named(taken: socket.socket) -> None:
    reservations = Reservations()
    with taken:
        declared = {"ws-go:ws": number(taken), "nats:client": number(taken) + 1}
        chosen, replaced = choose("127.0.0.1", declared, reservations)
    reservations.release()
    assert (replaced[0].what, replaced[0].number) == ("ws-go:ws", declared["ws-go:ws"])
    assert f"pid {os.getpid()} (" in replaced[0].by
    assert chosen["ws-go:ws"] == replaced[0].instead not in declared.values()
    assert len(set(chosen.values())) == 2


def test_the_owner_is_another_process_with_its_command_line() -> None:
    port = free_port()
    script = f"import socket; s = socket.create_server(('127.0.0.1', {port})); s.accept()"
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        try:
            wait_until(lambda: not free("127.0.0.1", port), 10, "the child listens")
            assert owner(port) is not None
            assert str(owner(port)).startswith(f"pid {child.pid} (python")
        finally:
            child.kill()
    assert owner(port) is None


def test_an_unreadable_process_is_called_another_users(taken: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_sockets", lambda _pid: set())
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    with taken:
        assert str(owner(number(taken))).startswith("another user's process (")


def test_a_listener_on_every_address_takes_the_port_on_loopback() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        assert not free("127.0.0.1", number(listener))


def test_two_runs_that_start_at_once_do_not_choose_the_same_port() -> None:
    first, second = Reservations(), Reservations()
    declared = {"nats:client": free_port()}
    one, _ = choose("127.0.0.1", declared, first)
    other, replaced = choose("127.0.0.1", declared, second)
    first.release()
    second.release()
    assert one != other
    assert "another run of Odin" in replaced[0].by


def test_a_reservation_is_given_back() -> None:
    first, second, port = Reservations(), Reservations(), free_port()
    assert first.take(port)
    assert not second.take(port)
    first.release()
    assert second.take(port)
    second.release()


def test_the_same_port_twice_in_one_run() -> None:
    port, reservations = free_port(), Reservations()
    chosen, replaced = choose("127.0.0.1", {"a:http": port, "b:http": port}, reservations)
    reservations.release()
    assert chosen["a:http"] == port != chosen["b:http"]
    assert [entry.what for entry in replaced] == ["b:http"]
