"""wsgo/channels.py: names, patterns, and the lookup against a plain NATS matcher."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgo.channels import from_subject, is_channel, matching_names

TOKENS = st.sampled_from(["BTC", "ETH", "trade", "social", "a"])
PATTERNS = st.one_of(
    st.just(">"),
    st.tuples(st.one_of(TOKENS, st.just("*")), st.one_of(TOKENS, st.sampled_from(["*", ">"]))).map(".".join),
)


def nats_matches(pattern: str, channel: str) -> bool:
    """Token by token, as the NATS documentation puts it."""
    want, have = pattern.split("."), channel.split(".")
    for index, token in enumerate(want):
        if token == ">":
            return index < len(have)
        if index >= len(have) or token not in {"*", have[index]}:
            return False
    return len(want) == len(have)


@given(PATTERNS, TOKENS, TOKENS)
def test_the_seven_names_are_exactly_the_patterns_that_match(pattern: str, symbol: str, event: str) -> None:
    channel = f"{symbol}.{event}"
    assert (pattern in matching_names(channel)) == nats_matches(pattern, channel)


@given(PATTERNS)
def test_every_such_pattern_may_be_subscribed_to(pattern: str) -> None:
    assert is_channel(pattern)


@pytest.mark.parametrize(
    "name",
    ["", "BTC", "*", "BTC.", ".trade", "BTC.trade.x", "BTC.*.x", "B*.trade", ">.x", "BTC.a b", "BTC.a\n", 3, None],
)
def test_anything_else_is_no_channel(name: object) -> None:
    assert not is_channel(name)


def test_a_name_may_have_128_characters() -> None:
    assert is_channel("B." + "x" * 126)
    assert not is_channel("B." + "x" * 127)


@pytest.mark.parametrize(
    ("subject", "channel"),
    [
        ("odin.token.BTC.trade", "BTC.trade"),
        ("odin.token.BTC.trade.extra", "BTC.trade"),
        ("odin.token.BTC", None),
        ("other.token.BTC.trade", None),
    ],
)
def test_subjects_become_channels(subject: str, channel: str | None) -> None:
    assert from_subject(subject) == channel
