from __future__ import annotations

from dataclasses import replace

import pytest

from constructs_lib.checks import faults
from constructs_lib.firewall import rules
from constructs_lib.model import Actor, Topology, Volume
from tests.constructs_lib.tiny import (
    ADMIN,
    BACK,
    DB,
    FLOWS,
    FRONT,
    HTTP,
    INTERNET,
    OPERATOR,
    PAIR,
    SSH_FLOWS,
    WEB,
    clean,
    flow,
    only,
    pair,
)


def test_nothing_is_wrong_with_the_pair() -> None:
    clean(PAIR)


def test_a_service_with_the_name_of_its_node() -> None:
    broken = replace(PAIR, nodes=(FRONT, replace(BACK, name="db")))
    only(broken, "unique-name", "service db on db", "node db has the same name")


def test_two_services_of_one_name() -> None:
    broken = replace(PAIR, nodes=(FRONT, replace(BACK, services=(DB, DB))))
    assert "unique-name" in {fault.rule for fault in faults(broken)}


def test_two_rules_of_one_name() -> None:
    by_hand = rules(PAIR)
    clean(replace(PAIR, rules=by_hand))
    only(replace(PAIR, rules=(*by_hand, by_hand[0])), "unique-rule", f"rule {by_hand[0].name}")


def test_a_flow_that_is_said_twice() -> None:
    only(replace(PAIR, flows=(*FLOWS, FLOWS[1])), "unique-flow", "flow web -> db:client")


NAMED = (flow("internet web_1:http", rule="allow-web"), flow("web_1 db:client", rule="allow-db"))


@pytest.mark.parametrize(
    ("broken", "where", "value"),
    [
        (replace(PAIR, network="Default"), "topology tiny", "network 'Default'"),
        (replace(PAIR, nodes=(replace(FRONT, name="front-"), BACK)), "node front-", "name 'front-'"),
        (replace(PAIR, nodes=(replace(FRONT, tag="9"), BACK)), "node front", "tag '9'"),
        (pair(web=replace(WEB, tag="a_b")), "service web", "tag 'a_b'"),
        (pair(web=replace(WEB, ports=(replace(HTTP, tag="A"),))), "service web", "tag of port http 'A'"),
        (pair(web=replace(WEB, name="web_1"), flows=NAMED), "service web_1", "name 'web_1'"),
        (replace(PAIR, flows=(FLOWS[0], flow("web db:client", rule="x" * 64))), "rule " + "x" * 64, "64 characters"),
    ],
)
def test_a_name_that_google_refuses(broken: Topology, where: str, value: str) -> None:
    only(broken, "google-name", where, value)


def test_the_longest_name_that_google_takes() -> None:
    clean(replace(PAIR, flows=(FLOWS[0], flow("web db:client", rule="x" * 63))))


def test_a_volume_that_cannot_be_a_directory() -> None:
    clean(pair(db=replace(DB, volumes=(Volume(name="db_data", target="/data"),))))
    only(
        pair(db=replace(DB, volumes=(Volume(name="../etc", target="/data"),))), "volume-name", "service db", "'../etc'"
    )


def test_an_actor_both_outside_and_in_a_tunnel() -> None:
    flows = (*FLOWS, flow("operator web:http"), *SSH_FLOWS)
    clean(replace(PAIR, flows=flows, actors=(INTERNET, OPERATOR, ADMIN)))
    both = replace(OPERATOR, cidrs=("203.0.113.0/24",))
    only(replace(PAIR, flows=flows, actors=(INTERNET, both, ADMIN)), "actor", "actor operator", "203.0.113.0/24")


@pytest.mark.parametrize("cidr", ["203.0.113.7/24", "everywhere", "10.0.0.0/33"])
def test_an_actor_without_a_readable_address(cidr: str) -> None:
    only(replace(PAIR, actors=(Actor(name="internet", cidrs=(cidr,)),)), "cidr", "actor internet", cidr)


def test_a_rule_without_a_readable_address() -> None:
    first, *rest = rules(PAIR)
    wrong = replace(first, source_ranges=("0.0.0.0/0", "10.0.0.1/8"))
    only(replace(PAIR, rules=(wrong, *rest)), "cidr", f"rule {first.name}", "10.0.0.1/8")
