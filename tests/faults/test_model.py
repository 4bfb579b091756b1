"""Random sequences of requests and messages over real sockets, against a model of what each client must see.

Nothing waits for anything: requests and messages race through the server as they do in life. The model knows
the stream's history (one publisher, so sequence n is the n-th message) and not at which message the server
stood when it handled a request. It keeps the set of positions that explain all a client saw so far; when that
set is empty, nothing does: something was lost, doubled, out of order, or sent to who had not asked for it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.rig import FULL, assert_clean, connected
from tests.faults.swarm import Envelope, Member, Swarm, abort_all
from tests.support import NatsServer, WsgoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nats.aio.client import Client

CHANNELS = ["A.x", "A.y", "B.x", "B.y", "C.z"]
NAMES = [*CHANNELS, "A.*", "*.x", ">", "*.*", "B.>"]
CLIENTS = 3
HELD = 60


def matches(name: str, channel: str) -> bool:
    """The definition of a pattern, token by token."""
    pattern, tokens = name.split("."), channel.split(".")
    for index, token in enumerate(pattern):
        if token == ">":
            return len(tokens) > index
        if index >= len(tokens) or token not in {"*", tokens[index]}:
            return False
    return len(pattern) == len(tokens)


class History:
    """The stream: message n is `channels[n - 1]`."""

    def __init__(self) -> None:
        self.channels: list[str] = []
        self.prevs: list[int] = []
        self._last: dict[str, int] = {}

    def add(self, channel: str) -> None:
        self.channels.append(channel)
        self.prevs.append(self._last.get(channel, 0))
        self._last[channel] = len(self.channels)

    def select(self, since: int, until: int, names: set[str]) -> list[int]:
        """Sequences with since < seq <= until on a channel that one of `names` matches."""
        matching = {channel for channel in CHANNELS if any(matches(name, channel) for name in names)}
        found = range(max(since, 0) + 1, min(until, len(self.channels)) + 1)
        return [seq for seq in found if self.channels[seq - 1] in matching]


class Model:
    """One client: what it asked, what it holds, and where the server may have stood."""

    def __init__(self, member: Member, history: History, position: int) -> None:
        self.member = member
        self.history = history
        self.names: set[str] = set()
        # It may lag behind what is published, not by more than what is read in milliseconds.
        self.positions = set(range(max(0, position - 100), position + 1))
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def ask(self, kind: str, **data: Any) -> None:
        self.asked.append((kind, data))
        self.member.send(kind, **data)

    def check(self, epoch: str) -> None:
        """Explain the whole transcript, or fail."""
        live: list[Envelope] = []
        replayed = 0
        for item in self.member.transcript:
            if isinstance(item, Envelope):
                assert item.channel == self.history.channels[item.seq - 1]
                assert item.prev == self.history.prevs[item.seq - 1]
                if replayed:
                    self.replay.append(item.seq)
                    replayed -= 1
                    if not replayed:
                        self._resumed()
                else:
                    live.append(item)
                continue
            assert not replayed, "an answer within a replay"
            kind, data = self.asked.pop(0)
            if item["type"] == "replay_complete":
                assert kind == "replay"
                count = item["sent"]
                replay, live = live[len(live) - count :], live[: len(live) - count]
                self._flow(live)
                self._replayed(data, [envelope.seq for envelope in replay], item)
            else:
                self._flow(live)
                replayed = self._answered(kind, data, item, epoch)
            live = []
        assert not replayed, "a replay that ended early"
        assert not self.asked, f"no answer to {self.asked}"
        self._flow(live)
        assert len(self.history.channels) in self.positions, "it has not been given all"

    def _flow(self, live: list[Envelope]) -> None:
        """Live messages between two answers: the server went on from one position to another."""
        seen = [envelope.seq for envelope in live]
        top = len(self.history.channels)
        wanted = self.history.select(min(self.positions), top, self.names)
        after: set[int] = set()
        for position in self.positions:
            # Messages that match, from here on; the flow must be the first of them.
            start = bisect_right(wanted, position)
            end = start + len(seen)
            if wanted[start:end] == seen:
                after.update(range(seen[-1] if seen else position, wanted[end] if end < len(wanted) else top + 1))
        assert after, f"with {sorted(self.names)} from one of {sorted(self.positions)[-5:]} nobody sees {seen}"
        self.positions = after

    def _answered(self, kind: str, data: dict[str, Any], answer: dict[str, Any], epoch: str) -> int:
        """Take in one answer; returns how many replayed envelopes follow it."""
        if kind == "subscribe":
            self.names |= set(data["channels"])
            assert answer == {"type": "subscription_ack", "subscribed": data["channels"], "count": len(self.names)}
        elif kind == "unsubscribe":
            self.names -= set(data["channels"])
            assert answer == {"type": "unsubscription_ack", "unsubscribed": data["channels"], "count": len(self.names)}
        elif kind == "info":
            assert answer["epoch"] == epoch
            self._stands_at(answer["seq"])
            assert answer["oldest"] == max(0, answer["seq"] - HELD) + 1
        elif kind == "resume":
            self.names |= set(data["channels"])
            self._stands_at(answer["seq"])
            self.since, self.asked_for, self.answer = data["since"], set(data["channels"]), answer
            self.replay: list[int] = []
            assert answer["count"] == len(self.names)
            if not answer["replayed"]:
                self._resumed()
            return int(answer["replayed"])
        elif kind == "replay":
            assert (answer["type"], answer.get("code")) == ("error", "BUSY")
        return 0

    def _stands_at(self, seq: int) -> None:
        assert seq in self.positions, f"it says it is at {seq}, what it sent says {sorted(self.positions)[-5:]}"
        self.positions = {seq}

    def _resumed(self) -> None:
        at = self.answer["seq"]
        held = self.since >= at - HELD
        assert self.answer["recovered"] is held
        assert self.replay == (self.history.select(self.since, at, self.asked_for) if held else [])
        # One that comes from a quicker worker is not given again what it has seen there.
        self.positions = {max(at, self.since)}

    def _replayed(self, data: dict[str, Any], seqs: list[int], end: dict[str, Any]) -> None:
        since = data["since"] if "since" in data else data["from"] - 1
        explained = set()
        for position in self.positions:
            floor = max(0, position - HELD)
            until = position if "since" in data else min(data["to"], position)
            complete = max(since, 0) >= floor
            wanted = self.history.select(max(since, floor), until, self.names)
            if seqs == wanted and end["complete"] is complete and (complete or end["oldest"] == floor + 1):
                explained.add(position)
        assert explained, f"replay {data} of {sorted(self.names)}: {seqs} {end}, at {sorted(self.positions)[-5:]}"
        self.positions = explained


_client = st.integers(0, CLIENTS - 1)
_names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)
# How far back from the newest message, beyond what is held now and then.
_back = st.integers(0, HELD + 20)
_publish = st.tuples(st.just("publish"), st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=25))
# What each client holds at first, and what happens then.
FIRST = st.lists(_names, min_size=CLIENTS, max_size=CLIENTS)
OPERATIONS = st.lists(
    st.one_of(
        _publish,
        _publish,
        _publish,
        st.tuples(st.just("subscribe"), _client, _names),
        st.tuples(st.just("unsubscribe"), _client, _names),
        st.tuples(st.just("replay"), _client, _back, st.none() | st.integers(0, 30)),
        st.tuples(st.just("info"), _client),
        st.tuples(st.just("come back"), _client, st.booleans()),
        st.tuples(st.just("wait"), st.integers(0, 4)),
    ),
    min_size=15,
    max_size=60,
)


class World:
    """A NATS, a ws-go with two workers, and one loop for all examples."""

    def __init__(self, nats: NatsServer, server: WsgoServer) -> None:
        self.nats = nats
        self.server = server
        self.loop = uvloop.new_event_loop()
        self.history = History()
        self.epoch = ""
        self.seen = 0
        self._connection = connected(nats.url)
        self.client: Client = self.loop.run_until_complete(self._connection.__aenter__())

    def close(self) -> None:
        self.loop.run_until_complete(self._connection.__aexit__(None, None, None))
        self.loop.close()

    async def play(self, first: list[list[str]], operations: list[tuple[Any, ...]]) -> None:
        swarm = Swarm(self.server.port, keep=True)
        try:
            models = [await self.enter(swarm) for _ in range(CLIENTS)]
            for model, names in zip(models, first, strict=True):
                model.ask("subscribe", channels=names)
            for verb, *rest in operations:
                if verb == "publish":
                    for channel in rest[0]:
                        self.history.add(channel)
                        await self.client.publish(f"odin.token.{channel}", b"{}")
                elif verb == "wait":
                    await asyncio.sleep(rest[0] / 1000)
                elif verb == "come back":
                    models[rest[0]] = await self.come_back(swarm, models[rest[0]], rude=rest[1])
                else:
                    self.request(models[rest[0]], verb, *rest[1:])
            await self.settle(models)
            for model in models:
                model.check(self.epoch)
                self.seen += model.member.received
        finally:
            await abort_all()

    async def enter(self, swarm: Swarm) -> Model:
        member = await swarm.connect()
        assert member.refusal is None
        return Model(member, self.history, len(self.history.channels))

    def request(self, model: Model, verb: str, *arguments: Any) -> None:
        now = len(self.history.channels)
        if verb in {"subscribe", "unsubscribe"}:
            model.ask(verb, channels=arguments[0])
        elif verb == "info":
            model.ask(verb)
        else:
            since, length = max(0, now - arguments[0]), arguments[1]
            if length is None:
                model.ask("replay", since=since)
            else:
                model.ask("replay", **{"from": since, "to": since + length})

    async def come_back(self, swarm: Swarm, old: Model, *, rude: bool) -> Model:
        """Another connection, perhaps to another worker, that goes on where this one ends."""
        # What is under way is waited for: the names the server knows of it must be ours.
        old.ask("info")
        await self.settle([old])
        old.check(self.epoch)
        since = max((item.seq for item in old.member.transcript if isinstance(item, Envelope)), default=0)
        since = max(since, *old.positions)
        self.seen += old.member.received
        old.member.leave(rude=rude)
        fresh = await self.enter(swarm)
        fresh.ask("resume", epoch=self.epoch, since=since, channels=sorted(old.names) or ["C.z"])
        return fresh

    async def settle(self, models: list[Model]) -> None:
        """Until each has its answers, and what the model says is still to come."""
        await self.client.flush()
        deadline = self.loop.time() + 10
        for model in models:
            while True:
                answers = [item for item in model.member.transcript if not isinstance(item, Envelope)]
                if len(answers) >= len(model.asked):
                    info = [answer for answer in answers if answer["type"] == "info"]
                    if info and info[-1] is answers[-1] and info[-1]["seq"] == len(self.history.channels):
                        break
                    model.ask("info")
                assert self.loop.time() < deadline, f"no end of it: {answers[-3:]} of {model.asked[-3:]}"
                await asyncio.sleep(0.002)
        # Flushes that the last answers overtook.
        await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("model")
    nats = NatsServer(store=folder / "jetstream")
    env = {"WS_WORKERS": "2", "WS_CLIENT_RATE": "0", "WS_REPLAY_MESSAGES": str(HELD), "WS_CPU_LIMIT": "0"}
    server = WsgoServer(nats.url, folder / "wsgo.log", env)
    try:
        nats.start()
        world = World(nats, server)
        server.start()
        world.epoch = world.loop.run_until_complete(epoch_of(server))
        yield world
        world.close()
        assert_clean(server)
    finally:
        server.stop()
        nats.stop()


async def epoch_of(server: WsgoServer) -> str:
    try:
        member = await Swarm(server.port).connect()
        return str((await member.ask("info"))["epoch"])
    finally:
        await abort_all()


def test_every_client_sees_what_it_must(world: World) -> None:
    examples = 0

    @settings(
        max_examples=1500 if FULL else 150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(FIRST, OPERATIONS)
    def play(first: list[list[str]], operations: list[tuple[Any, ...]]) -> None:
        nonlocal examples
        examples += 1
        world.loop.run_until_complete(asyncio.wait_for(world.play(first, operations), 30))

    play()
    print(f"{examples} sequences, {len(world.history.channels)} messages, {world.seen} envelopes explained")
