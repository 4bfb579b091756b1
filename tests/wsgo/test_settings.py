"""wsgo/settings.py: every fault is named at once, with what to write instead."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import ROOT
from wsgo import settings
from wsgo.settings import SettingsError, load

PLAN = {
    "WS_CPU_LIMIT": "1.9",
    "WS_MEMORY_LIMIT": "1879048192",
    "WS_MAX_CONNECTIONS": "10000",
    "WS_WORKER_POOL_SIZE": "256",
    "WS_WORKER_QUEUE_SIZE": "25600",
    "WS_MAX_GOROUTINES": "25000",
    "WS_MAX_NATS_RATE": "0",
    "WS_MAX_BROADCAST_RATE": "0",
    "WS_CPU_REJECT_THRESHOLD": "75.0",
    "WS_CPU_PAUSE_THRESHOLD": "80.0",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
    "METRICS_INTERVAL": "15s",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _, _ in settings.documentation():
        monkeypatch.delenv(name, raising=False)


def test_defaults() -> None:
    config = load()
    assert (config.addr, config.nats_url, config.stream) == (":3002", "nats://127.0.0.1:4222", "ODIN_TOKENS")
    assert (config.max_connections, config.memory_limit, config.worker_count) == (10_000, 512 * 2**20, 1)


def test_the_plans_environment_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLAN.items():
        monkeypatch.setenv(name, value)
    config = load()
    assert config.memory_limit == 1_879_048_192
    assert config.metrics_interval == 15
    assert [line for line in settings.warnings(PLAN) if "no effect" in line] == settings.warnings(PLAN)


def test_flags_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_ADDR", ":1")
    monkeypatch.setenv("NATS_URL", "nats://other:1")
    config = load({"WS_ADDR": ":2"})
    assert (config.addr, config.nats_url) == (":2", "nats://other:1")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WS_ADDR", "3002", "write :PORT or HOST:PORT"),
        ("WS_ADDR", ":65536", "write :PORT or HOST:PORT"),
        ("WS_INTERNAL_ADDR", ":3002", "the same as WS_ADDR"),
        ("NATS_URL", "localhost:4222", "nats://host:4222"),
        ("JS_STREAM_NAME", "A.B", "not a stream name"),
        ("WS_MEMORY_LIMIT", "lots", "not a size"),
        ("WS_MAX_CONNECTIONS", "-1", "greater than or equal to 0"),
        ("WS_MAX_CONNECTIONS", "many", "integer"),
        ("WS_CPU_REJECT_THRESHOLD", "101", "less than or equal to 100"),
        ("WS_CPU_PAUSE_THRESHOLD", "70", "below WS_CPU_REJECT_THRESHOLD"),
        ("WS_WORKER_POOL_SIZE", "x", "integer"),
        ("LOG_LEVEL", "loud", "debug"),
        ("LOG_FORMAT", "xml", "json"),
        ("METRICS_INTERVAL", "0", "greater than 0"),
        ("METRICS_INTERVAL", "soon", "not a duration"),
        ("WS_LIVE_PAGE", "maybe", "boolean"),
        ("WS_CPU_LIMIT", "-1", "greater than or equal to 0"),
        ("WS_WORKERS", "1000", "less than or equal to 256"),
    ],
)
def test_a_fault_names_variable_value_and_what_to_write(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load()
    assert f"{name}='{value}'" in str(error.value)
    assert says in str(error.value)


def test_a_wrong_secret_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_AUTH_TOKEN", "s3cret")
    monkeypatch.setenv("WS_ADDR", "x")
    with pytest.raises(SettingsError) as error:
        load()
    assert "s3cret" not in str(error.value)
    monkeypatch.delenv("WS_ADDR")
    assert "s3cret" not in repr(load())


@pytest.mark.parametrize(
    ("text", "size"), [("65536", 65536), ("64KiB", 65536), ("512 MiB", 2**29), ("1GB", 10**9), ("2gib", 2**31)]
)
def test_sizes(text: str, size: int) -> None:
    assert settings.parse_size(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("15s", 15), ("500ms", 0.5), ("2m", 120), ("1.5", 1.5)])
def test_durations(text: str, seconds: float) -> None:
    assert settings.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "address"),
    [(":80", ("0.0.0.0", 80)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9", ("::1", 9)), ("a.b:1", ("a.b", 1))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert settings.parse_address(text) == address


def test_a_mistyped_name_is_pointed_out() -> None:
    assert settings.warnings({"WS_MAX_CONECTIONS": "1", "HOME": "/"}) == [
        "WS_MAX_CONECTIONS: no such setting; did you mean WS_MAX_CONNECTIONS?"
    ]


def test_workers_follow_the_cpu_limit_and_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    counts = []
    for limit in ("0.5", "1", "1.9", "16", "0"):
        monkeypatch.setenv("WS_CPU_LIMIT", limit)
        counts.append(load().worker_count)
    assert counts == [1, 1, 2, 4, 4]
    monkeypatch.setenv("WS_WORKERS", "3")
    assert load().worker_count == 3


def test_every_setting_is_documented() -> None:
    rows = settings.documentation()
    assert len({name for name, _, _ in rows}) == len(rows) == len(settings.Settings.model_fields)
    assert all(name.isupper() and len(description) > 10 for name, _, description in rows)
    assert ("WS_MEMORY_LIMIT", "512MiB") in {(name, default) for name, default, _ in rows}


def run_wsgo(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wsgo", *arguments],
        env={"PATH": os.environ["PATH"], **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_all_faults_at_once_and_exit_code_2() -> None:
    ended = run_wsgo(WS_MAX_CONNECTIONS="x", LOG_LEVEL="loud", NATS_URL="nope")
    assert ended.returncode == 2
    assert all(name in ended.stderr for name in ("WS_MAX_CONNECTIONS", "LOG_LEVEL", "NATS_URL"))
    assert "Traceback" not in ended.stderr


def test_check_validates_and_exits() -> None:
    ended = run_wsgo("--check", WS_MAX_CONECTIONS="1")
    assert ended.returncode == 0
    assert "did you mean WS_MAX_CONNECTIONS?" in ended.stdout


def test_help_names_the_flags() -> None:
    ended = run_wsgo("-h")
    assert ended.returncode == 0
    assert "-addr" in ended.stdout
    assert "-nats" in ended.stdout
