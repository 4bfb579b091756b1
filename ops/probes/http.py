"""GET requests, and the two checks that need no more."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.probes.outcome import No

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, its body read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def shown(self, width: int = 120) -> str:
        """Status and the beginning of the body, on one line."""
        text = " ".join(self.body.decode(errors="replace").split())
        return f"{self.status} {text}"[:width].strip()


def get(
    host: str, port: int, path: str, headers: Mapping[str, str] | None = None, timeout_s: float = TIMEOUT_S
) -> Answer:
    """GET without a proxy: what is asked is near. Raises `No` when nobody answers HTTP."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    except OSError as error:
        raise No(f"{host}:{port} does not answer: {error.strerror or error}") from None
    except http.client.HTTPException as error:
        raise No(f"{host}:{port} does not answer HTTP: {error!r}") from None
    finally:
        connection.close()


def answers(host: str, port: int, path: str, timeout_s: float = TIMEOUT_S) -> str:
    """The path answers 200."""
    answer = get(host, port, path, timeout_s=timeout_s)
    if answer.status != http.client.OK:
        raise No(f"GET {path}: {answer.shown()}")
    try:
        status = json.loads(answer.body)["status"]
    except (ValueError, TypeError, LookupError):
        return f"200 on {path}"
    return f"200 on {path}, {status}"


def broker(host: str, port: int, path: str) -> str:
    """The health answer says that NATS is connected."""
    answer = get(host, port, path)
    try:
        health = json.loads(answer.body)
        nats, status = health["checks"]["nats"], health["status"]
        healthy, state = nats["healthy"], nats["status"]
    except (ValueError, TypeError, LookupError):
        raise No(f"GET {path} says nothing of NATS: {answer.shown()}") from None
    if healthy is not True:
        raise No(f"NATS is {state}, the service {status}")
    return f"NATS {state}, the service {status}"
