"""Make sure that the stream exists as it was declared."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from .logs import event

if TYPE_CHECKING:
    from nats.js import JetStreamContext

    from .settings import Settings

Changes = dict[str, tuple[object, object]]
SUBJECTS = "odin.token.>"
# JetStream refuses to change these on a living stream (retention: to and from workqueue).
_FROZEN = ("storage", "retention")
_DECLARED = ("subjects", "retention", "discard", "max_age", "max_msgs", "max_bytes", "storage", "no_ack")


@dataclass(frozen=True, slots=True)
class StreamReport:
    """The stream as last seen. `fault` is why it is not usable; `differs` what could not be changed."""

    name: str
    exists: bool = False
    fault: str | None = "not looked at yet"
    differs: str | None = None
    messages: int = 0
    bytes: int = 0
    first_sequence: int = 0
    last_sequence: int = 0
    created: str | None = None
    seen: int = 0
    """When it was looked at, unix ms; 0 for never."""

    def as_json(self) -> dict[str, Any]:
        """The report as /stats and /health show it."""
        return {
            "name": self.name,
            "ok": self.fault is None,
            "fault": self.fault,
            "differs": self.differs,
            "messages": self.messages,
            "bytes": self.bytes,
            "firstSeq": self.first_sequence,
            "lastSeq": self.last_sequence,
            "created": self.created,
            "seenAt": self.seen,
        }


def declared(settings: Settings) -> StreamConfig:
    """The stream that the settings ask for."""
    return StreamConfig(
        name=settings.js_stream_name,
        subjects=[SUBJECTS],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.OLD,
        max_age=settings.js_stream_max_age,
        max_msgs=settings.js_stream_max_msgs,
        max_bytes=settings.js_stream_max_bytes,
        storage=StorageType(settings.js_stream_storage),
        num_replicas=1,
        no_ack=False,
    )


def differences(wanted: StreamConfig, found: StreamConfig) -> Changes:
    """What must change: field -> (value found, value wanted)."""
    changes = {}
    for name in _DECLARED:
        was, now = getattr(found, name), getattr(wanted, name)
        # JetStream counts an age in whole nanoseconds.
        same = math.isclose(was or 0, now or 0, abs_tol=1e-3) if name == "max_age" else was == now
        if not same:
            changes[name] = (was, now)
    return changes


@dataclass(slots=True)
class StreamKeeper:
    """Creates the stream, and updates it when it differs; says once what it cannot change."""

    wanted: StreamConfig
    _given_up: Changes = field(default_factory=dict)
    _advice: str | None = None

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.wanted.name or ""

    async def ensure(self, js: JetStreamContext) -> StreamReport:
        """Look at the stream, create or change it if need be, and report.

        Raises `nats.errors.Error` or `TimeoutError` when JetStream does not answer.
        """
        try:
            info = await js.stream_info(self.name)
        except NotFoundError:
            try:
                info = await js.add_stream(self.wanted)
            except APIError as error:
                return StreamReport(self.name, fault=self._cannot_create(error))
            self._given_up, self._advice = {}, None
            event("stream_created", f"stream {self.name} created for {SUBJECTS}", stream=self.name)
        changes = differences(self.wanted, info.config)
        if changes and changes != self._given_up:
            info = await self._update(js, info.config, changes) or info
        elif not changes:
            self._given_up, self._advice = {}, None
        return self._report(info)

    async def _update(self, js: JetStreamContext, found: StreamConfig, changes: Changes) -> StreamInfo | None:
        """Change what can be changed; remember the rest, so that it is not tried again every time."""
        made, info, refusal = await self._try(js, found, changes)
        if not made:
            changeable = {name: change for name, change in changes.items() if name not in _FROZEN}
            made, info, _ = await self._try(js, found, changeable)
        if made:
            event(
                "stream_updated",
                f"stream {self.name} differed and was changed: {', '.join(made)}",
                stream=self.name,
                changes={name: {"was": _plain(was), "now": _plain(now)} for name, (was, now) in made.items()},
            )
        left = {name: change for name, change in changes.items() if name not in made}
        self._given_up, self._advice = left, None
        if left:
            kept = ", ".join(f"{name} {_plain(was)} instead of {_plain(now)}" for name, (was, now) in left.items())
            self._advice = (
                f"stream {self.name} keeps {kept}: JetStream refused the change ({refusal}). Set JS_STREAM_* "
                f"to what it has, or delete it (`nats stream rm {self.name}`; its messages are lost): "
                "it is then created as declared"
            )
            event("stream_differs", self._advice, logging.WARNING, stream=self.name)
        return info

    async def _try(
        self, js: JetStreamContext, found: StreamConfig, changes: Changes
    ) -> tuple[Changes, StreamInfo | None, str]:
        """Try one update: (the changes made, the stream after it, why it was refused)."""
        if not changes:
            return {}, None, ""
        values: dict[str, Any] = {name: wanted for name, (_, wanted) in changes.items()}
        # JetStream refuses a window for duplicates that outlasts the messages.
        window = min(found.duplicate_window, self.wanted.max_age or found.duplicate_window)
        try:
            return changes, await js.update_stream(found.evolve(**values, duplicate_window=window)), ""
        except APIError as error:
            return {}, None, error.description or str(error)

    def _cannot_create(self, error: APIError) -> str:
        return (
            f"stream {self.name} cannot be created: {error.description}. "
            f"No other stream may have subjects in {SUBJECTS}, and the limits must fit JetStream's"
            " (see `nats stream ls`)"
        )

    def _report(self, info: StreamInfo) -> StreamReport:
        return StreamReport(
            self.name,
            exists=True,
            fault=None,
            differs=self._advice,
            messages=info.state.messages,
            bytes=info.state.bytes,
            first_sequence=info.state.first_seq,
            last_sequence=info.state.last_seq,
            created=info.created.isoformat() if info.created else None,
            seen=time.time_ns() // 1_000_000,
        )


def _plain(value: object) -> object:
    return value.value if isinstance(value, StorageType | RetentionPolicy | DiscardPolicy) else value
