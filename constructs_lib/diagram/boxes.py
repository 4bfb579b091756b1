"""The boxes: how large actors, nodes and cards are, and the rows of theirs at which flows end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from constructs_lib.diagram.text import SMALL, bold, mono, sans

if TYPE_CHECKING:
    from constructs_lib.diagram.content import ActorBox, Card, Chip, NodeBox
    from constructs_lib.diagram.reach import PortRow

PAD = 10.0
CARD_GAP = 8.0
HEAD = 22.0
ROW = 19.0
CHIP = 20.0


@dataclass
class Slot:
    """Where a line meets the side of a box. height: what it needs, with its label. y: set by the layout."""

    height: float
    toward: float = 0.0
    y: float = 0.0


@dataclass
class Row:
    """A stretch of a box's height that flows end at, on either side."""

    least: float
    y: float = 0.0
    left: list[Slot] = field(default_factory=list)
    right: list[Slot] = field(default_factory=list)

    @property
    def height(self) -> float:
        return max(self.least, *(sum(slot.height for slot in side) for side in (self.left, self.right)))

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    def settle(self) -> None:
        """Spread the slots of each side about the row's middle, those that lead upwards first."""
        for side in (self.left, self.right):
            side.sort(key=lambda slot: slot.toward)
            y = self.middle - sum(slot.height for slot in side) / 2
            for slot in side:
                slot.y = y + slot.height / 2
                y += slot.height


@dataclass
class Rect:
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass
class PlacedChip:
    chip: Chip
    rect: Rect


@dataclass
class PlacedCard:
    """split: width of the part left of the chips, 0 where they are below the ports."""

    card: Card
    rect: Rect
    head: Row
    ports: list[tuple[PortRow, Row]]
    chips: list[PlacedChip] = field(default_factory=list)
    split: float = 0.0

    @property
    def head_width(self) -> float:
        """What name, limits and ports need."""
        head = bold(self.card.name) + sans(self.card.limits) + 8
        return max([head, *(_port_width(row) for row, _ in self.ports)]) + 2 * PAD

    def measure(self, width: float, split: float) -> None:
        """Heights, once the width and the slots are known."""
        self.rect.width, self.split = width, split
        ports = self.head.height + sum(row.height for _, row in self.ports)
        left = self.split + PAD if self.split else PAD
        self.chips, chips = _flow_chips(self.card.chips, left, width - PAD)
        if self.split:
            self.rect.height = max(ports, chips + 4) + 12
        else:
            self.rect.height = ports + 12 + (chips + 4 if chips else 0)

    def place(self, x: float, y: float) -> None:
        self.rect.x, self.rect.y = x, y
        at = y + 6
        for row in (self.head, *(row for _, row in self.ports)):
            row.y = at
            at += row.height
        for placed in self.chips:
            placed.rect.x += x
            placed.rect.y += y + 9 if self.split else at + 4


@dataclass
class PlacedNode:
    node: NodeBox
    rect: Rect
    head: Row
    ports: list[tuple[PortRow, Row]]
    cards: list[PlacedCard]

    @property
    def least_width(self) -> float:
        """What the longest line needs."""
        cards = [card.head_width for card in self.cards]
        cards += [_chip_width(chip) + 2 * PAD for card in self.cards for chip in card.card.chips]
        own = [bold(self.node.name, 15) + sans(self.node.machine) + 14, sans(self.node.size), sans(self.node.spend)]
        own += [_port_width(row) for row, _ in self.ports]
        return max([*(width + 4 for width in own), *cards]) + 2 * PAD

    def measure(self, width: float) -> None:
        self.rect.width = width
        self.head.least = 62.0 if self.node.spend else 28.0
        height = PAD / 2 + self.head.height + sum(row.height for _, row in self.ports)
        inner = width - 2 * PAD
        chips = [_chip_width(chip) + 2 * PAD for card in self.cards for chip in card.card.chips]
        split = inner / 2 >= max([*chips, *(card.head_width for card in self.cards)], default=0)
        for card in self.cards:
            card.measure(inner, round(inner / 2) if split else 0.0)
            height += CARD_GAP + card.rect.height
        self.rect.height = height + PAD

    def place(self, x: float, y: float) -> None:
        self.rect.x, self.rect.y = x, y
        at = y + PAD / 2
        for row in (self.head, *(row for _, row in self.ports)):
            row.y = at
            at += row.height
        for card in self.cards:
            at += CARD_GAP
            card.place(x + PAD, at)
            at += card.rect.height

    def rows(self) -> dict[tuple[str, str], Row]:
        """By (owner, port); the port is empty where flows leave."""
        found = {(self.node.name, ""): self.head}
        found |= {(row.owner, row.port): slots for row, slots in reversed(self.ports)}
        for card in self.cards:
            found[card.card.name, ""] = card.head
            found |= {(row.owner, row.port): slots for row, slots in reversed(card.ports)}
        return found


@dataclass
class PlacedActor:
    actor: ActorBox
    rect: Rect
    head: Row

    @property
    def least_width(self) -> float:
        return max(bold(self.actor.name), sans(self.actor.note)) + 2 * PAD

    @property
    def height(self) -> float:
        return max(self.head.height, 44.0)

    def place(self, y: float) -> None:
        self.rect.y = self.head.y = y


def node_box(node: NodeBox) -> PlacedNode:
    return PlacedNode(
        node=node,
        rect=Rect(),
        head=Row(0),
        ports=[(row, Row(ROW)) for row in node.ports],
        cards=[PlacedCard(card, Rect(), Row(HEAD), [(row, Row(ROW)) for row in card.ports]) for card in node.cards],
    )


def actor_box(actor: ActorBox) -> PlacedActor:
    return PlacedActor(actor, Rect(), Row(44))


def _port_width(row: PortRow) -> float:
    return mono(row.text) + sans(row.reach_text) + 24


def _chip_width(chip: Chip) -> float:
    return mono(chip.text, SMALL) + 14


def _flow_chips(chips: tuple[Chip, ...], left: float, right: float) -> tuple[list[PlacedChip], float]:
    """Line by line from `left` to `right`; and the height that takes."""
    placed: list[PlacedChip] = []
    x, y = left, 0.0
    for chip in chips:
        width = _chip_width(chip)
        if x > left and x + width > right:
            x, y = left, y + CHIP
        placed.append(PlacedChip(chip, Rect(x, y, width, CHIP - 4)))
        x += width + 5
    return placed, y + CHIP if chips else 0.0
