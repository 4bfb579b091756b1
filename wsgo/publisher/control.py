"""POST /control: what may be asked for, and every reason why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .market import MAX_TOKENS, token_faults
from .settings import MAX_RATE

if TYPE_CHECKING:
    from .publisher import Publisher

_MAX_DURATION = 30 * 24 * 3600 * 1000


class CommandError(Exception):
    """A command that is not carried out: `status` is 400 (wrong input) or 409 (wrong moment)."""

    def __init__(self, status: int, error: str, faults: list[str]) -> None:
        super().__init__(error)
        self.status = status
        self.faults = faults


def _names(tokens: list[Any]) -> list[Any]:
    if found := token_faults(tokens):
        raise ValueError("; ".join(found))
    return tokens


class Command(BaseModel):
    """The body of POST /control; a field's description says what is accepted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    action: Literal["start", "stop", "configure"] = Field(description="start, stop or configure")
    messagesPerSecond: float | None = Field(  # noqa: N815 - the original's name on the wire
        None, gt=0, le=MAX_RATE, description=f"a number above 0, up to {MAX_RATE}; all tokens together"
    )
    duration: int | None = Field(
        None, gt=0, le=_MAX_DURATION, description=f"whole milliseconds, 1 to {_MAX_DURATION} (30 days)"
    )
    tokens: Annotated[list[Any], AfterValidator(_names)] | None = Field(
        None, description=f"a list of 1 to {MAX_TOKENS} different names of letters, digits, '_' or '-'"
    )
    connections: int | None = Field(
        None, ge=0, le=10_000_000, description="a whole number, 0 or more; it is shown and has no effect"
    )


_FIELDS = ", ".join(Command.model_fields)


def parse(body: bytes) -> Command:
    """Read a command. Raises `CommandError` (400) that names every fault and what is accepted."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CommandError(400, "the body is not JSON", [f"body: {error}"]) from None
    if not isinstance(data, dict):
        raise CommandError(400, "the body is not a JSON object", [f"body: an object with {_FIELDS} is accepted"])
    try:
        command = Command.model_validate(data)
    except ValidationError as error:
        found = [_fault(dict(fault)) for fault in error.errors()]
        raise CommandError(400, "wrong input: nothing was changed", found) from None
    given = set(data) - {"action"}
    if command.action == "stop" and given:
        raise CommandError(
            400, "wrong input: nothing was changed", [f"{name}: not accepted with stop" for name in given]
        )
    if command.action == "configure" and not given:
        raise CommandError(400, "nothing to configure", [f"body: give at least one of {_FIELDS.partition(', ')[2]}"])
    return command


def _fault(fault: dict[str, Any]) -> str:
    name = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        return f"{name}: unknown field; accepted are {_FIELDS}"
    accepted = Command.model_fields[name].description
    if fault["type"] == "missing":
        return f"{name}: missing; accepted: {accepted}"
    reason = fault["msg"].removeprefix("Value error, ")
    given = orjson.dumps(fault["input"], default=str).decode()
    return f"{name}: {reason}, not {given[:100]}; accepted: {accepted}"


async def carry_out(command: Command, publisher: Publisher) -> dict[str, Any]:
    """Do it and give the answer. Raises `CommandError` (409) when it does not fit what is going on."""
    running = publisher.publishing
    if command.action == "start" and running:
        raise _conflict("already publishing: stop it first, or use configure to change it")
    if command.action == "stop" and not running:
        raise _conflict("not publishing: there is nothing to stop")
    if command.action == "configure" and command.duration is not None and not running:
        raise _conflict("not publishing: a duration goes with start")
    if command.action == "stop":
        await publisher.stop("it was told to by /control")
        message = "Publishing stopped"
    else:
        publisher.configure(command.tokens, command.messagesPerSecond, command.connections)
        if command.action == "start":
            publisher.start()
        if command.duration is not None:
            publisher.end_after(command.duration / 1000)
        rate, count = publisher.pace.rate, len(publisher.market.tokens)
        done = "Publishing" if publisher.publishing else "Configured:"
        message = f"{done} {rate:g} messages/s for {count} tokens"
        if publisher.publishing and (why := publisher.link.why_not):
            message += f", as soon as it is possible ({why})"
    return {"message": message} | publisher.stats()


def _conflict(reason: str) -> CommandError:
    return CommandError(409, reason, [f"action: {reason}"])
