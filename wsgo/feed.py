"""The feed: reads the stream through an ephemeral pull consumer, and never gives up.

Whatever goes wrong (NATS restarts, the consumer or the stream is lost, a message is missing) ends the
same way: a new consumer from the last sequence seen + 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

import orjson
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from wsgo import logs
from wsgo.channels import SUBJECT_PREFIX, SUBJECTS

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext
    from nats.js.api import StreamInfo

    from wsgo.intake import Intake
    from wsgo.metrics import Metrics
    from wsgo.settings import Settings

logger = logging.getLogger("wsgo.feed")

# Messages asked for ahead; more are asked for when half have come.
BATCH = 2000
PULL_SECONDS = 30
# NATS says it is there so often while there is nothing to send; twice missed and the consumer is lost.
HEARTBEAT_SECONDS = 2
# A consumer nobody pulls from is removed by NATS after this.
INACTIVE_SECONDS = 30
SILENCES_TO_SKIP = 2
# Of a stream made anew nothing was seen yet, and all of it is fanned out; of one that was restored from
# somewhere with millions of messages, the latest so many.
NEW_STREAM_MESSAGES = 100_000
RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0)


class FeedError(Exception):
    """The consumer is of no more use; the message says why."""


class Feed:
    """Runs for ever; `connected`: the stream is being read; `ready`: what it held when found has been."""

    def __init__(self, settings: Settings, intake: Intake, metrics: Metrics) -> None:
        self.settings = settings
        self.intake = intake
        self.metrics = metrics
        self.connected = False
        self.ready = False
        self.status = "connecting"
        self.last_seq = 0
        self._created: object = None
        # Of the last message seen, unix ns; 0 before there is one.
        self._stored_ns = 0
        # Times the same stream came back without its newest messages.
        self._rollbacks = 0
        # The stream's last sequence when it was found: ready once that has been read.
        self._filled_at = 0
        # Consumers in a row that brought nothing.
        self._silences = 0
        # True if a jump in the sequence means lost messages, not messages on other subjects.
        self._contiguous = False
        self._delivered = 0
        self._wanted = 0
        self._heard = 0.0
        self._fault: str | None = None
        self._wake = asyncio.Event()
        self._online = asyncio.Event()

    async def run(self) -> None:
        """Connect, consume, recover; ends only when cancelled."""
        while True:
            # nats-py closes a client for good when the server refuses it later on (credentials that
            # changed, say): then there is another.
            client = Client()
            try:
                await self._connect(client)
                await self._follow(client)
            finally:
                with contextlib.suppress(Exception):
                    await client.close()

    async def _follow(self, client: Client) -> None:
        failures = 0
        while not client.is_closed:
            seen = self.last_seq
            try:
                await self._online.wait()
                await self._consume(client)
            except NotFoundError:
                self._down("no_stream", f"no stream {self.settings.stream} yet; waiting for it")
            except Exception as error:  # any fault at all ends in a new consumer
                self._down("disconnected", str(error) or type(error).__name__)
            failures = 0 if self.last_seq > seen else failures + 1
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])

    def _down(self, status: str, why: str) -> None:
        if self.connected or status != self.status:
            logs.event(logger, logging.WARNING, "feed_down", why, storm=True, last_seq=self.last_seq)
            self.metrics.errors["nats", "warning"] += 1
        self.connected = False
        self.status = status

    async def _connect(self, client: Client) -> None:
        while not client.is_connected:
            try:
                await client.connect(
                    servers=[url.strip() for url in self.settings.nats_url.split(",")],
                    name="wsgo",
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=1,
                    connect_timeout=2,
                    ping_interval=5,
                    max_outstanding_pings=2,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnect,
                    reconnected_cb=self._on_reconnect,
                    closed_cb=self._on_closed,
                )
            except Exception as error:
                await self._on_error(error)
                await asyncio.sleep(RETRY_SECONDS[-1])
        self._online.set()

    async def _on_error(self, error: Exception) -> None:
        why = f"NATS: {error or type(error).__name__}"
        if not self._online.is_set():
            self._down("disconnected", why)
            return
        # What is read may go on being read; if not, the consumer falls silent, and that is noticed.
        logs.event(logger, logging.WARNING, "nats_error", why, storm=True)
        self.metrics.errors["nats", "warning"] += 1

    async def _on_disconnect(self) -> None:
        self._online.clear()
        self._fail("NATS closed the connection")

    async def _on_reconnect(self) -> None:
        self._online.set()

    async def _on_closed(self) -> None:
        self._fail("NATS ended the connection for good")
        self._online.set()  # nobody is to wait for it any more

    def _fail(self, why: str) -> None:
        self._fault = why
        self._wake.set()

    # -- one consumer --------------------------------------------------------------------------

    async def _consume(self, client: Client) -> None:
        stream = client.jetstream(timeout=3)
        info = await stream.stream_info(self.settings.stream)
        first = self._created is None
        start = self._start_from(info, await self._rolled_back(stream, info))
        inbox = client.new_inbox()
        self._fault, self._delivered, self._wanted = None, 0, 0
        subscription = await client.subscribe(inbox, cb=self._on_message)
        try:
            consumer = await stream.add_consumer(
                self.settings.stream,
                ConsumerConfig(
                    ack_policy=AckPolicy.NONE,
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=start,
                    filter_subject=SUBJECTS,
                    inactive_threshold=INACTIVE_SECONDS,
                    mem_storage=True,
                    num_replicas=1,
                ),
            )
            self.metrics.recoveries += not first
            self._heard = time.monotonic()
            self.connected, self.status = True, "connected"
            self.ready = self.ready or not consumer.num_pending
            logs.event(logger, logging.INFO, "feed_up", "reading the stream", from_seq=start, epoch=self.intake.epoch)
            await self._pull(client, f"$JS.API.CONSUMER.MSG.NEXT.{self.settings.stream}.{consumer.name}", inbox)
        finally:
            self.connected = False
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()

    async def _rolled_back(self, stream: JetStreamContext, info: StreamInfo) -> bool:
        """True if NATS lost its newest messages in a crash: their sequences are, or will be, used again."""
        if info.created != self._created or not self._stored_ns:
            return False
        if info.state.last_seq < self.last_seq:
            return True
        try:
            message = await stream.get_msg(self.settings.stream, seq=self.last_seq)
        except NotFoundError:
            return False  # expired, as messages do
        # The server's time has nanoseconds, nats-py's has microseconds.
        return message.time is not None and abs(message.time.timestamp() - self._stored_ns / 1e9) > 1e-4

    def _start_from(self, info: StreamInfo, rolled_back: bool) -> int:
        """The sequence to read from; tells the intake if the stream is not the one known so far."""
        state, created = info.state, info.created
        subjects = info.config.subjects or []
        self._contiguous = all(subject.startswith(SUBJECT_PREFIX) for subject in subjects)
        if created != self._created or rolled_back:
            first = self._created is None
            self._rollbacks = self._rollbacks + 1 if rolled_back else 0
            self._created = created
            epoch = f"{round(created.timestamp() * 1e6):x}" if created else "unknown"
            if rolled_back:
                # Sequences name other messages now: to clients, that is another stream.
                epoch += f".{self._rollbacks}"
            past = self.settings.replay_messages
            if not first and not rolled_back:
                past = max(past, NEW_STREAM_MESSAGES)
            self.last_seq = max(state.first_seq, state.last_seq - past + 1, 1) - 1
            self._stored_ns, self._filled_at, self.ready = 0, state.last_seq, False
            self.intake.begin(epoch, self.last_seq, state.last_seq + 1 if first or rolled_back else 0)
            logs.event(logger, logging.INFO, "stream", "found the stream", epoch=epoch, messages=state.messages)
        elif state.first_seq > self.last_seq + 1:
            self.last_seq = state.first_seq - 1
            self.intake.lost(self.last_seq)
        elif self._silences >= SILENCES_TO_SKIP and state.last_seq > self.last_seq:
            # A message that nats-py cannot read (a subject that is not UTF-8) would be the last one ever.
            self._silences = 0
            self.last_seq += 1
            self.metrics.nats_dropped["unreadable"] += 1
            self.intake.lost(self.last_seq)
        return self.last_seq + 1

    async def _pull(self, client: Client, subject: str, inbox: str) -> None:
        """Ask for messages for as long as they come; raises FeedError when something is wrong."""
        request = orjson.dumps(
            {"batch": BATCH, "expires": PULL_SECONDS * 10**9, "idle_heartbeat": HEARTBEAT_SECONDS * 10**9}
        )
        while True:
            self._wake.clear()
            if self._fault is not None:
                raise FeedError(self._fault)
            if self._wanted <= BATCH // 2:
                self._wanted += BATCH
                await client.publish(subject, request, reply=inbox)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._wake.wait()
            if time.monotonic() - self._heard > HEARTBEAT_SECONDS * 2.5:
                self._silences += 1
                raise FeedError("the consumer is silent")

    async def _on_message(self, msg: Msg) -> None:
        self._heard = time.monotonic()
        if msg.headers and "Status" in msg.headers and not msg.reply.startswith("$JS.ACK"):
            self._on_status(msg.headers)
            return
        seq, delivered, stored_ns, pending = _metadata(msg.reply)
        if delivered != self._delivered + 1:
            self._fail("a message was lost on the way from NATS")
            return
        self._delivered = delivered
        self._wanted -= 1
        if self._wanted == BATCH // 2:
            self._wake.set()
        if seq <= self.last_seq:
            return
        if self._contiguous and seq != self.last_seq + 1:
            self.intake.lost(seq - 1)
        self.last_seq, self._stored_ns, self._silences = seq, stored_ns, 0
        self.intake.receive(seq, stored_ns, msg.subject, msg.data)
        if not self.ready and (seq >= self._filled_at or not pending):
            self.ready = True

    def _on_status(self, headers: dict[str, Any]) -> None:
        """408: a pull request ended unfilled; 100: a heartbeat; anything else: the consumer is lost."""
        status, text = headers["Status"], headers.get("Description", "")
        if status in {"404", "408"} or (status == "409" and text == "Batch Completed"):
            self._wanted -= int(headers.get("Nats-Pending-Messages", self._wanted))
            self._wake.set()
        elif status != "100":
            self._fail(f"NATS says {status} {text}".strip())


def _metadata(reply: str) -> tuple[int, int, int, int]:
    """(stream sequence, consumer sequence, unix ns, pending) of `$JS.ACK...`; with a domain it has more tokens."""
    tokens = reply.split(".")
    at = 5 if len(tokens) == 9 else 7
    return int(tokens[at]), int(tokens[at + 1]), int(tokens[at + 2]), int(tokens[at + 3])
