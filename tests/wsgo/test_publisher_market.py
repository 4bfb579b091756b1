"""The simulated market: prices that walk, events in proportion, payloads as clients know them."""

from __future__ import annotations

import math
from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgo.publisher.market import LISTINGS, Market, Token, listing, token_faults
from wsgo.publisher.payloads import EVENTS, TRADE_SHARE

names = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True)


@given(
    name=st.one_of(st.sampled_from(sorted(LISTINGS)), names),
    seed=st.integers(),
    interval=st.floats(0, 1e9, allow_nan=False),
    steps=st.integers(1, 400),
)
def test_a_price_is_above_zero_and_near_its_start_whatever_happens(
    name: str, seed: int, interval: float, steps: int
) -> None:
    token = Token(name, seed)
    token.set_interval(interval)
    start = listing(name).price
    for _ in range(steps):
        token.step()
        assert start / 4.001 < token.price < start * 4.001
        assert token.volume > 0
        assert math.isfinite(token.volume)


@given(seed=st.integers(), name=names)
def test_a_seed_repeats_the_walk(seed: int, name: str) -> None:
    first, second, other = Token(name, seed), Token(name, seed), Token(name, seed + 1)
    walks = []
    for token in (first, second, other):
        walk = []
        for _ in range(5):
            token.step()
            walk.append(token.price)
        walks.append(walk)
    assert walks[0] == walks[1] != walks[2]
    assert len(set(walks[0])) == 5


def test_a_walk_does_not_depend_on_the_other_tokens() -> None:
    def btc(tokens: list[str]) -> list[float]:
        market = Market(tokens, 25 * len(tokens), seed=7)
        prices: list[float] = []
        while len(prices) < 20:
            for subject, payload in market.draw(1):
                if subject == "odin.token.BTC.trade":
                    prices.append(orjson.loads(payload)["price"])
        return prices

    assert btc(["BTC"]) == btc(["BTC", "ETH", "NEW"])


def test_every_deck_holds_the_declared_proportion() -> None:
    market = Market(["BTC", "ETH", "ODIN"], 25, seed=1)
    total = sum(event.weight for event in EVENTS.values())
    drawn = Counter(subject.rpartition(".")[2] for subject, _ in market.draw(7 * total))
    assert drawn == {name: 7 * event.weight for name, event in EVENTS.items()}
    assert market.sent == drawn
    assert len(EVENTS) == 8
    assert TRADE_SHARE > 0.5


def test_tokens_take_turns() -> None:
    market = Market(["A", "B", "C"], 25, seed=1)
    tokens = [subject.split(".")[2] for subject, _ in market.draw(9)]
    assert tokens == ["A", "B", "C"] * 3


def test_payloads_are_json_with_the_common_fields_and_unique_nonces() -> None:
    market = Market([*LISTINGS, "X-1"], 25, seed=3)
    nonces = set()
    for subject, payload in market.draw(1100):
        _, _, token, event = subject.split(".")
        data = orjson.loads(payload)
        assert data["tokenId"] == token
        assert data["type"] == ("price:update" if event == "trade" else f"{event}:update")
        assert data["nonce"].startswith(f"{data['timestamp']}_")
        nonces.add(data["nonce"])
        assert len(payload) < 400
    assert len(nonces) == 1100


def test_a_trade_is_the_originals_price_update() -> None:
    market = Market(list(LISTINGS), 25, seed=3)
    trades = [payload for subject, payload in market.draw(500) if subject.endswith(".trade")]
    for payload in trades:
        data = orjson.loads(payload)
        assert list(data) == [
            *("type", "tokenId", "price", "volume24h", "marketCap"),
            *("priceChange24h", "timestamp", "source", "nonce"),
        ]
        assert data["source"] == "simulator"
        assert data["price"] > 0
        assert data["marketCap"] == pytest.approx(data["price"] * listing(data["tokenId"]).supply, rel=1e-4)
        assert 200 <= len(payload) <= 250


def test_configure_keeps_the_walk_of_tokens_that_stay() -> None:
    market = Market(["BTC", "ETH"], 25, seed=5)
    for _ in market.draw(200):
        pass
    kept = market.tokens["BTC"]
    price = kept.price
    market.configure(["SOL", "BTC"], 100)
    assert market.tokens["BTC"] is kept
    assert kept.price == price
    assert {subject.split(".")[2] for subject, _ in market.draw(50)} == {"SOL", "BTC"}


def test_an_unknown_token_starts_the_same_on_every_run() -> None:
    assert listing("NEWCOIN") == listing("NEWCOIN")
    assert listing("NEWCOIN") != listing("NEWCOIN2")


@pytest.mark.parametrize(
    ("tokens", "faults"),
    [
        (["BTC", "x_1-Y"], 0),
        ([], 1),
        (["A.B"], 1),
        (["*"], 1),
        ([">"], 1),
        (["A B"], 1),
        ([""], 1),
        (["A" * 33], 1),
        (["A\n"], 1),
        ([7], 1),
        (["A", "A"], 1),
        (["A", "A", "B.C"], 2),
        ([f"T{n}" for n in range(1001)], 1),
    ],
)
def test_token_names_are_checked(tokens: list[object], faults: int) -> None:
    assert len(token_faults(tokens)) == faults
