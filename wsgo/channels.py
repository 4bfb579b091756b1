"""Channel names and patterns.

A channel is `SYMBOL.EVENT`, always two tokens. A pattern uses NATS wildcards: `*` stands for one token,
`>` for all that follow. Because channels have two tokens, only seven patterns can match any one of
them, so a lookup is seven dictionary gets, however many patterns are subscribed to.
"""

from __future__ import annotations

import re

SUBJECT_PREFIX = "odin.token."
SUBJECTS = f"{SUBJECT_PREFIX}>"
MAX_CHANNEL_LENGTH = 128

# A token: no dot, wildcard, space or control character. The wildcard `>` only ends a name.
_PART = r"[^.*>\s\x00-\x1f\x7f]+"
_CHANNEL = re.compile(rf"(?:{_PART}|\*)\.(?:{_PART}|\*|>)|>")


def is_channel(name: object) -> bool:
    """True for `BTC.trade`, `BTC.*`, `*.trade`, `*.*`, `BTC.>` and `>`, up to 128 characters."""
    return isinstance(name, str) and len(name) <= MAX_CHANNEL_LENGTH and _CHANNEL.fullmatch(name) is not None


def from_subject(subject: str) -> str | None:
    """`odin.token.BTC.trade` -> `BTC.trade`; tokens after the fourth are ignored; None for other subjects."""
    if not subject.startswith(SUBJECT_PREFIX):
        return None
    tokens = subject[len(SUBJECT_PREFIX) :].split(".")
    return f"{tokens[0]}.{tokens[1]}" if len(tokens) >= 2 else None


def covers(pattern: str, name: str) -> bool:
    """True if `pattern` matches every channel that `name`, a channel or a pattern, matches."""
    return all(wide in {"*", narrow} for wide, narrow in zip(_parts(pattern), _parts(name), strict=True))


def _parts(name: str) -> list[str]:
    return ["*", "*"] if name == ">" else name.replace(">", "*").split(".")


def matching_names(channel: str) -> tuple[str, ...]:
    """The name itself and every pattern that matches it."""
    symbol, event = channel.split(".")
    return (channel, f"{symbol}.*", f"*.{event}", ">", f"{symbol}.>", "*.*", "*.>")
