"""What the stacks hold: the plan's names, and the rules that it forgot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.stacks.conftest import STACKS, instance, synthesize

if TYPE_CHECKING:
    import pytest

Synthesized = dict[str, dict[str, Any]]


def firewalls(synthesized: Synthesized) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in STACKS:
        for rule in synthesized[name]["resource"]["google_compute_firewall"].values():
            assert rule["name"] not in found, "one rule, one stack"
            found[rule["name"]] = rule
    return found


def test_instances_are_the_plans(synthesized: Synthesized) -> None:
    for name, instance_name in (("backend", "odin-backend"), ("wsgo", "odin-ws-go")):
        machine = instance(synthesized[name])
        assert machine["name"] == instance_name
        assert machine["machine_type"] == "e2-small"
        assert machine["zone"] == "us-central1-a"
        assert machine["network_interface"][0]["network"] == "default"
        assert machine["boot_disk"]["initialize_params"]["type"] == "pd-standard"
    assert {"backend", "monitoring"} <= set(instance(synthesized["backend"])["tags"])
    assert {"ws-server", "allow-websocket"} <= set(instance(synthesized["wsgo"])["tags"])


def test_the_plans_rules_keep_their_names_and_ports(synthesized: Synthesized) -> None:
    rules = firewalls(synthesized)
    assert rules["allow-websocket"]["allow"] == [{"protocol": "tcp", "ports": ["3004"]}]
    assert rules["allow-websocket"]["source_ranges"] == ["0.0.0.0/0"]
    assert rules["allow-prometheus-scrape"]["allow"] == [{"protocol": "tcp", "ports": ["3002"]}]
    assert rules["allow-prometheus-scrape"]["source_tags"] == ["monitoring"]
    assert rules["allow-nats-internal"]["allow"] == [{"protocol": "tcp", "ports": ["4222"]}]
    assert rules["allow-nats-internal"]["source_tags"] == ["ws-server"]
    assert rules["allow-nats-internal"]["target_tags"] == ["backend"]


def test_only_the_websocket_is_open_to_everyone(synthesized: Synthesized) -> None:
    everyone = {
        name
        for name, rule in firewalls(synthesized).items()
        if "0.0.0.0/0" in rule.get("source_ranges", []) and "allow" in rule
    }
    assert everyone == {"allow-websocket"}


def test_what_no_flow_declares_is_denied_before_the_networks_own_rules_allow_it(synthesized: Synthesized) -> None:
    deny = firewalls(synthesized)["deny-odin-rest"]
    assert deny["deny"] == [{"protocol": "all"}]
    assert 1000 < deny["priority"] < 65534
    assert all("odin" in instance(synthesized[name])["tags"] for name in STACKS)


def test_a_changed_payload_replaces_the_machine_and_not_its_state(synthesized: Synthesized) -> None:
    backend = synthesized["backend"]
    machine = instance(backend)
    (data,) = backend["resource"]["terraform_data"]
    assert machine["lifecycle"]["replace_triggered_by"] == [f"terraform_data.{data}"]
    (disk,) = backend["resource"]["google_compute_disk"]
    assert machine["attached_disk"][0]["source"] == f"${{google_compute_disk.{disk}.id}}"


def test_the_state_file_lies_beside_the_checkout(synthesized: Synthesized) -> None:
    for name in STACKS:
        backend = synthesized[name]["terraform"]["backend"]
        assert backend == {"local": {"path": f"../../../terraform.{name}.tfstate"}}


def test_outputs_have_plain_names(synthesized: Synthesized) -> None:
    assert {"ws_url", "health_url", "external_ip", "internal_dns"} <= set(synthesized["wsgo"]["output"])
    assert {"tunnel", "nats_url", "external_ip", "internal_dns"} <= set(synthesized["backend"]["output"])


def test_settings_reach_the_stacks(tmp_path_factory: pytest.TempPathFactory) -> None:
    stacks = synthesize(
        tmp_path_factory.mktemp("other"),
        ODIN_PROJECT="another-project",
        ODIN_ZONE="europe-west1-b",
        ODIN_REGION="europe-west1",
        ODIN_WSGO_MACHINE_TYPE="e2-medium",
        ODIN_GRAFANA_CIDRS='["203.0.113.0/24"]',
        ODIN_IMAGES__NATS="nats:2.12.3-alpine",
        ODIN_LIMITS__WS_GO__MEMORY_MIB="2048",
    )
    machine = instance(stacks["wsgo"])
    assert (machine["machine_type"], machine["zone"]) == ("e2-medium", "europe-west1-b")
    assert "memory: 2048M" in machine["metadata"]["user-data"]
    assert "odin-backend.europe-west1-b.c.another-project.internal:4222" in machine["metadata"]["user-data"]
    assert "nats:2.12.3-alpine" in instance(stacks["backend"])["metadata"]["user-data"]
    rules = firewalls(stacks)
    assert rules["allow-grafana"]["source_ranges"] == ["203.0.113.0/24"]
    assert "0.0.0.0:3010:3000" in instance(stacks["backend"])["metadata"]["user-data"]
