from __future__ import annotations

from dataclasses import replace

import pytest

from constructs_lib.faults import Fault, FaultsError
from tests.constructs_lib.tiny import ADMIN, CLIENT, HTTP, INTERNET, PAIR, WEB, flow, node, service


def test_a_port_is_published_under_its_own_number_unless_told_otherwise() -> None:
    assert (HTTP.host_number, CLIENT.host_number) == (80, 4222)


def test_a_node_carries_every_tag_once_and_sorted() -> None:
    ports = (replace(HTTP, tag="allow-http"), replace(CLIENT, tag="web"))
    machine = node("n", service("web", *ports), service("job", tag="a"), ports=(replace(CLIENT, tag="own"),))
    assert machine.tags == ("a", "allow-http", "odin", "own", "web")


def test_everything_is_found_by_its_name() -> None:
    assert PAIR.services["web"] is WEB
    assert PAIR.home("web") is PAIR.home("front") is PAIR.node("front")
    assert PAIR.actor("internet") is INTERNET
    assert PAIR.port_of("web", "http") is HTTP
    assert PAIR.port_of("front", "ssh") is PAIR.node("front").port("ssh")


def test_strangers_are_not_found() -> None:
    assert PAIR.home("internet") is None
    assert PAIR.actor(ADMIN.name) is None
    assert PAIR.port_of("web", "ssh") is None
    assert PAIR.port_of("nobody", "http") is None
    with pytest.raises(KeyError, match="nobody"):
        PAIR.node("nobody")


def test_a_flow_reads_as_a_line() -> None:
    assert str(flow("web db:client")) == "flow web -> db:client"


def test_all_faults_are_one_message() -> None:
    one = Fault("rule-a", "node a", "it is wrong", "Mend it")
    assert str(one) == "node a: it is wrong. Mend it. [rule-a]"
    assert str(FaultsError("topology t", [one])) == "topology t: 1 fault\n   1. node a: it is wrong. Mend it. [rule-a]"
    many = FaultsError("topology t", (one for _ in range(10)))
    assert str(many).splitlines()[0] == "topology t: 10 faults"
    assert str(many).splitlines()[-1].startswith("  10. ")
    assert many.faults == (one,) * 10
