"""wsgo/credentials.py: which tokens are accepted, what they allow, and what becomes of their clients."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.wsgo.client import Client, jetstream, publish
from tests.wsgo.conftest import make_stream
from wsgo.channels import covers, is_channel, matching_names
from wsgo.credentials import Claims, Credentials, KeyFileError, read_keys
from wsgo.errors import CloseCode, TokenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import StartWsgo
    from tests.support import NatsServer

SECRET = "a secret of at least thirty-two bytes"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(encoding, form).decode())


def jwk(key: Any, **more: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), **more}


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def trusting(tmp_path: Path) -> Callable[..., Credentials]:
    def make(text: str, **options: str) -> Credentials:
        path = tmp_path / "key"
        path.write_text(text)
        return Credentials(str(path), **options)

    return make


def reason(credentials: Credentials, token: str) -> str:
    with pytest.raises(TokenError) as error:
        credentials.verify(token)
    return error.value.reason


KEYS = [
    ("HS256", SECRET, SECRET),
    ("RS256", RSA, pem(RSA)),
    ("ES256", EC, pem(EC)),
    ("RS256", RSA, jwks(jwk(EC, kid="e"), jwk(OTHER_RSA, kid="o"), jwk(RSA, kid="r"))),
    ("ES256", EC, jwks(jwk(EC, use="sig", alg="ES256"), jwk(RSA))),
    ("RS256", RSA, json.dumps(jwk(RSA))),
    ("HS256", SECRET, jwks({"kty": "oct", "k": b64(SECRET.encode())})),
]


@pytest.mark.parametrize(("algorithm", "key", "text"), KEYS)
def test_a_token_of_each_kind_of_key_is_accepted(
    trusting: Callable[..., Credentials], algorithm: str, key: Any, text: str
) -> None:
    expires = int(time.time()) + 60
    token = jwt.encode({"sub": "eva", "exp": expires, "channels": ["BTC.*"]}, key, algorithm)
    assert trusting(text).verify(token) == Claims("eva", expires, ("BTC.*",))
    assert trusting(text).verify(jwt.encode({}, key, algorithm)) == Claims(None, None, None)


@pytest.mark.parametrize(("algorithm", "key", "text"), KEYS)
def test_what_is_not_signed_by_that_key_is_not(
    trusting: Callable[..., Credentials], algorithm: str, key: Any, text: str
) -> None:
    credentials = trusting(text)
    head, body, signature = jwt.encode({"sub": "eva"}, key, algorithm).split(".")
    forged = b64(b'{"sub":"eve"}')
    assert reason(credentials, f"{head}.{forged}.{signature}") == "signature"
    unsigned = b64(b'{"alg":"none","typ":"JWT"}')
    assert reason(credentials, f"{unsigned}.{body}.") == "signature"
    assert reason(credentials, jwt.encode({}, SECRET + "!", "HS256")) == "signature"
    assert reason(credentials, jwt.encode({}, OTHER_RSA, "RS256", headers={"kid": "r"})) == "signature"


def test_a_public_key_is_no_secret(trusting: Callable[..., Credentials]) -> None:
    text = pem(RSA)
    head, body = b64(b'{"alg":"HS256","typ":"JWT"}'), b64(b'{"sub":"eve"}')
    for secret in (text, text.strip()):
        signature = b64(hmac.digest(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256))
        assert reason(trusting(text), f"{head}.{body}.{signature}") == "signature"


def test_a_named_key_is_the_only_one_that_is_tried(trusting: Callable[..., Credentials]) -> None:
    credentials = trusting(jwks(jwk(RSA, kid="one"), jwk(OTHER_RSA, kid="two")))
    assert credentials.verify(jwt.encode({"sub": "a"}, OTHER_RSA, "RS256", headers={"kid": "two"})).subject == "a"
    assert credentials.verify(jwt.encode({"sub": "a"}, OTHER_RSA, "RS256")).subject == "a"
    assert reason(credentials, jwt.encode({}, OTHER_RSA, "RS256", headers={"kid": "one"})) == "signature"
    assert reason(credentials, jwt.encode({}, OTHER_RSA, "RS256", headers={"kid": "three"})) == "signature"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": time.time() - 60}, "expired"),
        ({"nbf": time.time() + 3600}, "not_yet"),
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "audience"),
        ({"iss": "other"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": float("inf")}, "malformed"),
        ({"channels": "BTC.trade"}, "malformed"),
        ({"channels": ["BTC"]}, "malformed"),
        ({"sub": 5}, "malformed"),
    ],
)
def test_claims_that_are_not_right(
    trusting: Callable[..., Credentials], claims: dict[str, object], expected: str
) -> None:
    credentials = trusting(SECRET, audience="odin", issuer="us")
    right = {"aud": ["odin", "x"], "iss": "us", "exp": time.time() + 60}
    assert credentials.verify(jwt.encode(right, SECRET, "HS256"))
    wrong = {name: value for name, value in {**right, **claims}.items() if value is not None}
    assert reason(credentials, jwt.encode(wrong, SECRET, "HS256")) == expected


def test_what_is_no_token(trusting: Callable[..., Credentials]) -> None:
    credentials = trusting(SECRET)
    assert reason(credentials, "") == "missing"
    deep = b64(b"[" * 5000)
    for text in ("x", "a.b.c", "\xff.\xff.\xff", "." * 50, "x" * 9000, f"{deep}.e30.x"):
        assert reason(credentials, text) == "malformed"


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    credentials = Credentials.__new__(Credentials)
    credentials.keys, credentials._audience, credentials._issuer = read_keys(SECRET), None, None
    credentials._channels_claim = "channels"
    good = jwt.encode({"sub": "a"}, SECRET, "HS256")
    for token in (data.decode("latin-1"), good[: len(data)] + data.decode("latin-1")):
        if token != good:
            reason(credentials, token)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("short", "5 bytes; HS256 needs at least 32"),
        (pem(rsa.generate_private_key(65537, 1024)), "1024 bits; RS256 needs at least 2048"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "neither RSA (RS256) nor on the curve P-256"),
        ("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", "is not a PEM public key"),
        ("-----BEGIN PRIVATE KEY-----\nx", "holds a private key"),
        ("{", "is not JSON"),
        ('{"keys": 5}', "is no JWKS"),
        ('{"keys": []}', "holds no key for"),
        (jwks(jwk(RSA, use="enc")), "holds no key for"),
        (jwks(jwk(RSA, alg="RS512")), "holds no key for"),
        (jwks({"kty": "RSA", "n": "!", "kid": "k"}), "cannot be read (kid 'k')"),
    ],
)
def test_keys_that_cannot_be_used(text: str, says: str) -> None:
    with pytest.raises(KeyFileError) as error:
        read_keys(text)
    assert says in str(error.value)


def test_the_file_is_read_again_when_it_changes(
    trusting: Callable[..., Credentials], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    credentials = trusting(SECRET)
    token = jwt.encode({}, RSA, "RS256")
    assert reason(credentials, token) == "signature"
    (tmp_path / "key").write_text(pem(RSA))
    credentials.refresh()
    assert credentials.verify(token)
    (tmp_path / "key").write_text("oops")
    credentials.refresh()
    assert credentials.verify(token)
    (tmp_path / "key").unlink()
    credentials.refresh()
    assert credentials.verify(token)
    assert len([record for record in caplog.records if "the keys before it stay" in record.message]) == 2


NAMES = st.builds("{}.{}".format, st.sampled_from("AB*"), st.sampled_from("xy*>")) | st.just(">")
SAMPLE = [f"{symbol}.{event}" for symbol in "ABC" for event in "xyz"]


@given(NAMES.filter(is_channel), NAMES.filter(is_channel))
def test_a_pattern_covers_a_name_if_it_matches_all_that_the_name_does(pattern: str, name: str) -> None:
    matched = [channel for channel in SAMPLE if name in matching_names(channel)]
    assert covers(pattern, name) == all(pattern in matching_names(channel) for channel in matched)


# -- with a real server --------------------------------------------------------------------------


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(jwks(jwk(RSA, kid="r"), jwk(EC, kid="e")))
    return path


def token(seconds: float | None = 60, key: Any = RSA, **claims: object) -> str:
    expiry = {} if seconds is None else {"exp": time.time() + seconds}
    return jwt.encode(
        {"sub": "eva", **expiry, **claims}, key, "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    )


async def status(url: str, **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as error:
        async with connect(url, **options):
            pass
    answer = error.value.response
    return answer.status_code, json.loads(answer.body or b"{}").get("message", "")


def test_a_token_is_taken_from_three_places(nats_server: NatsServer, wsgo_server: StartWsgo, key_file: Path) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_JWT_KEY_FILE=str(key_file))
        good, old = token(), token(-60)
        for url, options in (
            (server.url, {"additional_headers": {"Authorization": f"Bearer {good}"}}),
            (f"{server.url}?token={good}", {}),
            (server.url, {"subprotocols": ["odin", f"bearer.{good}"]}),
        ):
            async with connect(url, **options) as socket:
                assert socket.subprotocol == ("odin" if options.get("subprotocols") else None)
                info = await Client(socket).request("info")
                assert info["expires"] > time.time()
        assert await status(server.url) == (401, "a token is needed")
        assert await status(f"{server.url}?token={old}") == (401, "the token has expired")
        assert await status(server.url, subprotocols=["odin", f"bearer.{old}"]) == (401, "the token has expired")
        metrics = server.get("/metrics")[1]
        assert 'ws_token_faults_total{reason="expired"} 2.0' in metrics
        assert 'ws_capacity_rejections_total{reason="unauthorized"} 3.0' in metrics
        log = server.log.read_text()
        assert good not in log
        assert old not in log

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_token_bounds_what_its_client_may_see(
    nats_server: NatsServer, wsgo_server: StartWsgo, key_file: Path
) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_JWT_KEY_FILE=str(key_file))
        allowed = token(channels=["BTC.*", "ETH.trade"])
        code, message = await status(f"{server.url}?channels=BTC.trade,SOL.trade&token={allowed}")
        assert (code, message) == (403, "the token does not allow 'SOL.trade'")
        async with connect(f"{server.url}?channels=BTC.trade&token={allowed}") as socket:
            client = Client(socket)
            await client.subscribe("BTC.*", "ETH.trade")
            for verb, data in (("subscribe", {}), ("resume", {"epoch": "", "since": 0})):
                answer = await client.request(verb, channels=["*.trade", "BTC.social"], **data)
                assert (answer["code"], answer["message"]) == (
                    "CHANNEL_FORBIDDEN",
                    "the token does not allow '*.trade'",
                )
            assert (await client.subscribe())["count"] == 3

    asyncio.run(asyncio.wait_for(test(), 60))


def test_an_expiring_token_ends_the_connection_unless_it_is_refreshed(
    nats_server: NatsServer, wsgo_server: StartWsgo, key_file: Path
) -> None:
    async def test() -> None:
        async with jetstream(nats_server.url) as stream:
            server = await asyncio.to_thread(wsgo_server, WS_JWT_KEY_FILE=str(key_file))
            begun = time.time()
            short = token(3)
            async with (
                connect(f"{server.url}?channels=BTC.trade,ETH.trade&token={short}") as first,
                connect(f"{server.url}?channels=BTC.trade&token={short}") as second,
                connect(f"{server.url}?channels=BTC.trade&token={token(None)}") as third,
            ):
                refreshing = Client(first)
                other = await refreshing.request("refresh", token=token(60, EC, sub="eve"))
                assert other["code"] == "TOKEN_REFUSED"
                assert (await refreshing.request("refresh", token="x.y.z"))["code"] == "TOKEN_REFUSED"
                answer = await refreshing.request("refresh", token=token(60, EC, channels=["BTC.*"]))
                assert (answer["type"], answer["unsubscribed"], answer["count"]) == ("refresh_ack", ["ETH.trade"], 1)
                with pytest.raises(ConnectionClosedError) as error:
                    await asyncio.wait_for(second.recv(), 30)
                assert error.value.rcvd is not None
                assert error.value.rcvd.code == CloseCode.TOKEN_EXPIRED
                assert "expired" in error.value.rcvd.reason
                assert time.time() >= begun + 2
                await publish(stream, "ETH.trade", 1)
                await publish(stream, "BTC.trade", 2)
                for socket in (first, third):
                    assert (await Client(socket).receive())["data"] == 2
            assert 'ws_disconnects_total{initiated_by="server",reason="token_expired"} 1.0' in server.get("/metrics")[1]

    asyncio.run(asyncio.wait_for(test(), 60))


def test_keys_are_changed_under_a_running_server(
    nats_server: NatsServer, wsgo_server: StartWsgo, key_file: Path
) -> None:
    async def test() -> None:
        await make_stream(nats_server.url)
        server = await asyncio.to_thread(wsgo_server, WS_JWT_KEY_FILE=str(key_file))
        mine = token(key=OTHER_RSA)
        assert (await status(f"{server.url}?token={mine}"))[0] == 401
        fresh = key_file.with_suffix(".new")
        fresh.write_text(jwks(jwk(OTHER_RSA)))
        os.replace(fresh, key_file)
        deadline = time.monotonic() + 20
        while True:
            try:
                async with connect(f"{server.url}?token={mine}"):
                    return
            except InvalidStatus:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(test(), 60))
