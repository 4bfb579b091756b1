"""The HTTP API: /health, /stats, /metrics and POST /control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Route

from . import control

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from starlette.requests import Request

    from .publisher import Publisher

_MAX_BODY = 64 * 1024
_PATHS = "GET /health, GET /stats, GET /metrics, POST /control"


def make_app(publisher: Publisher, registry: CollectorRegistry) -> Starlette:
    """Build the app. Every answer but /metrics is JSON."""

    async def health(_: Request) -> Response:
        healthy, answer = publisher.health()
        return _json(answer, 200 if healthy else 503)

    async def stats(_: Request) -> Response:
        return _json(publisher.stats())

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    async def command(request: Request) -> Response:
        try:
            _insist_on_json(request)
            return _json(await control.carry_out(control.parse(await _body(request)), publisher))
        except control.CommandError as refused:
            return _refusal(refused.status, str(refused), refused.faults)

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/stats", stats),
            Route("/metrics", metrics),
            Route("/control", command, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _http_error, 500: _internal_error},
        # Pages of other origins may read, as with the original; they may not control.
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET"])],
    )


def _insist_on_json(request: Request) -> None:
    """A page of another origin can send text/plain without asking anybody; JSON it cannot."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body is JSON and says so: Content-Type: application/json")


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise HTTPException(413, f"the body is longer than {_MAX_BODY} bytes")
    return body


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = {
        404: f"no such path: {request.url.path}",
        405: f"{request.method} is not accepted at {request.url.path}",
    }.get(error.status_code, error.detail)
    return _refusal(error.status_code, reason, [f"accepted: {_PATHS}"], error.headers)


async def _internal_error(_: Request, __: Exception) -> Response:
    return _refusal(500, "the publisher failed on this request; its log says how", [])


def _refusal(status: int, error: str, faults: list[str], headers: Any = None) -> Response:
    return _json({"success": False, "error": error, "faults": faults}, status, headers)


def _json(answer: dict[str, Any], status: int = 200, headers: Any = None) -> Response:
    return Response(orjson.dumps(answer), status, dict(headers or {}), "application/json")
