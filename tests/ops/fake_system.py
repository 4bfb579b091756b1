"""A server on one port that answers as ws-go and the publisher do, and fails where a test says so."""

from __future__ import annotations

import http
import itertools
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.http11 import Request, Response

METRICS = """# HELP ws_connections_current Open connections.
# TYPE ws_connections_current gauge
ws_connections_current {connections}
# HELP ws_messages_sent_total Frames sent.
# TYPE ws_messages_sent_total counter
ws_messages_sent_total{{worker="0"}} {sent}
"""
OPENMETRICS = """# HELP ws_connections_current Open connections.
# TYPE ws_connections_current gauge
ws_connections_current {connections}
# HELP ws_messages_sent Frames sent.
# TYPE ws_messages_sent counter
ws_messages_sent_total{{worker="0"}} {sent}
# EOF
"""


@dataclass
class Fake:
    """What it does; the defaults are a system in which every check holds."""

    health_status: int = 200
    nats: dict[str, Any] | None = None
    refuses: bool = False
    acknowledgement: str | None = None
    silent: bool = False
    gap_at: int | None = None
    backwards_at: int | None = None
    frame: str | None = None
    metrics: str = METRICS
    content_type: str = "text/plain; version=0.0.4; charset=utf-8"
    port: int = 0
    sent: int = 0
    connections: int = 0

    def health(self) -> str:
        nats = {"status": "connected", "healthy": True} if self.nats is None else self.nats
        return json.dumps({"status": "healthy", "healthy": True, "checks": {"nats": nats}})

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/ws":
            if self.refuses:
                return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, '{"error":"CAPACITY"}')
            return None
        if path == "/metrics":
            text = self.metrics.format(connections=self.connections, sent=self.sent)
            answer = connection.respond(http.HTTPStatus.OK, text)
            del answer.headers["Content-Type"]
            answer.headers["Content-Type"] = self.content_type
            return answer
        return connection.respond(http.HTTPStatus(self.health_status), self.health())

    def talk(self, connection: ServerConnection) -> None:
        self.connections += 1
        try:
            connection.recv(timeout=5)
            ack = {"type": "subscription_ack", "subscribed": [">"], "count": 1}
            connection.send(self.acknowledgement or json.dumps(ack))
            if self.silent:
                connection.recv()
            for count in itertools.count(1):
                connection.send(self.frame or self._envelope(count))
                self.sent += 1
                time.sleep(0.01)
        except ConnectionClosed:
            pass
        finally:
            self.connections -= 1

    def _envelope(self, count: int) -> str:
        seq = 100 + count
        if count == self.backwards_at:
            seq -= 50
        prev = seq - 2 if count > 2 else 0
        if count == self.gap_at:
            prev -= 2
        channel = f"BTC.{'trade' if count % 2 else 'social'}"
        ts = int(time.time() * 1000) - 3
        return json.dumps(
            {"seq": seq, "prev": prev, "ts": ts, "type": "price:update", "priority": 1, "channel": channel, "data": {}}
        )

    @contextmanager
    def running(self) -> Iterator[Fake]:
        with serve(self.talk, "127.0.0.1", 0, process_request=self.answer) as server:
            self.port = int(server.socket.getsockname()[1])
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join(10)
