"""Everything that is HTTP: health, metrics and the live page."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from wsgo import health, metrics

if TYPE_CHECKING:
    from starlette.requests import Request

    from wsgo.context import Context

LIVE_PAGE = Path(__file__).with_name("live.html")


def _json(body: object, status: int = 200, more: dict[str, str] | None = None) -> Response:
    # Dashboards on other origins read /health; there is nothing in it that needs credentials.
    headers = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*", **(more or {})}
    return Response(orjson.dumps(body), status, headers, "application/json")


def content_security_policy(page: str) -> str:
    """A policy that lets `page` run its own inline script and style, by hash, and talk to its own origin only."""

    def sources(tag: str) -> str:
        blocks = re.findall(rf"<{tag}(?:\s[^>]*)?>(.*?)</{tag}>", page, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks]
        return " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"

    return (
        f"default-src 'none'; script-src {sources('script')}; style-src {sources('style')}; "
        "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _health_routes(context: Context) -> list[Route]:
    async def get_health(request: Request) -> Response:
        report = health.report(context)
        return _json(report, 200 if report["healthy"] else 503)

    async def get_live(request: Request) -> Response:
        return _json({"live": True})

    async def get_ready(request: Request) -> Response:
        reason = health.not_ready(context)
        return _json({"ready": True}) if reason is None else _json({"ready": False, "reason": reason}, 503)

    return [Route("/health", get_health), Route("/live", get_live), Route("/ready", get_ready)]


def _websocket_route() -> Route:
    """`/ws` without an upgrade: the path is right, the request is not."""

    async def get_websocket(request: Request) -> Response:
        message = "this is a WebSocket: connect to it with ws:// or wss://"
        return _json({"error": "upgrade_required", "message": message}, 426, {"Upgrade": "websocket"})

    return Route("/ws", get_websocket)


def _metrics_route(context: Context) -> Route:
    async def get_metrics(request: Request) -> Response:
        body, content_type = metrics.render(context.all_metrics(), request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    return Route("/metrics", get_metrics)


def _live_route(path: Path) -> Route:
    page = path.read_text()
    headers = {
        "Content-Security-Policy": content_security_policy(page),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    async def get_page(request: Request) -> Response:
        return Response(page, headers=headers, media_type="text/html")

    return Route("/", get_page)


def public(context: Context) -> Starlette:
    """What WS_ADDR serves beside /ws."""
    routes = [*_health_routes(context), _websocket_route()]
    if not context.settings.internal_addr:
        routes.append(_metrics_route(context))
    if context.settings.live_page and LIVE_PAGE.exists():
        routes.append(_live_route(LIVE_PAGE))
    return Starlette(routes=routes)


def internal(context: Context) -> Starlette:
    """What WS_INTERNAL_ADDR serves."""
    return Starlette(routes=[*_health_routes(context), _metrics_route(context)])
