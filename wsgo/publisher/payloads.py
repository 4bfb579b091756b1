"""The eight events of a token: how often each happens, and what its payload says.

Every payload is JSON with `type`, `tokenId`, `timestamp` (unix ms) and a unique `nonce`; the
events are those of the original's catalogue of backend triggers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .market import Token

_TRADE = (
    b'{"type":"price:update","tokenId":"%b","price":%.6f,"volume24h":%.2f,"marketCap":%.2f,'
    b'"priceChange24h":%.2f,"timestamp":%d,"source":"simulator","nonce":"%d_%09x"}'
)


def render_trade(token: Token, now: int, serial: int) -> bytes:
    """Give a trade with the original's fields: price and sums in USD, the change in percent."""
    price = token.price
    return _TRADE % (
        token.name.encode(),
        price,
        token.volume,
        price * token.supply,
        (price / token.open - 1.0) * 100.0,
        now,
        now,
        serial,
    )


def _liquidity(token: Token, rng: Random) -> dict[str, Any]:
    pool = token.volume * rng.uniform(0.4, 0.6)
    return {
        "action": rng.choice(("add", "remove", "rebalance")),
        "user": _user(rng),
        "amount": round(pool * rng.uniform(0.0001, 0.01), 2),
        "usdLiquidity": round(pool, 2),
        "tokenLiquidity": round(pool / token.price, 6),
    }


def _metadata(token: Token, rng: Random) -> dict[str, Any]:
    site = token.name.lower()
    return {
        "name": f"{token.name} Token",
        "description": f"{token.name} in Odin's simulated market, revision {rng.randrange(1000)}",
        "website": f"https://{site}.example",
        "twitter": f"@{site}_token",
        "verified": rng.random() < 0.9,
        "featured": rng.random() < 0.1,
    }


def _social(token: Token, rng: Random) -> dict[str, Any]:
    return {
        "action": rng.choice(("comment", "comment", "upvote", "upvote", "pin")),
        "user": _user(rng),
        "commentId": f"c{rng.getrandbits(32):08x}",
        "text": rng.choice(("to the moon", "holding", "who is selling?", "nice chart", f"${token.name} all day")),
        "commentCount": rng.randrange(100, 100_000),
    }


def _favorites(token: Token, rng: Random) -> dict[str, Any]:
    return {
        "action": rng.choice(("favorite", "favorite", "unfavorite")),
        "user": _user(rng),
        "favoriteCount": rng.randrange(100, 50_000),
    }


def _creation(token: Token, rng: Random) -> dict[str, Any]:
    return {
        "action": rng.choice(("created", "listed")),
        "creator": _user(rng),
        "name": f"{token.name} Token",
        "ticker": token.name,
        "initialPrice": round(token.price, 6),
        "totalSupply": round(token.supply),
        "bonded": rng.random() < 0.5,
    }


def _analytics(token: Token, rng: Random) -> dict[str, Any]:
    change = (token.price / token.open - 1.0) * 100.0
    return {
        "priceDelta5m": round(rng.gauss(0, 0.1), 2),
        "priceDelta1h": round(rng.gauss(change / 24, 0.3), 2),
        "priceDelta6h": round(rng.gauss(change / 4, 0.6), 2),
        "priceDelta1d": round(change, 2),
        "holderCount": rng.randrange(1_000, 1_000_000),
        "trendingRank": rng.randrange(1, 101),
        "progress": round(rng.random(), 4),
    }


def _balances(token: Token, rng: Random) -> dict[str, Any]:
    balance = rng.expovariate(token.price / 1_000)
    return {
        "user": _user(rng),
        "balance": round(balance, 6),
        "delta": round(balance * rng.uniform(-0.5, 0.5), 6),
        "reason": rng.choice(("trade", "trade", "liquidity", "transfer")),
    }


def _user(rng: Random) -> str:
    return f"user-{rng.getrandbits(40):010x}"


@dataclass(frozen=True, slots=True)
class Event:
    """An event: how many of a hundred messages it is, and the fields it adds to the common ones."""

    name: str
    weight: int
    fields: Callable[[Token, Random], dict[str, Any]] | None

    def payload(self, token: Token, rng: Random, now: int, serial: int) -> bytes:
        """Give the event's JSON, stamped `now` (unix ms)."""
        if self.fields is None:
            return render_trade(token, now, serial)
        return orjson.dumps(
            {"type": f"{self.name}:update", "tokenId": token.name}
            | self.fields(token, rng)
            | {"timestamp": now, "source": "simulator", "nonce": f"{now}_{serial:09x}"}
        )


EVENTS: dict[str, Event] = {
    event.name: event
    for event in (
        Event("trade", 70, None),
        Event("analytics", 8, _analytics),
        Event("liquidity", 6, _liquidity),
        Event("balances", 5, _balances),
        Event("favorites", 4, _favorites),
        Event("social", 4, _social),
        Event("metadata", 2, _metadata),
        Event("creation", 1, _creation),
    )
}
TRADE_SHARE = EVENTS["trade"].weight / sum(event.weight for event in EVENTS.values())
