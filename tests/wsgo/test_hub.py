"""wsgo/hub.py and cohorts.py: who gets what, against a model that knows nothing of flushes or cohorts."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgo import catchup as catchup_module
from wsgo import cohorts as cohorts_module
from wsgo.catchup import RECOVERED_SECONDS, History
from wsgo.channels import matching_names
from wsgo.cohorts import Cohort
from wsgo.duty import DutyCycle
from wsgo.envelope import Message
from wsgo.hub import Hub
from wsgo.metrics import Metrics
from wsgo.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgo.catchup import Catchup
    from wsgo.cohorts import Group

CHANNELS = ["A.x", "A.y", "B.x", "B.y"]
NAMES = [*CHANNELS, "A.*", "*.x", ">", "*.*"]


class FakeSocket(socket.socket):
    """Takes all, some or nothing of what is sent."""

    def __init__(self) -> None:  # it has no descriptor
        self.written = b""
        self.takes = 1_000_000
        self.on_send: Callable[[], None] = lambda: None

    def send(self, data: bytes, /) -> int:  # type: ignore[override]
        if self.takes < 0:
            raise BrokenPipeError
        if not self.takes:
            raise BlockingIOError
        self.written += data[: self.takes]
        self.on_send()
        return min(self.takes, len(data))


class FakeClient:
    """What a Connection is to the hub."""

    def __init__(self, hub: Hub) -> None:
        self.socket = FakeSocket()
        self.cohort: Cohort = hub.cohorts.nobody
        self.group: Group | None = None
        self.place = 0
        self.catchup: Catchup | None = None
        self.paused = self.backlogged = self.was_overtaken = False
        self.queued = b""
        self.slow_since = self.recovered = 0.0
        self.hub = hub
        hub.add(self)

    def write(self, data: bytes) -> None:
        if self.backlogged:
            self.queued += data
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            self.write_rest(data[sent:])

    def write_rest(self, data: bytes) -> None:
        self.backlogged = True
        if self.group is not None:
            self.group.fall_behind(self)
        self.queued += data

    def overtaken(self) -> None:
        self.was_overtaken = True
        self.hub.remove(self)

    def drain(self) -> None:
        """Its kernel takes everything again."""
        self.socket.takes, self.backlogged = 1_000_000, False
        self.socket.send(self.queued)
        self.queued = b""

    def pause(self) -> None:
        self.paused = True
        self.hub.pause(self)

    def resume(self) -> None:
        self.paused = False
        self.hub.pump(self)

    def subscribe(self, *names: str) -> None:
        self.hub.subscribe(self, frozenset(names))

    @property
    def seqs(self) -> list[int]:
        return [int(part) for part in self.socket.written.split(b";") if part]


def make_hub(ring: int = 1000) -> Hub:
    return Hub(Replay(ring, 0), Metrics(), DutyCycle(0.0, 0.0), lambda socket, data: socket.send(data))


def publish(hub: Hub, seq: int, channel: str = "A.x") -> None:
    message = Message(seq, 0.0, channel, b"%d;" % seq)
    hub.replay.append(message)
    hub.publish(message)


def nothing(hub: Hub) -> History:
    """A history that is told already."""
    return History(hub.seq, hub.seq, frozenset())


async def settle(hub: Hub) -> None:
    """Run the loop until no flush is under way."""
    await asyncio.sleep(0)
    while hub._scheduled or hub._pausing:  # noqa: ASYNC110 - the turns of the loop are what is tested
        await asyncio.sleep(0)
    await asyncio.sleep(0)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(CHANNELS)),
        st.tuples(st.just("subscribe"), st.integers(0, 5), st.frozensets(st.sampled_from(NAMES), max_size=3)),
        st.tuples(st.just("remove"), st.integers(0, 5)),
        st.tuples(st.just("pause"), st.integers(4, 5)),
        st.tuples(st.just("resume"), st.integers(4, 5)),
        st.tuples(st.just("clog"), st.integers(0, 3), st.integers(0, 4)),
        st.tuples(st.just("drain"), st.integers(0, 3)),
        st.tuples(st.just("tick")),
    ),
    max_size=80,
)


@settings(deadline=None, max_examples=300)
@given(OPERATIONS)
def test_every_client_gets_what_it_subscribed_to_in_order_and_once(operations: list[tuple[object, ...]]) -> None:
    async def run() -> None:
        hub, seq = make_hub(), 0
        clients = [FakeClient(hub) for _ in range(6)]
        expected: list[list[int]] = [[] for _ in clients]
        newest: list[dict[str, int]] = [{} for _ in clients]
        gone: set[int] = set()
        for operation in operations:
            match operation:
                case ("publish", str(channel)):
                    seq += 1
                    for index, client in enumerate(clients):
                        if index not in gone and client.cohort.channels & set(matching_names(channel)):
                            expected[index].append(seq)
                            newest[index][channel] = seq
                    publish(hub, seq, channel)
                case ("subscribe", int(index), frozenset() as names):
                    if index not in gone:
                        clients[index].subscribe(*names)
                        kept = names
                        newest[index] = {c: s for c, s in newest[index].items() if kept & set(matching_names(c))}
                case ("remove", int(index)):
                    if index not in gone:
                        gone.add(index)
                        hub.remove(clients[index])
                        clients[index].drain()
                        given = clients[index].seqs
                        assert given == expected[index][: len(given)] or index >= 4
                        expected[index] = given
                case ("pause", int(index)):
                    if index not in gone:
                        clients[index].pause()
                case ("resume", int(index)):
                    if index not in gone:
                        clients[index].resume()
                case ("clog", int(index), int(takes)):
                    clients[index].socket.takes = takes
                case ("drain", int(index)):
                    clients[index].drain()
                case ("tick",):
                    await asyncio.sleep(0)
        await settle(hub)
        for client in clients:
            client.drain()
        for index in {4, 5} - gone:
            clients[index].resume()
        await settle(hub)
        for index, client in enumerate(clients):
            if index < 4 or index in gone:
                assert client.seqs == expected[index]
            else:
                # A client that was slow: no message twice, none out of order, and the newest of each channel.
                assert client.seqs == sorted(set(client.seqs))
                assert set(newest[index].values()) <= set(client.seqs)
        assert not hub.stalled
        for client in set(clients) - {clients[index] for index in gone}:
            hub.remove(client)
        assert len(hub.cohorts) == 0
        assert not hub.cohorts._by_name

    with patch.object(cohorts_module, "GROUP_CLIENTS", 2):
        asyncio.run(run())


def test_messages_of_one_tick_are_joined_into_one_write() -> None:
    async def run() -> None:
        hub = make_hub()
        client = FakeClient(hub)
        client.subscribe("A.*", "A.x", ">")
        writes: list[bytes] = []
        client.socket.on_send = lambda: writes.append(client.socket.written)
        for seq in (1, 2, 3):
            publish(hub, seq)
        await settle(hub)
        assert writes == [b"1;2;3;"]
        assert hub.metrics.messages_sent == 3
        assert hub.metrics.bytes_sent == 6

    asyncio.run(run())


def test_equal_subscriptions_share_one_cohort() -> None:
    async def run() -> None:
        hub = make_hub()
        clients = [FakeClient(hub) for _ in range(100)]
        for client in clients:
            client.subscribe("A.x", "B.*")
        assert len(hub.cohorts) == 1

    asyncio.run(run())


def test_a_dead_transport_does_not_stop_the_flush() -> None:
    async def run() -> None:
        hub = make_hub()
        clients = [FakeClient(hub) for _ in range(10)]
        for client in clients:
            client.subscribe("A.x")
        clients[3].socket.takes = -1
        publish(hub, 1)
        await settle(hub)
        assert [client.seqs for client in clients] == [[1]] * 3 + [[]] + [[1]] * 6

    asyncio.run(run())


def test_a_slow_client_gets_the_latest_of_each_channel_when_it_reads_again() -> None:
    async def run() -> None:
        hub = make_hub()
        slow, quick = FakeClient(hub), FakeClient(hub)
        for client in (slow, quick):
            client.subscribe("A.x", "A.y")
        slow.socket.on_send = slow.pause
        publish(hub, 1, "A.x")
        await settle(hub)
        assert slow in hub.stalled
        for seq, channel in enumerate(["A.x", "A.y", "B.x", "A.x", "A.y", "A.x"], 2):
            publish(hub, seq, channel)
        await settle(hub)
        slow.socket.on_send = lambda: None
        slow.resume()
        assert slow.seqs == [1, 6, 7]
        assert quick.seqs == [1, 2, 3, 5, 6, 7]
        assert hub.metrics.conflated == 3
        assert slow not in hub.stalled
        publish(hub, 8)
        await settle(hub)
        assert slow.seqs[-1] == 8

    asyncio.run(run())


@pytest.mark.parametrize("pauses", [0, 3])
def test_a_replay_and_what_comes_meanwhile_join_without_gap_or_duplicate(pauses: int) -> None:
    async def run() -> None:
        hub = make_hub()
        client = FakeClient(hub)
        for seq in range(1, 51):
            publish(hub, seq)
        client.subscribe("A.x")
        left = pauses

        def pause_some() -> None:
            nonlocal left
            if left:
                left -= 1
                client.pause()

        client.socket.on_send = pause_some
        with patch.object(catchup_module, "PIECE_BYTES", 10):
            hub.catch_up(client, History(0, 50, {"A.x"}))
            for seq in range(51, 101):
                publish(hub, seq)
                if seq % 7 == 0:
                    await asyncio.sleep(0)
                if seq % 13 == 0 and client.paused:
                    client.resume()
            await settle(hub)
            while client.paused:
                client.resume()
            await settle(hub)
        assert client.seqs == list(range(1, 101))
        assert client.catchup is None

    asyncio.run(run())


def test_a_client_that_is_ahead_of_this_worker_sees_nothing_twice() -> None:
    async def run() -> None:
        hub = make_hub()
        client = FakeClient(hub)
        publish(hub, 1)
        client.subscribe("A.x")
        hub.catch_up(client, nothing(hub), since=3)
        for seq in range(2, 6):
            publish(hub, seq)
            await settle(hub)
        assert client.seqs == [4, 5]

    asyncio.run(run())


def test_a_new_stream_does_not_silence_clients_that_waited_for_the_old_one() -> None:
    async def run() -> None:
        hub = make_hub()
        ahead, slow = FakeClient(hub), FakeClient(hub)
        for client in (ahead, slow):
            client.subscribe("A.x")
        publish(hub, 500)
        await settle(hub)
        hub.catch_up(ahead, nothing(hub), since=900)
        slow.pause()
        await settle(hub)
        hub.replay.reset(0)
        hub.reset(0)
        publish(hub, 1)
        await settle(hub)
        slow.resume()
        assert ahead.seqs == [500, 1]
        assert slow.seqs == [500, 1]

    asyncio.run(run())


def test_the_loop_has_its_turn_between_chunks() -> None:
    async def run() -> None:
        hub = make_hub()
        clients = [FakeClient(hub) for _ in range(20)]
        for client in clients:
            client.subscribe("A.x")
        publish(hub, 1)
        served = []
        for _ in range(8):
            await asyncio.sleep(0)
            served.append(sum(bool(client.seqs) for client in clients))
        assert served[-1] == 20
        assert max(b - a for a, b in zip([0, *served], served, strict=False)) <= 5

    with patch.object(cohorts_module, "GROUP_CLIENTS", 5):
        asyncio.run(run())


@pytest.mark.parametrize("ticks", range(6))
@pytest.mark.parametrize("change", ["subscribe", "pause", "replay"])
def test_a_change_in_the_middle_of_a_flush_loses_and_doubles_nothing(ticks: int, change: str) -> None:
    async def run() -> None:
        hub = make_hub()
        clients = [FakeClient(hub) for _ in range(8)]
        for client in clients:
            client.subscribe("A.x")
        publish(hub, 1)
        for _ in range(ticks):
            await asyncio.sleep(0)
        publish(hub, 2)
        for client in clients:
            if change == "subscribe":
                client.subscribe("A.x", "A.y")
            elif change == "pause":
                client.pause()
            else:
                hub.catch_up(client, nothing(hub))
        await settle(hub)
        publish(hub, 3)
        await settle(hub)
        for client in clients:
            client.resume()
        assert [client.seqs for client in clients] == [[1, 2, 3]] * 8

    with patch.object(cohorts_module, "GROUP_CLIENTS", 2):
        asyncio.run(run())


@pytest.mark.parametrize("change", ["join", "subscribe", "replay"])
def test_who_joins_a_cohort_that_the_flush_has_not_reached_misses_nothing(change: str) -> None:
    async def run() -> None:
        hub = make_hub()
        first, old, new = [FakeClient(hub) for _ in range(6)], FakeClient(hub), FakeClient(hub)
        for client in first:
            client.subscribe("A.x")
        old.subscribe("B.x")
        if change == "subscribe":
            new.subscribe("A.x")
        elif change == "replay":
            new.subscribe("B.x")
        publish(hub, 1, "A.x")
        publish(hub, 2, "B.x")
        while not any(client.seqs for client in first):  # noqa: ASYNC110 - turn by turn is the point
            await asyncio.sleep(0)
        assert not old.seqs, "the flush is in the first cohort"
        if change == "replay":
            hub.catch_up(new, nothing(hub))
        else:
            new.subscribe("B.x")
        publish(hub, 3, "B.x")
        await settle(hub)
        publish(hub, 4, "B.x")
        await settle(hub)
        assert old.seqs == [2, 3, 4]
        assert new.seqs == {"join": [3, 4], "subscribe": [1, 3, 4], "replay": [2, 3, 4]}[change]

    with patch.object(cohorts_module, "GROUP_CLIENTS", 2):
        asyncio.run(run())


def test_a_client_that_reads_a_little_now_and_then_has_been_slow_all_the_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        clock = 100.0
        monkeypatch.setattr("wsgo.catchup.time.monotonic", lambda: clock)
        hub = make_hub()
        slow = FakeClient(hub)
        slow.subscribe("A.x")
        slow.socket.on_send = slow.pause
        for seq in range(1, 6):
            clock += 1
            publish(hub, seq, "A.x")
            await settle(hub)
            assert hub.stalled == {slow: 101.0}
            slow.resume()
            assert slow not in hub.stalled
        clock += RECOVERED_SECONDS + 1
        publish(hub, 6, "A.x")
        await settle(hub)
        assert hub.stalled == {slow: clock}, "it had recovered"

    asyncio.run(run())


def test_a_fault_in_one_flush_does_not_end_all_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        hub = make_hub()
        client, other = FakeClient(hub), FakeClient(hub)
        client.subscribe("A.x")
        other.subscribe("B.x")

        newest = Cohort.newest

        def broken(cohort: Cohort, count: int) -> bytes:
            if cohort is client.cohort:
                raise ZeroDivisionError
            return newest(cohort, count)

        with monkeypatch.context() as patch:
            patch.setattr("wsgo.cohorts.Cohort.newest", broken)
            publish(hub, 1, "A.x")
            publish(hub, 2, "B.x")
            await settle(hub)
        assert hub.metrics.errors["flush", "critical"] == 1
        publish(hub, 3, "A.x")
        await settle(hub)
        assert client.seqs == [3]
        assert other.seqs == [2], "it was not reached, and its turn came"

    asyncio.run(run())


@pytest.mark.parametrize("takes", [0, 1, 3])
def test_what_a_socket_does_not_take_waits_in_the_transport_and_all_that_follows_behind_it(takes: int) -> None:
    async def run() -> None:
        hub = make_hub()
        client, other = FakeClient(hub), FakeClient(hub)
        for each in (client, other):
            each.subscribe("A.x")
        client.socket.takes = takes
        publish(hub, 10)
        await settle(hub)
        client.socket.takes = 1_000_000
        publish(hub, 11)
        hub.position(client)
        publish(hub, 12)
        await settle(hub)
        assert client.socket.written == b"10;11;12;"[: takes if takes < 3 else 9]
        client.drain()
        publish(hub, 13)
        await settle(hub)
        assert client.seqs == other.seqs == [10, 11, 12, 13]

    asyncio.run(run())


def test_a_message_that_comes_during_a_round_goes_out_with_it_where_it_has_not_been() -> None:
    async def run() -> None:
        hub = make_hub()
        clients = [FakeClient(hub) for _ in range(6)]
        for client in clients:
            client.subscribe("A.x")
        groups = clients[0].cohort.groups
        assert [len(group) for group in groups] == [2, 2, 2]
        publish(hub, 1)
        await asyncio.sleep(0)
        publish(hub, 2)
        assert [len(client.seqs) for client in clients] == [1, 1, 0, 0, 0, 0]
        await asyncio.sleep(0)
        assert [len(client.seqs) for client in clients] == [1, 1, 2, 2, 0, 0]
        await settle(hub)
        assert [client.seqs for client in clients] == [[1, 2]] * 6
        assert not clients[0].cohort.log

    with patch.object(cohorts_module, "GROUP_CLIENTS", 2):
        asyncio.run(run())


def test_a_replay_that_the_ring_overtakes_says_so_and_holds_nothing() -> None:
    async def run() -> None:
        hub = make_hub(ring=10)
        client = FakeClient(hub)
        for seq in range(1, 11):
            publish(hub, seq)
        client.subscribe("A.x")
        told: list[History] = []

        def end(history: History) -> bytes:
            told.append(history)
            return b"100;"

        client.socket.on_send = client.pause
        with patch.object(catchup_module, "PIECE_BYTES", 4):
            hub.catch_up(client, History(0, 10, {"A.x"}, end=end))
            assert client.seqs == [1, 2]
            for seq in range(11, 17):
                publish(hub, seq)
            client.socket.on_send = lambda: None
            client.resume()
        assert client.seqs == [1, 2, 7, 8, 9, 10, 100, 11, 12, 13, 14, 15, 16]
        assert [(history.sent, history.complete) for history in told] == [(6, False)]

    asyncio.run(run())


def test_a_resumption_that_the_ring_overtakes_is_given_up() -> None:
    async def run() -> None:
        hub = make_hub(ring=10)
        client = FakeClient(hub)
        for seq in range(1, 11):
            publish(hub, seq)
        client.subscribe("A.x")
        client.socket.on_send = client.pause
        with patch.object(catchup_module, "PIECE_BYTES", 4):
            hub.catch_up(client, History(0, 10, {"A.x"}, promised=True))
            for seq in range(11, 17):
                publish(hub, seq)
            client.resume()
        assert client.was_overtaken
        assert client.seqs == [1, 2]
        assert not hub.stalled

    asyncio.run(run())
