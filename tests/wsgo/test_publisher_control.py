"""POST /control: every wrong command is refused with all its faults and what is accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgo.publisher.control import Command, CommandError, parse


def test_a_command_is_read() -> None:
    body = b'{"action":"start","messagesPerSecond":50,"duration":1000,"tokens":["BTC"],"connections":7}'
    assert parse(body) == Command(action="start", messagesPerSecond=50, duration=1000, tokens=["BTC"], connections=7)
    assert parse(b'{"action":"stop"}').tokens is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{", ["JSON"]),
        ("", ["JSON"]),
        ("[1]", ["object", "messagesPerSecond"]),
        ("{}", ["action", "start, stop or configure"]),
        ({"action": "fly"}, ["action", "start, stop or configure", "fly"]),
        ({"action": 5}, ["action"]),
        ({"action": "start", "speed": 5}, ["speed", "messagesPerSecond"]),
        ({"action": "configure"}, ["at least one"]),
        ({"action": "stop", "duration": 5}, ["duration", "stop"]),
        ({"action": "start", "messagesPerSecond": 0}, ["messagesPerSecond", "above 0"]),
        ({"action": "start", "messagesPerSecond": -1}, ["messagesPerSecond", "above 0"]),
        ({"action": "start", "messagesPerSecond": 100001}, ["messagesPerSecond", "100000"]),
        ({"action": "start", "messagesPerSecond": "5"}, ["messagesPerSecond", "number"]),
        ({"action": "start", "messagesPerSecond": True}, ["messagesPerSecond", "number"]),
        ({"action": "start", "duration": 0}, ["duration", "milliseconds"]),
        ({"action": "start", "duration": 1.5}, ["duration", "milliseconds"]),
        ({"action": "start", "connections": -1}, ["connections"]),
        ({"action": "start", "tokens": []}, ["tokens", "at least one"]),
        ({"action": "start", "tokens": "BTC"}, ["tokens", "list"]),
        ({"action": "start", "tokens": ["A.B", 7]}, ["tokens", "'A.B'", "7"]),
        ({"action": "start", "tokens": ["A", "A"]}, ["tokens", "twice"]),
        (
            {"action": "go", "messagesPerSecond": -1, "duration": "x", "tokens": [">"], "connections": {}, "x": 1},
            ["action:", "messagesPerSecond:", "duration:", "tokens:", "connections:", "x:"],
        ),
    ],
)
def test_wrong_commands_are_refused_with_every_fault(body: str | dict[str, Any], named: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        parse((body if isinstance(body, str) else json.dumps(body)).encode())
    refused = caught.value
    assert refused.status == 400
    said = "\n".join([str(refused), *refused.faults])
    assert all(word in said for word in named)
    assert len(refused.faults) == (6 if isinstance(body, dict) and body.get("action") == "go" else 1)


@given(st.one_of(st.binary(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)))
def test_garbage_is_refused_and_nothing_else_happens(garbage: object) -> None:
    body = garbage if isinstance(garbage, bytes) else json.dumps({"action": "start", "tokens": garbage}).encode()
    try:
        command = parse(body)
    except CommandError as error:
        outcome: list[str] = error.faults
    else:
        outcome = [command.action]
    assert outcome
