from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from constructs_lib.checks import faults
from constructs_lib.firewall import rules
from constructs_lib.model import Actor, Port, Speaks
from constructs_lib.publishing import publishes
from tests.constructs_lib.tiny import (
    ADMIN,
    DB,
    FLOWS,
    HTTP,
    INTERNET,
    OPERATOR,
    PAIR,
    SSH_FLOWS,
    WEB,
    alone,
    clean,
    flow,
    only,
    pair,
)

INTO_WEB, INTO_DB = FLOWS
EXTRA = Port(name="extra", number=9000, speaks=(Speaks.HTTP,))


def test_a_source_that_is_not_declared() -> None:
    broken = replace(PAIR, flows=(*FLOWS, flow("app db:client")))
    only(broken, "flow-source", "flow app -> db:client", "app is not declared", "services: web, db; actors: internet")


def test_a_node_does_not_talk() -> None:
    only(replace(PAIR, flows=(*FLOWS, flow("front db:client"))), "flow-source", "flow front -> db:client", "is a node")


def test_a_target_that_is_not_declared() -> None:
    broken = replace(PAIR, flows=(*FLOWS, flow("web cache:client")))
    only(broken, "flow-target", "flow web -> cache:client", "cache is not declared", "nodes: front, back")


def test_nobody_listens_at_an_actor() -> None:
    only(replace(PAIR, flows=(*FLOWS, flow("web internet:http"))), "flow-target", "flow web -> internet:http", "actor")


def test_a_port_that_nobody_listens_on() -> None:
    broken = replace(PAIR, flows=(*FLOWS, flow("web db:monitor")))
    only(broken, "flow-port", "flow web -> db:monitor", "no port monitor", "client=4222")


def test_between_nodes_a_port_must_be_published() -> None:
    by_hand = publishes(PAIR)
    clean(replace(PAIR, publishes=by_hand))
    broken = replace(PAIR, publishes=tuple(entry for entry in by_hand if entry.service != "db"))
    only(broken, "flow-published", "flow web -> db:client", "back does not publish db's port 4222 as 4222")


def test_what_is_published_instead_is_said() -> None:
    web = replace(WEB, ports=(HTTP, replace(HTTP, name="metrics", host=None)))
    flows = (*FLOWS, flow("db web:metrics"))
    clean(pair(web=web, flows=flows))
    by_hand = tuple(entry for entry in publishes(pair(web=web, flows=flows)) if entry.port != "metrics")
    only(
        pair(web=web, flows=flows, publishes=by_hand),
        "flow-published",
        "flow db -> web:metrics",
        "web's port 8080 as 8080 (it publishes 8080 as 80)",
    )


def test_from_the_hosts_network_a_neighbour_must_be_published() -> None:
    web = replace(WEB, network="host", ports=(replace(HTTP, host=None),))
    good = alone(web, DB, flows=FLOWS, actors=(INTERNET,))
    clean(good)
    broken = replace(good, publishes=tuple(entry for entry in publishes(good) if entry.service != "db"))
    only(broken, "flow-published", "flow web -> db:client", "front does not publish db's port 4222")


def test_loopback_is_out_of_reach_for_other_nodes() -> None:
    by_hand = tuple(
        replace(entry, address="127.0.0.1") if entry.service == "db" else entry for entry in publishes(PAIR)
    )
    broken = replace(PAIR, publishes=by_hand)
    fault = only(broken, "flow-loopback", "flow web -> db:client", "127.0.0.1:4222", "web cannot reach")
    assert "tunnel" not in fault.fix


def test_loopback_is_out_of_reach_for_the_internet() -> None:
    by_hand = tuple(
        replace(entry, address="127.0.0.1") if entry.service == "web" else entry for entry in publishes(PAIR)
    )
    fault = only(
        replace(PAIR, publishes=by_hand), "flow-loopback", "flow internet -> web:http", "127.0.0.1:80", "internet"
    )
    assert "tunnel" in fault.fix


DENY = rules(PAIR)[-1]
ALLOW_DB = rules(PAIR)[1]


def test_without_a_rule_nobody_gets_in() -> None:
    only(
        replace(PAIR, rules=(rules(PAIR)[0], DENY)),
        "flow-rule",
        "flow web -> db:client",
        "lets web reach tcp:4222 on back",
    )


def test_an_actor_is_named_with_the_addresses_that_are_left_out() -> None:
    actor = Actor(name="internet", cidrs=("198.51.100.0/24", "203.0.113.0/24"))
    good = replace(PAIR, actors=(actor,))
    narrow = replace(rules(good)[0], source_ranges=("198.51.100.0/24",))
    fault = only(
        replace(good, rules=(narrow, ALLOW_DB, DENY)), "flow-rule", "flow internet -> web:http", "(203.0.113.0/24)"
    )
    assert "lets in 198.51.100.0/24" in fault.what


def test_a_wider_network_holds_a_narrower_one() -> None:
    inner, outer = Actor(name="internet", cidrs=("203.0.113.0/25",)), Actor(name="all", cidrs=("203.0.113.0/24",))
    flows = (*FLOWS, flow("all web:http", rule="all"))
    good = replace(PAIR, flows=flows, actors=(inner, outer))
    clean(replace(good, rules=tuple(rule for rule in rules(good) if rule.name != "allow-internet-web-http")))


def test_a_deny_rule_wins_a_tie() -> None:
    stern = replace(DENY, priority=ALLOW_DB.priority)
    clean(replace(PAIR, rules=(*(replace(rule, priority=999) for rule in rules(PAIR)[:-1]), stern)))
    broken = replace(PAIR, rules=(replace(rules(PAIR)[0], priority=999), ALLOW_DB, stern))
    only(broken, "flow-rule", "flow web -> db:client", f"{DENY.name} comes before {ALLOW_DB.name}")


def test_the_rule_that_was_meant_is_named() -> None:
    flows = (INTO_WEB, replace(INTO_DB, rule="allow-db"))
    good = replace(PAIR, flows=flows)
    wrong = tuple(replace(rule, allows=(("tcp", 4223),)) if rule.name == "allow-db" else rule for rule in rules(good))
    found = {fault.rule: fault for fault in faults(replace(good, rules=wrong))}
    assert set(found) == {"flow-rule", "rule-unused"}
    assert "(allow-db opens tcp:4223 of db)" in found["flow-rule"].what
    assert "tcp:4223 of back to front (tag web)" in found["rule-unused"].what


def test_a_tunnel_needs_ssh_on_its_node() -> None:
    flows, actors = (*FLOWS, flow("operator db:client")), (INTERNET, OPERATOR)
    clean(replace(PAIR, flows=(*flows, *SSH_FLOWS), actors=(*actors, ADMIN)))
    only(replace(PAIR, flows=flows, actors=actors), "tunnel-ssh", "node back", "operator", "db:client")


def test_a_tunnel_finds_its_port_published() -> None:
    flows = (*FLOWS, *SSH_FLOWS, flow("operator web:extra"))
    good = pair(web=replace(WEB, ports=(HTTP, EXTRA)), flows=flows, actors=(INTERNET, OPERATOR, ADMIN))
    clean(good)
    by_hand = tuple(entry for entry in publishes(good) if entry.port != "extra")
    only(replace(good, publishes=by_hand), "flow-published", "flow operator -> web:extra", "(it publishes 8080 as 80)")


def test_a_port_that_no_flow_asks_for() -> None:
    only(pair(web=replace(WEB, ports=(HTTP, EXTRA))), "port-unused", "service web", "9000 (extra)")


def test_an_actor_that_does_nothing() -> None:
    only(replace(PAIR, actors=(INTERNET, ADMIN)), "actor-unused", "actor admin", "no flow")


def test_an_actor_that_is_nobody_yet_needs_nothing() -> None:
    clean(replace(PAIR, actors=(Actor(name="internet"),)))


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_neighbours_need_no_rule(network: Literal["bridge", "host"]) -> None:
    db = replace(DB, network=network)
    good = alone(WEB, db, flows=FLOWS, actors=(INTERNET,))
    clean(good)
    assert [rule.name for rule in rules(good)] == ["allow-internet-web-http", "deny-tiny-rest"]
