"""Every code a client can be given, with what it means; the README's tables are made from these."""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """`code` of `{"type":"error"}`: a request that was not carried out; the connection stays open."""

    description: str

    def __new__(cls, value: str, description: str) -> ErrorCode:
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    INVALID_JSON = "INVALID_JSON", "The text frame is not JSON."
    INVALID_REQUEST = "INVALID_REQUEST", "The JSON is no request: not an object, a field missing or mistyped."
    UNKNOWN_TYPE = "UNKNOWN_TYPE", "`type` is none of the requests this server knows."
    INVALID_CHANNEL = "INVALID_CHANNEL", "A channel is neither SYMBOL.EVENT nor a pattern such as BTC.* or >."
    TOO_MANY_CHANNELS = "TOO_MANY_CHANNELS", "The client would hold more channels than WS_MAX_CHANNELS."
    BINARY_NOT_SUPPORTED = "BINARY_NOT_SUPPORTED", "A binary frame; requests are JSON in text frames."
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED", "Too many requests; keep on and the connection is closed (1008)."
    CHANNEL_FORBIDDEN = "CHANNEL_FORBIDDEN", "The token does not allow this channel."
    TOKEN_REFUSED = "TOKEN_REFUSED", "The token of a `refresh` is not accepted; the one before it still holds."
    BUSY = "BUSY", "A replay is still being sent to this client; ask again after it."


class Refusal(StrEnum):
    """`error` of the JSON body of a refused handshake, and `reason` of ws_capacity_rejections_total."""

    status: int
    retry_after: int
    description: str

    def __new__(cls, value: str, status: int, retry_after: int, description: str) -> Refusal:
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        member.retry_after = retry_after
        member.description = description
        return member

    SHUTTING_DOWN = "shutting_down", 503, 5, "The server is leaving; another one or the next one will answer."
    STARTING = "starting", 503, 1, "The stream has not been read yet: NATS is away, or the server has just started."
    AT_MAX_CONNECTIONS = "at_max_connections", 503, 10, "WS_MAX_CONNECTIONS clients are connected."
    CPU_OVERLOAD = "cpu_overload", 503, 15, "CPU use is above WS_CPU_REJECT_THRESHOLD."
    MEMORY_LIMIT = "memory_limit", 503, 30, "Memory use is near WS_MEMORY_LIMIT."
    ACCEPT_RATE = "accept_rate", 429, 1, "More handshakes a second than WS_ACCEPT_RATE."
    ADDRESS_LIMIT = "address_limit", 429, 30, "This address holds WS_MAX_CONNECTIONS_PER_IP connections."
    UNAUTHORIZED = "unauthorized", 401, 0, "WS_AUTH_TOKEN or WS_JWT_KEY_FILE is set, and the token is not accepted."
    FORBIDDEN_ORIGIN = "forbidden_origin", 403, 0, "The Origin header is not one of WS_ALLOWED_ORIGINS."
    FORBIDDEN_CHANNEL = "forbidden_channel", 403, 0, "`?channels=` names a channel that the token does not allow."
    NOT_FOUND = "not_found", 404, 0, "WebSockets are served at /ws only."
    BAD_HANDSHAKE = "bad_handshake", 400, 0, "The upgrade request breaks RFC 6455."
    BAD_VERSION = "bad_version", 426, 0, "Sec-WebSocket-Version must be 13."
    BAD_CHANNELS = "bad_channels", 400, 0, "`?channels=` names something that is no channel, or too many."


class CloseCode:
    """WebSocket close codes this server sends (RFC 6455, section 7.4.1, and the IANA registry)."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    INVALID_UTF8 = 1007
    POLICY = 1008
    TOO_BIG = 1009
    RESTART = 1012
    # RFC 6455, section 7.4.2: 4000-4999 are an application's own.
    TOKEN_EXPIRED = 4001


class TokenError(Exception):
    """The token is not accepted. `reason` is one of a few words, for a metric's label."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
