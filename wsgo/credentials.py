"""JSON Web Tokens: which keys are trusted, and what a token says of its client.

A key decides the one algorithm that it is used with, so a public key can never be taken for a secret.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from wsgo import logs
from wsgo.channels import covers, is_channel
from wsgo.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger("wsgo.credentials")

# Clocks of issuer and server may differ by so many seconds.
LEEWAY_SECONDS = 5
# Longer than any token with a sensible number of claims.
MAX_TOKEN_BYTES = 8192
# RFC 7518: a secret as long as the hash (section 3.2), RSA of this size (section 3.3).
MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048


class KeyFileError(Exception):
    """The key file cannot be used; the message says why and what it should hold."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key, the only algorithm it is used with, and its name (`kid`) if it has one."""

    algorithm: str
    key: Any
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. expires: unix seconds, None for never. channels: names and patterns, None for all."""

    subject: str | None
    expires: int | None
    channels: tuple[str, ...] | None

    def forbidden(self, names: Iterable[str]) -> list[str]:
        """Those of `names` (channels or patterns) that the token does not cover."""
        if self.channels is None:
            return []
        return [name for name in names if not any(covers(allowed, name) for allowed in self.channels)]


def read_keys(text: str) -> list[Key]:
    """The keys in a file's text: a JWKS, a JWK, a PEM public key, or else a secret. Raises KeyFileError."""
    text = text.strip()
    if text.startswith("{"):
        return _json_keys(text)
    if "-----BEGIN" in text:
        if "PRIVATE KEY" in text:
            raise KeyFileError("holds a private key; the server needs the public key only")
        try:
            return [_public_key(load_pem_public_key(text.encode()))]
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFileError("is not a PEM public key (-----BEGIN PUBLIC KEY-----)") from None
    return [_secret(text.encode())]


def _secret(secret: bytes, name: str | None = None) -> Key:
    if len(secret) < MIN_SECRET_BYTES:
        raise KeyFileError(f"holds a secret of {len(secret)} bytes; HS256 needs at least {MIN_SECRET_BYTES}")
    return Key("HS256", secret, name)


def _public_key(key: object, name: str | None = None) -> Key:
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise KeyFileError(f"holds an RSA key of {key.key_size} bits; RS256 needs at least {MIN_RSA_BITS}")
        return Key("RS256", key, name)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return Key("ES256", key, name)
    raise KeyFileError("holds a key that is neither RSA (RS256) nor on the curve P-256 (ES256)")


def _json_keys(text: str) -> list[Key]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise KeyFileError(f"is not JSON: {error}") from None
    entries = found.get("keys", [found])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise KeyFileError('is no JWKS: {"keys": [{"kty": .., ..}, ..]}')
    keys: list[Key] = []
    # Issuers publish keys for other purposes in the same set.
    for entry in entries:
        if entry.get("use", "sig") == "sig" and entry.get("alg", "RS256") in {"HS256", "RS256", "ES256"}:
            keys += _json_key(entry)
    if not keys:
        raise KeyFileError("holds no key for HS256, RS256 or ES256")
    return keys


def _json_key(entry: dict[str, Any]) -> list[Key]:
    kind, name = entry.get("kty"), entry.get("kid")
    if (kind, entry.get("crv", "P-256")) not in {("RSA", "P-256"), ("EC", "P-256"), ("oct", "P-256")}:
        return []
    try:
        key = jwt.PyJWK(entry, {"RSA": "RS256", "EC": "ES256"}.get(str(kind), "HS256")).key
    except (jwt.PyJWTError, ValueError, KeyError):
        raise KeyFileError(f"holds a key that cannot be read (kid {name!r})") from None
    if "d" in entry:
        raise KeyFileError(f"holds a private key (kid {name!r}); the server needs public keys only")
    found = _secret(key, name) if isinstance(key, bytes) else _public_key(key, name)
    return [found] if entry.get("alg", found.algorithm) == found.algorithm else []


class Credentials:
    """Verifies tokens with the keys of a file, which is read again when it changes."""

    def __init__(self, path: str, audience: str = "", issuer: str = "", channels_claim: str = "channels") -> None:
        self._path = Path(path)
        self._audience = audience or None
        self._issuer = issuer or None
        self._channels_claim = channels_claim
        self._version = self._stat()
        self.keys = self._read()

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> list[Key]:
        try:
            return read_keys(self._path.read_text())
        except OSError as error:
            raise KeyFileError(f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise KeyFileError(
                "is not text; write a binary secret in base64 or hexadecimal, which is then used"
            ) from None

    def refresh(self) -> None:
        """Read the file again if it is another one now; a fault in it leaves the keys as they are."""
        version = self._stat()
        if version == self._version:
            return
        self._version = version
        try:
            self.keys = self._read()
        except KeyFileError as error:
            logs.event(logger, logging.ERROR, "jwt_keys_kept", f"{self._path} {error}; the keys before it stay")
        else:
            logs.event(logger, logging.INFO, "jwt_keys_read", f"{self._path} has changed", keys=len(self.keys))

    def verify(self, token: str) -> Claims:
        """What the token says, once its signature, times, audience and issuer are found right; raises TokenError."""
        if not token:
            raise TokenError("missing", "a token is needed")
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenError("malformed", f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, RecursionError):
            raise TokenError("malformed", "the token is no JWT") from None
        return self._claims(self._decode(token, header))

    def _decode(self, token: str, header: dict[str, Any]) -> dict[str, Any]:
        candidates = [key for key in self.keys if key.algorithm == header.get("alg")]
        name = header.get("kid")
        if name:
            candidates = [key for key in candidates if key.name in {None, name}]
        for key in candidates:
            try:
                return jwt.decode(
                    token,
                    key.key,
                    algorithms=[key.algorithm],
                    audience=self._audience,
                    issuer=self._issuer,
                    leeway=LEEWAY_SECONDS,
                    options={"verify_aud": self._audience is not None, "verify_iat": False},
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise TokenError("expired", "the token has expired") from None
            except jwt.ImmatureSignatureError:
                raise TokenError("not_yet", "the token is not valid yet") from None
            except jwt.InvalidAudienceError:
                raise TokenError("audience", "the token is for another audience") from None
            except jwt.InvalidIssuerError:
                raise TokenError("issuer", "the token is from another issuer") from None
            except jwt.MissingRequiredClaimError as error:
                raise TokenError(
                    {"aud": "audience", "iss": "issuer"}.get(error.claim, "malformed"),
                    f"the token has no {error.claim}",
                ) from None
            except (jwt.PyJWTError, RecursionError, OverflowError):
                raise TokenError("malformed", "the token's claims cannot be read") from None
        raise TokenError("signature", "the token is signed by no key that is trusted here")

    def _claims(self, payload: dict[str, Any]) -> Claims:
        channels = payload.get(self._channels_claim)
        if channels is not None and not (isinstance(channels, list) and all(is_channel(name) for name in channels)):
            raise TokenError("malformed", f"the token's claim {self._channels_claim!r} is no list of channels")
        expires = payload.get("exp")
        return Claims(
            payload.get("sub"),
            None if expires is None else int(expires),
            None if channels is None else tuple(channels),
        )
