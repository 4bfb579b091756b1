from __future__ import annotations

from dataclasses import replace

import pytest

from constructs_lib.checks import faults
from constructs_lib.firewall import rules
from constructs_lib.model import Rule
from tests.constructs_lib.tiny import (
    ADMIN,
    BACK,
    DB,
    FLOWS,
    FRONT,
    HTTP,
    INTERNET,
    PAIR,
    WEB,
    clean,
    flow,
    node,
    of,
    only,
    pair,
    service,
    topology,
)

ALLOW_WEB, ALLOW_DB, DENY = rules(PAIR)


def test_the_derived_rules_pass_as_written_by_hand() -> None:
    clean(replace(PAIR, rules=rules(PAIR)))


def test_a_port_that_no_flow_needs() -> None:
    wide = replace(ALLOW_DB, allows=(("tcp", 4222), ("tcp", 8222)))
    only(
        replace(PAIR, rules=(ALLOW_WEB, wide, DENY)),
        "rule-unused",
        f"rule {ALLOW_DB.name}",
        "tcp:8222 of back to front (tag web)",
    )


def test_an_address_that_no_flow_comes_from() -> None:
    wide = replace(ALLOW_DB, source_ranges=("10.0.0.0/8",))
    only(replace(PAIR, rules=(ALLOW_WEB, wide, DENY)), "rule-unused", f"rule {ALLOW_DB.name}", "to 10.0.0.0/8")


def test_a_range_inside_a_declared_one_is_needed() -> None:
    halves = replace(ALLOW_WEB, name="halves", source_ranges=("0.0.0.0/1", "128.0.0.0/1"))
    clean(replace(PAIR, rules=(ALLOW_WEB, halves, ALLOW_DB, DENY)))


def test_a_rule_merged_from_two_flows_opens_every_pair() -> None:
    flows = (flow("internet web:http"), flow("web db:client", rule="both"), flow("admin db:admin", rule="both"))
    db = replace(DB, ports=(*DB.ports, replace(HTTP, name="admin", host=None)))
    good = pair(db=db, flows=(*flows[:2], replace(flows[2], rule="")), actors=(INTERNET, ADMIN))
    clean(good)
    found = [fault for fault in faults(replace(good, flows=flows)) if fault.rule == "rule-unused"]
    assert {fault.where for fault in found} == {"rule both"}
    assert [fault.what for fault in found] == [
        "it opens tcp:4222 of back to 203.0.113.0/24, and no flow needs that",
        "it opens tcp:8080 of back to front (tag web), and no flow needs that",
    ]


def test_a_source_tag_that_another_node_carries_too() -> None:
    # The world comes in by another tag here, so that only the way to db is too wide.
    front = replace(FRONT, services=(replace(WEB, ports=(replace(HTTP, tag="allow-http"),)),))
    clean(replace(PAIR, nodes=(front, BACK, node("third", service("job")))))
    broken = replace(PAIR, nodes=(front, BACK, node("third", service("job", tag="web"))))
    only(broken, "rule-unused", f"rule {ALLOW_DB.name}", "tcp:4222 of back to third (tag web)")


def test_a_target_tag_that_another_node_carries_too() -> None:
    third = node("third", service("job", tag="db"))
    only(
        replace(PAIR, nodes=(FRONT, BACK, third)), "rule-unused", f"rule {ALLOW_DB.name}", "tcp:4222 of third to front"
    )


def test_a_machine_needs_no_rule_to_reach_itself() -> None:
    own = Rule(name="own", why="", target_tags=("db",), source_tags=("db",), allows=(("tcp", 4222),))
    only(replace(PAIR, rules=(*rules(PAIR), own)), "rule-unused", "rule own", "source tag db")


@pytest.mark.parametrize("side", ["source_tags", "target_tags"])
def test_a_tag_that_no_node_carries(side: str) -> None:
    wrong = replace(ALLOW_DB, **{side: (*getattr(ALLOW_DB, side), "backup")})  # type: ignore[arg-type]
    only(replace(PAIR, rules=(ALLOW_WEB, wrong, DENY)), "rule-tag", f"rule {ALLOW_DB.name}", "backup")


def test_a_ports_tag_that_no_rule_names() -> None:
    web = replace(WEB, ports=(replace(HTTP, tag="allow-http"),))
    clean(pair(web=web))
    only(pair(web=web, rules=rules(PAIR)), "tag-unused", "node front", "allow-http for web:http")


def test_a_services_tag_that_no_rule_names() -> None:
    everyone = replace(ALLOW_DB, source_tags=("odin",), target_tags=("odin",))
    fault = of(replace(PAIR, rules=(ALLOW_WEB, everyone, DENY)), "tag-unused")
    assert (fault.where, "tag db for db:client" in fault.what) == ("node back", True)


def test_the_tags_of_services_that_stay_inside_are_nobodys_fault() -> None:
    clean(topology(node("front", WEB, DB), flows=FLOWS, actors=(INTERNET,)))


@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        (replace(ALLOW_DB, name="more", allows=()), "opens no port"),
        (replace(ALLOW_WEB, name="more", source_ranges=()), "no source, which means everywhere"),
        (replace(DENY, name="more", priority=65536), "65536"),
        (replace(DENY, name="more", source_ranges=("0.0.0.0/0", "::/0")), "IPv4 and IPv6"),
        (replace(DENY, name="more", target_tags=()), "every machine"),
    ],
)
def test_a_rule_that_google_refuses_or_reads_otherwise(wrong: Rule, value: str) -> None:
    only(replace(PAIR, rules=(*rules(PAIR), wrong)), "rule-form", "rule more", value)


@pytest.mark.parametrize(
    "rest",
    [
        (),
        (replace(DENY, priority=65534),),
        (replace(DENY, source_ranges=("10.0.0.0/8",)),),
        (replace(DENY, allows=(("tcp", 22),)),),
    ],
)
def test_the_networks_own_rules_stay_in_force(rest: tuple[Rule, ...]) -> None:
    only(replace(PAIR, rules=(ALLOW_WEB, ALLOW_DB, *rest)), "rest-open", "network default", "front and back")


def test_the_rest_is_shut_on_every_node() -> None:
    partly = replace(DENY, target_tags=("web",))
    fault = only(replace(PAIR, rules=(ALLOW_WEB, ALLOW_DB, partly)), "rest-open", "network default", "on back,")
    assert "front" not in fault.what
