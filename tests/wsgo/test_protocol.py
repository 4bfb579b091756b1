"""The wire protocol, as an independent client library sees it against the real server and a real NATS."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.wsgo.client import client, jetstream, publish
from wsgo.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.wsgo.conftest import Pair


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


def test_a_client_gets_its_channels_in_order_and_no_others(pair: Pair) -> None:
    async def test() -> None:
        async with jetstream(pair.nats.url) as stream, client(pair.wsgo.url) as one, client(pair.wsgo.url) as all_:
            answer = await one.subscribe("ORD.trade", "ORD.social")
            assert answer == {"type": "subscription_ack", "subscribed": ["ORD.trade", "ORD.social"], "count": 2}
            await all_.subscribe("ORD.*")
            sent = []
            for number in range(300):
                channel = ("ORD.trade", "ORD.social", "ORD.metadata", "OTHER.trade")[number % 4]
                sent.append((await publish(stream, channel, {"n": number}), channel, {"n": number}))
            for listener, wanted in (
                (one, {"ORD.trade", "ORD.social"}),
                (all_, {"ORD.trade", "ORD.social", "ORD.metadata"}),
            ):
                expected = [entry for entry in sent if entry[1] in wanted]
                got = [await listener.receive() for _ in expected]
                assert [(m["seq"], m["channel"], m["data"]) for m in got] == expected
                last = dict.fromkeys(wanted, 0)
                for message in got:
                    assert message["prev"] == last[message["channel"]]
                    last[message["channel"]] = message["seq"]
                await listener.silent()

    run(test())


def test_the_envelope_on_the_wire(pair: Pair) -> None:
    async def test() -> None:
        async with jetstream(pair.nats.url) as stream, client(pair.wsgo.url + "?channels=ENV.*") as listener:
            await listener.silent()
            first = await stream.publish("odin.token.ENV.trade", b'{"price": 1.50,"x":[1, 2]}')
            await stream.publish("odin.token.ENV.social", b"plain \xc3\xa4")
            raw = await asyncio.wait_for(listener.socket.recv(), 10)
            assert isinstance(raw, str)
            envelope = json.loads(raw)
            assert list(envelope) == ["seq", "prev", "ts", "type", "priority", "channel", "data"]
            assert raw.endswith('"data":{"price": 1.50,"x":[1, 2]}}')
            stored = await stream.get_msg("ODIN_TOKENS", first.seq)
            assert stored.seq == envelope["seq"]
            assert envelope["type"] == "price:update"
            second = await listener.receive()
            assert (second["type"], second["data"]) == ("social:update", "plain ä")

    run(test())


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [("P.*", {"P.trade", "P.social"}), ("*.trade", {"P.trade", "Q.trade"}), (">", {"P.trade", "P.social", "Q.trade"})],
)
def test_patterns(pair: Pair, pattern: str, matches: set[str]) -> None:
    async def test() -> None:
        async with jetstream(pair.nats.url) as stream, client(pair.wsgo.url) as listener:
            await listener.subscribe(pattern, "Q.never")
            for channel in ("P.trade", "P.social", "Q.trade"):
                await publish(stream, channel, 1)
            assert {(await listener.receive())["channel"] for _ in matches} == matches
            await listener.silent()

    run(test())


def test_unsubscribed_channels_are_silent_at_once(pair: Pair) -> None:
    async def test() -> None:
        async with jetstream(pair.nats.url) as stream, client(pair.wsgo.url) as listener:
            await listener.subscribe("UN.trade", "UN.social")
            answer = await listener.request("unsubscribe", channels=["UN.trade", "UN.never"])
            assert answer == {"type": "unsubscription_ack", "unsubscribed": ["UN.trade", "UN.never"], "count": 1}
            await publish(stream, "UN.trade", 1)
            await publish(stream, "UN.social", 2)
            assert (await listener.receive())["channel"] == "UN.social"
            await listener.silent()

    run(test())


def test_channels_at_the_top_level_are_accepted(pair: Pair) -> None:
    async def test() -> None:
        async with client(pair.wsgo.url) as listener:
            await listener.socket.send('{"type":"subscribe","channels":["TOP.trade"]}')
            assert (await listener.receive())["count"] == 1

    run(test())


def test_heartbeat_ping_and_info(pair: Pair) -> None:
    async def test() -> None:
        async with client(pair.wsgo.url) as listener:
            for kind in ("heartbeat", "ping"):
                answer = await listener.request(kind)
                assert answer["type"] == "pong"
                assert answer["ts"] > 1_700_000_000_000
            info = await listener.request("info")
            assert info["epoch"]
            assert info["limits"]["max_channels"] == 20
            assert {"seq", "version", "type"} <= set(info)

    run(test())


BAD_REQUESTS: list[tuple[str | bytes, ErrorCode]] = [
    ("{", ErrorCode.INVALID_JSON),
    ("", ErrorCode.INVALID_JSON),
    ("[]", ErrorCode.INVALID_REQUEST),
    ("{}", ErrorCode.INVALID_REQUEST),
    ('{"type":3}', ErrorCode.INVALID_REQUEST),
    ('{"type":"subscribe"}', ErrorCode.INVALID_REQUEST),
    ('{"type":"subscribe","data":[]}', ErrorCode.INVALID_REQUEST),
    ('{"type":"subscribe","data":{"channels":"BTC.trade"}}', ErrorCode.INVALID_REQUEST),
    ('{"type":"replay","data":{}}', ErrorCode.INVALID_REQUEST),
    ('{"type":"replay","data":{"from":5,"to":4}}', ErrorCode.INVALID_REQUEST),
    ('{"type":"replay","data":{"since":true}}', ErrorCode.INVALID_REQUEST),
    ('{"type":"resume","data":{"since":1,"channels":["A.b"]}}', ErrorCode.INVALID_REQUEST),
    ('{"type":"shout"}', ErrorCode.UNKNOWN_TYPE),
    ('{"type":"subscribe","data":{"channels":["BTC"]}}', ErrorCode.INVALID_CHANNEL),
    ('{"type":"subscribe","data":{"channels":[1]}}', ErrorCode.INVALID_CHANNEL),
    (
        json.dumps({"type": "subscribe", "data": {"channels": [f"S{n}.x" for n in range(21)]}}),
        ErrorCode.TOO_MANY_CHANNELS,
    ),
    (b"\x00\x01", ErrorCode.BINARY_NOT_SUPPORTED),
]


@pytest.mark.parametrize(("request_", "code"), BAD_REQUESTS)
def test_a_bad_request_is_answered_with_its_code_and_changes_nothing(
    pair: Pair, request_: str | bytes, code: ErrorCode
) -> None:
    async def test() -> None:
        async with client(pair.wsgo.url) as listener:
            await listener.socket.send(request_)
            answer = await listener.receive()
            assert (answer["type"], answer["code"]) == ("error", code.value)
            assert answer["message"]
            assert (await listener.subscribe("OK.trade"))["count"] == 1

    run(test())


def test_too_many_requests_are_refused_and_then_the_client_is_closed(pair: Pair) -> None:
    async def test() -> None:
        async with client(pair.wsgo.url) as listener:
            for _ in range(230):
                await listener.socket.send('{"type":"ping"}')
            kinds = []
            with pytest.raises(ConnectionClosedError) as closed:  # noqa: PT012 - it is the loop that ends so
                while True:
                    answer = await listener.receive()
                    kinds.append(answer.get("code", answer["type"]))
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            assert "too many requests" in closed.value.rcvd.reason
            assert 100 <= kinds.count("pong") <= 130
            assert kinds.count(ErrorCode.RATE_LIMIT_EXCEEDED) >= 90

    run(test())


@pytest.mark.parametrize(("text", "code"), [("x" * 5000, 1009), (b"\xff", 1007)])
def test_what_breaks_the_protocol_closes_with_its_code(pair: Pair, text: str | bytes, code: int) -> None:
    async def test() -> None:
        async with client(pair.wsgo.url) as listener:
            await listener.socket.send(text, text=True)
            with pytest.raises(ConnectionClosedError) as closed:
                await listener.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == code

    run(test())


def test_pings_are_answered_and_closing_is_clean(pair: Pair) -> None:
    async def test() -> None:
        async with client(pair.wsgo.url) as listener:
            await asyncio.wait_for(await listener.socket.ping(b"abc"), 5)
            await listener.socket.close(4001, "done")
            assert listener.socket.close_code == 4001

    run(test())


@pytest.mark.parametrize("query", ["?channels=BTC", "?channels=" + ",".join(f"S{n}.x" for n in range(21))])
def test_bad_channels_in_the_url_are_refused_before_the_handshake(pair: Pair, query: str) -> None:
    async def test() -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with client(pair.wsgo.url + query):
                pass
        assert refused.value.response.status_code == 400
        assert json.loads(refused.value.response.body or b"")["error"] == "bad_channels"

    run(test())


def test_replay(pair: Pair) -> None:
    async def test() -> None:
        async with jetstream(pair.nats.url) as stream, client(pair.wsgo.url) as listener:
            await listener.subscribe("RE.trade")
            seqs = []
            for number in range(6):
                seqs.append(await publish(stream, "RE.trade", number))
                await publish(stream, "RE.social", number)
            live = [await listener.receive() for _ in seqs]
            assert [m["seq"] for m in live] == seqs
            await listener.socket.send(json.dumps({"type": "replay", "data": {"from": seqs[1], "to": seqs[3]}}))
            *messages, end = await listener.receive_until("replay_complete")
            assert messages == live[1:4]
            assert end == {"type": "replay_complete", "sent": 3, "complete": True}
            nothing = await listener.request("replay", **{"from": 0, "to": 0})
            assert (nothing["type"], nothing["sent"]) == ("replay_complete", 0)
            await listener.socket.send(json.dumps({"type": "replay", "data": {"since": seqs[2]}}))
            *messages, end = await listener.receive_until("replay_complete")
            assert messages == live[3:]

    run(test())


def test_resume_has_no_gap_and_no_duplicate(pair: Pair) -> None:
    async def test() -> None:
        async with jetstream(pair.nats.url) as stream:
            async with client(pair.wsgo.url) as before:
                epoch = (await before.request("info"))["epoch"]
                await before.subscribe("RS.trade")
                seqs = [await publish(stream, "RS.trade", n) for n in range(3)]
                seen = [(await before.receive())["seq"] for _ in range(2)]

            async def publisher() -> None:
                for number in range(200):
                    seq = await publish(stream, "RS.trade", number)
                    seqs.append(seq)
                    if number == 50:
                        under_way.set()

            under_way = asyncio.Event()
            publishing = asyncio.create_task(publisher())
            await under_way.wait()
            async with client(pair.wsgo.url) as after:
                answer = await after.request("resume", epoch=epoch, since=seen[-1], channels=["RS.trade"])
                assert (answer["type"], answer["recovered"], answer["epoch"]) == ("resume_ack", True, epoch)
                assert answer["replayed"] >= 1
                await publishing
                rest = [(await after.receive())["seq"] for _ in range(len(seqs) - len(seen))]
                assert seen + rest == seqs
                await after.silent()

    run(test())


@pytest.mark.parametrize("epoch", ["another", ""])
def test_resume_from_another_stream_is_not_recovered_but_subscribes(pair: Pair, epoch: str) -> None:
    async def test() -> None:
        async with jetstream(pair.nats.url) as stream, client(pair.wsgo.url) as listener:
            answer = await listener.request("resume", epoch=epoch, since=0, channels=["RX.trade"])
            assert (answer["recovered"], answer["replayed"], answer["count"]) == (False, 0, 1)
            await publish(stream, "RX.trade", 1)
            assert (await listener.receive())["channel"] == "RX.trade"

    run(test())


def test_ten_clients_with_sets_of_their_own(pair: Pair) -> None:
    async def test() -> None:
        async with jetstream(pair.nats.url) as stream, asyncio.TaskGroup() as group:
            ready = asyncio.Barrier(11)

            async def listen(number: int) -> None:
                async with client(pair.wsgo.url) as listener:
                    await listener.subscribe(f"TEN{number}.trade", "TEN.all")
                    await ready.wait()
                    got = [await listener.receive() for _ in range(4)]
                    assert [m["channel"] for m in got] == [f"TEN{number}.trade", "TEN.all"] * 2

            for number in range(10):
                group.create_task(listen(number))
            await ready.wait()
            for _ in range(2):
                for number in range(10):
                    await publish(stream, f"TEN{number}.trade", number)
                await publish(stream, "TEN.all", 0)

    run(test())
