from __future__ import annotations

from dataclasses import replace

from constructs_lib.firewall import DENY_REST_PRIORITY, rules, target_tag
from constructs_lib.model import Actor, Rule
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
    alone,
    flow,
    pair,
)

DENY = Rule(
    name="deny-tiny-rest",
    why="what no flow declares stays shut, whatever the network's default rules allow",
    target_tags=("odin",),
    source_ranges=("0.0.0.0/0",),
    deny=True,
    priority=DENY_REST_PRIORITY,
)


def test_an_actor_comes_by_address_a_service_by_its_tag_and_the_rest_stays_out() -> None:
    assert rules(PAIR) == (
        Rule(
            name="allow-internet-web-http",
            why="a test",
            target_tags=("web",),
            source_ranges=("0.0.0.0/0",),
            allows=(("tcp", 80),),
        ),
        Rule(
            name="allow-web-db-client",
            why="a test",
            target_tags=("db",),
            source_tags=("web",),
            allows=(("tcp", 4222),),
        ),
        DENY,
    )


def test_inside_a_node_nothing_is_opened() -> None:
    flows = (FLOWS[1], flow("db db:client"), flow("operator db:client"))
    assert rules(alone(WEB, DB, flows=flows, actors=(OPERATOR,))) == (DENY,)


def test_nobody_yet_opens_nothing() -> None:
    opened = rules(replace(PAIR, actors=(Actor(name="internet"),)))
    assert [rule.name for rule in opened] == ["allow-web-db-client", "deny-tiny-rest"]


def test_what_is_not_declared_opens_nothing() -> None:
    flows = (flow("web cache:client"), flow("web db:monitor"), flow("nobody db:client"))
    assert rules(replace(PAIR, flows=flows)) == (DENY,)
    assert [target_tag(PAIR, each) for each in flows] == [None, None, "db"]


def test_flows_of_one_rule_are_one_rule() -> None:
    found = rules(replace(PAIR, flows=(*FLOWS, *SSH_FLOWS), actors=(INTERNET, ADMIN)))
    ssh = next(rule for rule in found if rule.name == "allow-ssh")
    assert ssh == Rule(
        name="allow-ssh",
        why="a test",
        target_tags=("odin",),
        source_ranges=("203.0.113.0/24",),
        allows=(("tcp", 22),),
    )


def test_a_merged_rule_holds_every_part_once() -> None:
    db = replace(DB, ports=(*DB.ports, replace(HTTP, name="admin", host=None)))
    flows = (
        flow("web db:client", rule="both", why="data"),
        flow("admin db:admin", rule="both", why="by hand"),
        flow("web db:admin", rule="both", why="data"),
    )
    both = rules(pair(db=db, flows=flows, actors=(ADMIN,)))[0]
    assert both == Rule(
        name="both",
        why="data; by hand; data",
        target_tags=("db",),
        source_tags=("web",),
        source_ranges=("203.0.113.0/24",),
        allows=(("tcp", 4222), ("tcp", 8080)),
    )


def test_a_ports_own_tag_is_the_target() -> None:
    web = replace(WEB, ports=(replace(HTTP, tag="allow-http"),))
    assert rules(pair(web=web))[0].target_tags == ("allow-http",)


def test_a_nodes_port_may_have_a_tag_of_its_own() -> None:
    ssh = replace(FRONT.ports[0], tag="front-ssh")
    nodes = (replace(FRONT, ports=(ssh,)), BACK)
    found = rules(replace(PAIR, nodes=nodes, flows=(*FLOWS, flow("admin front:ssh")), actors=(INTERNET, ADMIN)))
    assert found[-2].target_tags == ("front-ssh",)
    assert "front-ssh" in nodes[0].tags


def test_the_rest_is_denied_before_googles_default_rules_allow_it() -> None:
    assert max(rule.priority for rule in rules(PAIR) if not rule.deny) < DENY_REST_PRIORITY < 65534


def test_every_nodes_tag_is_in_the_rule_that_denies() -> None:
    nodes = (replace(FRONT, tag="one"), replace(BACK, tag="two"))
    assert rules(replace(PAIR, nodes=nodes))[-1].target_tags == ("one", "two")


def test_what_is_written_by_hand_stays() -> None:
    assert rules(replace(PAIR, rules=())) == ()
