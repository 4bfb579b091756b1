"""What is asked of the contestants: clients, messages a second, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Load:
    """clients x rate is the deliveries a second asked for.

    kind: `steady` (any server can), `saturated` (few can) or `extreme` (those only that join messages).
    rate: messages/s, each for every client. warm, window: seconds before and of the measurement.
    drain: seconds that what is still under way is waited for.
    """

    kind: str
    clients: int
    rate: float
    warm: float
    window: float
    drain: float

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.clients}"

    @property
    def asked(self) -> float:
        """Deliveries a second."""
        return self.clients * self.rate

    @property
    def title(self) -> str:
        return f"{self.kind}, {self.clients:,} clients x {self.rate:g} msg/s"


# Payload bytes; with ws-go's envelope a frame has about 430, with the plain peers 354.
PAYLOAD = 350


def _steady(clients: int, seconds: float) -> Load:
    return Load(kind="steady", clients=clients, rate=20_000 / clients, warm=1, window=seconds, drain=2)


def _saturated(clients: int, seconds: float) -> Load:
    # A while before it counts: a server that falls behind shows it.
    return Load(kind="saturated", clients=clients, rate=1_000_000 / clients, warm=1.5, window=seconds, drain=2)


def _extreme(clients: int, seconds: float) -> Load:
    return Load(kind="extreme", clients=clients, rate=4_000_000 / clients, warm=1.5, window=seconds, drain=2)


FULL = (
    *(_steady(clients, 5) for clients in (1_000, 5_000, 10_000)),
    *(_saturated(clients, 5) for clients in (1_000, 5_000, 10_000)),
    *(_extreme(clients, 4) for clients in (1_000, 5_000)),
)
QUICK = (_steady(1_000, 1.5), _steady(5_000, 1.5), _saturated(1_000, 1.5), _extreme(1_000, 1.5))
