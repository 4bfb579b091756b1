"""odin.toml and the environment: typed, all faults at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from constructs_lib.faults import FaultsError
from stacks.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("ODIN_"):
            monkeypatch.delenv(name)


def test_defaults_are_the_plans(tmp_path: Path) -> None:
    settings = load(tmp_path / "absent.toml")
    assert (settings.region, settings.zone, settings.network) == ("us-central1", "us-central1-a", "default")
    assert settings.backend_machine_type == settings.wsgo_machine_type == "e2-small"
    assert settings.websocket_cidrs == ("0.0.0.0/0",)
    assert settings.grafana_cidrs == ()
    assert settings.max_connections == 10_000
    assert (settings.cpu_reject_threshold, settings.cpu_pause_threshold) == (75.0, 80.0)
    assert settings.images.nats == "nats:2.12-alpine"
    assert settings.images.prometheus == "prom/prometheus:v3.6.0"
    assert settings.images.grafana == "grafana/grafana:12.2.0"
    assert settings.images.loki == "grafana/loki:3.3.2"
    assert settings.images.promtail == "grafana/promtail:3.3.2"
    assert (settings.limits.nats.cpus, settings.limits.nats.memory_mib) == (0.5, 256)
    assert settings.limits.ws_go.cpus == 1.8


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = tmp_path / "odin.toml"
    toml.write_text(
        'project = "from-file"\nmax_connections = 5\n'
        '[images]\nnats = "nats:2.12.3"\n[limits.loki]\ncpus = 0.1\nmemory_mib = 200\n'
    )
    monkeypatch.setenv("ODIN_MAX_CONNECTIONS", "7")
    settings = load(toml)
    assert settings.project == "from-file"
    assert settings.max_connections == 7
    assert settings.images.nats == "nats:2.12.3"
    assert settings.images.grafana == Settings().images.grafana
    assert settings.limits.loki.memory_mib == 200


def test_a_part_of_a_limit_leaves_the_other_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODIN_LIMITS__WS_GO__MEMORY_MIB", "1024")
    assert load(tmp_path / "absent.toml").limits.ws_go.cpus == 1.8


def test_every_fault_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = tmp_path / "odin.toml"
    toml.write_text(
        'project = "X"\nzone = "europe"\ncolour = "red"\ngrafana_cidrs = ["1.2.3.4/8"]\n'
        '[images]\nnats = "nats:latest"\n'
    )
    monkeypatch.setenv("ODIN_WSGO_MACHINE_TYPE", "e2-tiny")
    monkeypatch.setenv("ODIN_LIMITS__WS_GO__CPUS", "0")
    monkeypatch.setenv("ODIN_MAX_CONNECTIONS", "many")
    with pytest.raises(FaultsError) as caught:
        load(toml)
    message = str(caught.value)
    assert {fault.where for fault in caught.value.faults} == {
        "project",
        "zone",
        "colour",
        "grafana_cidrs.0",
        "images.nats",
        "wsgo_machine_type",
        "limits.ws_go.cpus",
        "max_connections",
    }
    assert "e2-small" in message
    assert "there is no such setting" in message
    assert "ODIN_MAX_CONNECTIONS" in message


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ODIN_ZONE": "europe-west1-b"}, "not in region"),
        ({"ODIN_CPU_PAUSE_THRESHOLD": "50"}, "below cpu_reject_threshold"),
        ({"ODIN_IMAGES__LOKI": "grafana/loki"}, "with its version"),
    ],
)
def test_settings_that_disagree(
    variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FaultsError, match=expected):
        load(tmp_path / "absent.toml")


def test_lists_in_the_environment_are_words_or_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODIN_TOKENS", "BTC, ETH")
    monkeypatch.setenv("ODIN_GRAFANA_CIDRS", '["203.0.113.0/24", "198.51.100.7/32"]')
    settings = load(tmp_path / "absent.toml")
    assert settings.tokens == ("BTC", "ETH")
    assert settings.grafana_cidrs == ("203.0.113.0/24", "198.51.100.7/32")


@pytest.mark.parametrize("tokens", ["a.b", "BTC,BTC", "x" * 33])
def test_a_symbol_is_what_the_publisher_takes(tokens: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODIN_TOKENS", tokens)
    with pytest.raises(FaultsError, match="tokens"):
        load(tmp_path / "absent.toml")


def test_a_variable_that_is_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODIN_PROJCT", "my-project")
    monkeypatch.setenv("ODIN_ZONE", "nowhere")
    with pytest.raises(FaultsError) as caught:
        load(tmp_path / "absent.toml")
    assert {fault.where for fault in caught.value.faults} == {"ODIN_PROJCT", "zone"}
    assert "Did you mean ODIN_PROJECT?" in str(caught.value)


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    toml = tmp_path / "odin.toml"
    toml.write_text("project = \n")
    with pytest.raises(FaultsError, match=r"odin\.toml"):
        load(toml)
