"""The environment: defaults, every fault named at once, and the start that it prevents."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from pydantic import ValidationError

from tests.support import ROOT
from wsgo.publisher.settings import Settings, documentation, faults


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _, _ in documentation():
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the publisher to its end."""
    return subprocess.run(
        [sys.executable, "-m", "wsgo.publisher", *arguments],
        env={**os.environ, **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_defaults_are_the_plans() -> None:
    settings = Settings()
    assert settings.tokens == ("BTC", "ETH", "ODIN", "SOL", "DOGE", "USDT", "BNB", "XRP", "ADA", "MATIC")
    assert (settings.nats_url, settings.port, settings.rate) == ("nats://127.0.0.1:4222", 3003, 25)
    assert (settings.js_stream_name, settings.js_stream_storage) == ("ODIN_TOKENS", "file")
    limits = (settings.js_stream_max_age, settings.js_stream_max_msgs, settings.js_stream_max_bytes)
    assert limits == (30, 100_000, 52_428_800)
    assert settings.autostart
    assert settings.seed is None


def test_values_are_read_as_they_are_written_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "TOKENS": " BTC, ETH ,",
        "RATE": "0.5",
        "AUTOSTART": "false",
        "JS_STREAM_MAX_AGE": "5m",
        "JS_STREAM_STORAGE": "Memory",
        "SEED": "7",
        "LOG_LEVEL": "WARN",
        "LOG_FORMAT": "",
        "NATS_URL": "nats://odin:secret@one:4222, tls://two",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.tokens == ("BTC", "ETH")
    assert (settings.rate, settings.autostart, settings.seed) == (0.5, False, 7)
    assert (settings.js_stream_max_age, settings.js_stream_storage) == (300, "memory")
    assert (settings.log_level, settings.log_format) == ("warn", "json")
    assert settings.nats_servers == ["nats://odin:secret@one:4222", "tls://two"]
    assert settings.nats_shown == "nats://one:4222,tls://two"


@pytest.mark.parametrize(("written", "seconds"), [("500ms", 0.5), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("12", 12)])
def test_durations(written: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JS_STREAM_MAX_AGE", written)
    assert Settings().js_stream_max_age == seconds


WRONG = {
    "TOKENS": "BTC,A.B,BTC",
    "NATS_URL": "http://user:secret@host",
    "PORT": "70000",
    "RATE": "100001",
    "AUTOSTART": "perhaps",
    "JS_STREAM_NAME": "ODIN TOKENS",
    "JS_STREAM_MAX_AGE": "soon",
    "JS_STREAM_MAX_MSGS": "0",
    "JS_STREAM_MAX_BYTES": "many",
    "JS_STREAM_STORAGE": "tape",
    "SEED": "x",
    "LOG_LEVEL": "loud",
    "LOG_FORMAT": "xml",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_fault_is_said_with_what_is_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, WRONG[name])
    with pytest.raises(ValidationError) as caught:
        Settings()
    message = faults(caught.value)
    described = {documented: text for documented, _, text in documentation()}
    assert message.startswith("wsgo.publisher: 1 setting cannot be used:")
    assert f"  {name}" in message
    assert described[name] in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("RATE", "0"), ("RATE", "nan"), ("RATE", "inf"), ("JS_STREAM_MAX_AGE", "0s"), ("NATS_URL", "nats://a:99999")],
)
def test_edges_are_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_all_faults_end_the_start_in_one_message() -> None:
    ended = run(**WRONG)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"wsgo.publisher: {len(WRONG)} settings cannot be used:")
    assert all(f"\n  {name}" in ended.stderr for name in WRONG)
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = run(HOST="127.0.0.1", PORT=str(port))
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "PORT" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_address_that_is_not_ours_is_named() -> None:
    ended = run(HOST="192.0.2.1", PORT="0")
    assert ended.returncode == 2
    assert "192.0.2.1" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_help_lists_every_setting() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert all(f"  {name}" in ended.stdout for name, _, _ in documentation())
    wrong = run("--rate", "5")
    assert wrong.returncode == 2
    assert "no arguments" in wrong.stderr


def test_documentation_gives_defaults_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = documentation()
    assert all(text and "\n" not in text for _, _, text in rows)
    shown = {name: default for name, default, _ in rows}
    assert (shown["JS_STREAM_MAX_AGE"], shown["AUTOSTART"], shown["SEED"]) == ("30s", "true", "")
    defaults = Settings()
    for name, default in shown.items():
        monkeypatch.setenv(name, default)
    assert Settings() == defaults
