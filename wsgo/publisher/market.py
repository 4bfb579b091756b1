"""The market: one price walk per token, and which token and event come next."""

from __future__ import annotations

import itertools
import math
import re
import secrets
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from .payloads import EVENTS, TRADE_SHARE, render_trade

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_TOKENS = 1000
_TOKEN_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_DAY = 86_400.0
_RANGE = math.log(4)
"""A price stays within a factor of 4 of where it started, so it is above zero for ever."""
_VOLUME_MEMORY = 1 / 1000
"""Share of the 24 h volume that one trade replaces."""


def token_faults(tokens: Sequence[object]) -> list[str]:
    """Say why these names cannot be the tokens of a market; empty if they can.

    A name is one token of a NATS subject: no dots, blanks or wildcards.
    """
    found = []
    if not tokens:
        found.append("at least one token is needed")
    if len(tokens) > MAX_TOKENS:
        found.append(f"{len(tokens)} tokens are more than {MAX_TOKENS}")
    bad = [name for name in tokens if not (isinstance(name, str) and _TOKEN_NAME.fullmatch(name))]
    if bad:
        found.append(f"not 1-32 letters, digits, '_' or '-': {', '.join(map(repr, bad[:5]))}")
    twice = [name for name, count in Counter(n for n in tokens if isinstance(n, str)).items() if count > 1]
    if twice:
        found.append(f"named twice: {', '.join(map(repr, twice[:5]))}")
    return found


@dataclass(frozen=True, slots=True)
class Listing:
    """Where a token starts: price and 24 h volume in USD, tokens in circulation, volatility a day."""

    price: float
    volume: float
    supply: float
    volatility: float


# The first five start where the original's did (price, volume, market cap / price).
LISTINGS = {
    "BTC": Listing(43_250.00, 125_000_000, 19_653_179, 0.03),
    "ETH": Listing(2_580.50, 85_000_000, 120_131_757, 0.04),
    "ODIN": Listing(0.125, 2_500_000, 1_000_000_000, 0.12),
    "SOL": Listing(98.75, 15_000_000, 425_316_456, 0.06),
    "DOGE": Listing(0.078, 8_500_000, 141_025_641_026, 0.07),
    "USDT": Listing(1.0, 95_000_000, 91_700_000_000, 0.001),
    "BNB": Listing(310.40, 12_000_000, 153_856_150, 0.03),
    "XRP": Listing(0.62, 18_000_000, 53_900_000_000, 0.05),
    "ADA": Listing(0.51, 9_500_000, 35_300_000_000, 0.05),
    "MATIC": Listing(0.84, 7_800_000, 9_300_000_000, 0.06),
}


def listing(name: str) -> Listing:
    """Give a token's start; an unknown one gets its own, the same on every run."""
    if name in LISTINGS:
        return LISTINGS[name]
    draw = Random(zlib.crc32(name.encode()))  # noqa: S311 - a simulation, not a secret
    price = 10 ** draw.uniform(-2, 2)
    return Listing(price, 10 ** draw.uniform(5, 7), 10 ** draw.uniform(8, 9) / price, draw.uniform(0.02, 0.12))


class Token:
    """One token's state. A walk depends on its seed and its own steps only, not on other tokens."""

    __slots__ = (
        "_away",
        "_gauss",
        "_pull",
        "_random",
        "_sigma",
        "_start",
        "name",
        "open",
        "price",
        "supply",
        "volume",
    )

    def __init__(self, name: str, seed: int | None = None) -> None:
        start = listing(name)
        rng = Random(None if seed is None else f"{seed}:{name}")  # noqa: S311 - a simulation, not a secret
        self.name = name
        self.price = start.price
        self.volume = start.volume
        self.supply = start.supply
        self.open = start.price * math.exp(rng.gauss(0, start.volatility))
        """The price 24 hours ago."""
        self._start = start
        self._away = 0.0
        self._gauss = rng.gauss
        self._random = rng.random
        self.set_interval(1.0)

    def set_interval(self, seconds: float) -> None:
        """Say how much market time passes between two steps: it scales them."""
        days = min(seconds, _DAY) / _DAY
        self._sigma = self._start.volatility * math.sqrt(days)
        self._pull = 1.0 - days

    def step(self) -> None:
        """Let one trade happen.

        The logarithm of the price walks, drawn back over a day: volatility is in proportion to
        the price, and neither zero nor infinity is ever reached.
        """
        start = self._start
        away = self._away * self._pull + self._sigma * self._gauss(0.0, 1.0)
        if not -_RANGE < away < _RANGE:
            away = math.copysign(_RANGE, away)
        self._away = away
        self.price = start.price * math.exp(away)
        # A sum of exponential trade sizes that forgets: it stays near where it started.
        traded = -math.log(1.0 - self._random()) * start.volume
        self.volume += (traded - self.volume) * _VOLUME_MEMORY


class Market:
    """All tokens, and the order of what happens: tokens in turn, events from a shuffled deck.

    A deck holds each event as often as `EVENTS` says, so the proportion is exact over every deck.
    """

    def __init__(self, tokens: Iterable[str], rate: float, seed: int | None = None) -> None:
        self._seed = seed
        self._rng = Random(seed)  # noqa: S311 - a simulation, not a secret
        self._full_deck = [name for name, event in EVENTS.items() for _ in range(event.weight)]
        self._deck: list[str] = []
        # Random start: two runs that share a millisecond still have different nonces.
        self._serial = secrets.randbits(35)
        self._subjects: dict[tuple[str, str], str] = {}
        self._turn: Iterator[Token] = iter(())
        self.tokens: dict[str, Token] = {}
        self.sent = dict.fromkeys(EVENTS, 0)
        """Messages drawn so far, by event."""
        self.configure(tokens, rate)

    def configure(self, tokens: Iterable[str], rate: float) -> None:
        """Take these tokens and this rate (messages/s) from now on; tokens that stay walk on."""
        self.tokens = {name: self.tokens.get(name) or Token(name, self._seed) for name in tokens}
        for token in self.tokens.values():
            token.set_interval(len(self.tokens) / (rate * TRADE_SHARE))
        self._subjects = {(t, e): f"odin.token.{t}.{e}" for t in self.tokens for e in EVENTS}
        self._turn = itertools.cycle(self.tokens.values())

    def draw(self, count: int) -> Iterator[tuple[str, bytes]]:
        """Give the next `count` messages as (subject, JSON payload), stamped with the time now."""
        subjects, sent, turn = self._subjects, self.sent, self._turn
        now = time.time_ns() // 1_000_000
        for _ in range(count):
            if not self._deck:
                self._deck = self._full_deck.copy()
                self._rng.shuffle(self._deck)
            event = self._deck.pop()
            token = next(turn)
            self._serial = serial = (self._serial + 1) & 0xFFFFFFFFF
            if event == "trade":
                token.step()
                payload = render_trade(token, now, serial)
            else:
                payload = EVENTS[event].payload(token, self._rng, now, serial)
            sent[event] += 1
            yield subjects[token.name, event], payload
