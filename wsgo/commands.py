"""Requests of clients: JSON text frames `{"type": T, "data": {...}}`. Every request gets an answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from wsgo import __version__, frames
from wsgo.catchup import History
from wsgo.channels import is_channel
from wsgo.errors import ErrorCode, TokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgo.connection import Connection

# A client that comes from a quicker worker may be ahead of this one by so many messages, not more.
MAX_AHEAD = 10_000


class RequestError(Exception):
    """The request cannot be carried out; the client is told `code` and the message."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def execute(client: Connection, payload: bytes) -> None:
    """Carry out one request and answer it; `payload` is UTF-8."""
    try:
        _dispatch(client, payload)
    except RequestError as error:
        client.send_error(error.code, str(error))


def _dispatch(client: Connection, payload: bytes) -> None:
    try:
        request = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise RequestError(ErrorCode.INVALID_JSON, f"not JSON: {error}") from None
    if not isinstance(request, dict):
        raise RequestError(ErrorCode.INVALID_REQUEST, 'a request is an object: {"type": .., "data": {..}}')
    kind = request.get("type")
    if not isinstance(kind, str):
        raise RequestError(ErrorCode.INVALID_REQUEST, "`type` is missing or not a string")
    command = _COMMANDS.get(kind)
    if command is None:
        known = ", ".join(_COMMANDS)
        raise RequestError(ErrorCode.UNKNOWN_TYPE, f"unknown type {kind[:64]!r}; known: {known}")
    data = request.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise RequestError(ErrorCode.INVALID_REQUEST, "`data` is not an object")
    if "channels" not in data and "channels" in request:
        data = {**data, "channels": request["channels"]}
    command(client, data)


def _channels(data: dict[str, Any]) -> list[str]:
    names = data.get("channels")
    if not isinstance(names, list):
        raise RequestError(ErrorCode.INVALID_REQUEST, "`channels` is missing or not a list of strings")
    wrong = [name for name in names if not is_channel(name)]
    if wrong:
        shown = ", ".join(repr(name)[:80] for name in wrong[:3])
        raise RequestError(ErrorCode.INVALID_CHANNEL, f"no channel: {shown}; write SYMBOL.EVENT, BTC.*, *.trade or >")
    return names


def _with(client: Connection, names: list[str]) -> frozenset[str]:
    if client.claims is not None and (forbidden := client.claims.forbidden(names)):
        shown = ", ".join(map(repr, forbidden[:3]))
        raise RequestError(ErrorCode.CHANNEL_FORBIDDEN, f"the token does not allow {shown}")
    channels = client.cohort.channels.union(names)
    limit = client.context.settings.max_channels
    if limit and len(channels) > limit:
        raise RequestError(ErrorCode.TOO_MANY_CHANNELS, f"{len(channels)} channels; the limit is {limit}")
    return channels


def _sequence(data: dict[str, Any], field: str, default: int | None = None) -> int:
    value = data.get(field, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"`{field}` is missing or not a sequence (an integer from 0)")
    return value


def _subscribe(client: Connection, data: dict[str, Any]) -> None:
    names = _channels(data)
    channels = _with(client, names)
    client.context.hub.subscribe(client, channels)
    client.send_json({"type": "subscription_ack", "subscribed": names, "count": len(channels)})


def _unsubscribe(client: Connection, data: dict[str, Any]) -> None:
    names = _channels(data)
    channels = client.cohort.channels.difference(names)
    client.context.hub.subscribe(client, channels)
    client.send_json({"type": "unsubscription_ack", "unsubscribed": names, "count": len(channels)})


def _idle(client: Connection) -> None:
    if client.catchup is not None:
        raise RequestError(ErrorCode.BUSY, "the last replay is still being sent")


def _replay(client: Connection, data: dict[str, Any]) -> None:
    hub = client.context.hub
    since, until = _sequence(data, "since", 0), hub.seq
    if "since" not in data:
        first, until = _sequence(data, "from"), _sequence(data, "to")
        since = max(0, first - 1)
        if until < first:
            raise RequestError(ErrorCode.INVALID_REQUEST, "`to` is before `from`")
    _idle(client)
    until = min(until, hub.seq)
    client.charge(hub.replay.between(since, until))

    def end(history: History) -> bytes:
        complete = history.complete
        client.metrics.replays["complete" if complete else "partial"] += 1
        answer: dict[str, object] = {"type": "replay_complete", "sent": history.sent, "complete": complete}
        if not complete:
            answer["oldest"] = hub.replay.floor + 1
        return frames.text(orjson.dumps(answer))

    hub.catch_up(client, History(since, until, client.cohort.channels, end=end))


def _resume(client: Connection, data: dict[str, Any]) -> None:
    """Subscribe, and replay what the new channels missed; never a part of it: all, or `recovered` false."""
    context, hub, ring = client.context, client.context.hub, client.context.hub.replay
    names, since, epoch = _channels(data), _sequence(data, "since"), data.get("epoch")
    if not isinstance(epoch, str):
        raise RequestError(ErrorCode.INVALID_REQUEST, "`epoch` is missing or not a string; `info` names it")
    channels = _with(client, names)
    _idle(client)
    recovered = epoch == context.epoch != "" and ring.covers(since) and since <= hub.seq + MAX_AHEAD
    history = History(since if recovered else hub.seq, hub.seq, frozenset(names), promised=True)
    client.charge(ring.between(history.since, history.until))
    answer: dict[str, object] = {
        "type": "resume_ack",
        "epoch": context.epoch,
        "recovered": recovered,
        "replayed": ring.count(history.since, history.until, history.names),
        "subscribed": names,
        "count": len(channels),
        "seq": hub.seq,
    }
    if not recovered:
        answer["oldest"] = ring.floor + 1
    client.metrics.replays["recovered" if recovered else "not_recovered"] += 1
    hub.subscribe(client, channels)
    hub.catch_up(client, history, [frames.text(orjson.dumps(answer))], since if recovered else None)


def _refresh(client: Connection, data: dict[str, Any]) -> None:
    """A new token for the same subject; what it no longer allows is unsubscribed."""
    context, token = client.context, data.get("token")
    if not isinstance(token, str):
        raise RequestError(ErrorCode.INVALID_REQUEST, "`token` is missing or not a string")
    if context.credentials is None or client.claims is None:
        raise RequestError(ErrorCode.INVALID_REQUEST, "this server asks for no JWT; there is nothing to refresh")
    try:
        claims = context.credentials.verify(token)
        if claims.subject != client.claims.subject:
            raise TokenError("subject", "the token is of another subject than the one before")
    except TokenError as error:
        client.metrics.token_faults[error.reason] += 1
        raise RequestError(ErrorCode.TOKEN_REFUSED, str(error)) from None
    context.sweeper.expiries.discard(client)
    client.claims = claims
    context.sweeper.expiries.add(client)
    dropped = claims.forbidden(sorted(client.cohort.channels))
    context.hub.subscribe(client, client.cohort.channels.difference(dropped))
    answer: dict[str, object] = {
        "type": "refresh_ack",
        "expires": claims.expires,
        "unsubscribed": dropped,
        "count": len(client.cohort.channels),
    }
    client.send_json(answer)


def _pong(client: Connection, data: dict[str, Any]) -> None:
    client.send_json({"type": "pong", "ts": time.time_ns() // 1_000_000})


def _info(client: Connection, data: dict[str, Any]) -> None:
    settings, hub = client.context.settings, client.context.hub
    answer = {
        "type": "info",
        "epoch": client.context.epoch,
        "seq": hub.position(client),
        "oldest": hub.replay.floor + 1,
        "limits": {
            "max_channels": settings.max_channels,
            "max_message_size": settings.max_message_size,
            "requests_per_second": settings.client_rate,
            "request_burst": settings.client_burst,
            "replay_messages": settings.replay_messages,
            "slow_client_timeout": settings.slow_client_timeout,
            "ping_interval": settings.ping_interval,
        },
        "version": __version__,
    }
    if client.claims is not None:
        answer["expires"] = client.claims.expires
    hub.follow(client, frames.text(orjson.dumps(answer)))


_COMMANDS: dict[str, Callable[[Connection, dict[str, Any]], None]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "replay": _replay,
    "resume": _resume,
    "heartbeat": _pong,
    "ping": _pong,
    "refresh": _refresh,
    "info": _info,
}
