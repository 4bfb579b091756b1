"""wsgo/replay.py: the ring against a plain list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsgo.envelope import Message
from wsgo.replay import Replay

CHANNELS = ["A.x", "A.y", "B.x"]


def message(seq: int, channel: str = "A.x", size: int = 10) -> Message:
    return Message(seq, 0.0, channel, (b"%d" % seq).ljust(size))


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from(CHANNELS)), max_size=60),
    st.integers(0, 20),
    st.tuples(st.integers(0, 200), st.integers(0, 200)),
    st.sets(st.sampled_from([*CHANNELS, "A.*", "*.x", ">"])),
    st.integers(1, 100),
)
def test_reading_in_pieces_is_a_filter_over_the_newest(
    steps: list[tuple[int, str]], size: int, bounds: tuple[int, int], names: set[str], piece: int
) -> None:
    since, until = bounds
    ring, everything, seq = Replay(size, 0), [], 0
    ring.reset(0)
    for step, channel in steps:
        seq += step
        everything.append((seq, channel))
        ring.append(message(seq, channel))
    held = everything[-size:] if size else []

    def wanted(channel: str) -> bool:
        symbol, event = channel.split(".")
        return bool(names & {channel, f"{symbol}.*", f"*.{event}", ">"})

    expected = [s for s, c in held if since < s <= until and wanted(c)]
    found, position = [], since
    while position < until:
        frames, after = ring.read(position, until, names, piece)
        assert sum(map(len, frames)) < piece + 10
        found += [int(frame) for frame in frames]
        assert [s for s in expected if s <= after] == found
        assert after > position
        position = after
    assert found == expected
    assert ring.count(since, until, names) == len(expected)
    assert ring.between(since, until) == len([s for s, _ in held if since < s <= until])
    assert ring.covers(since) == all((s, c) in held for s, c in everything if s > since)


def test_bytes_are_bounded_too() -> None:
    ring = Replay(1000, 100)
    for seq in range(1, 51):
        ring.append(message(seq, size=30))
    assert len(ring) == 3
    assert ring.bytes == 90
    assert ring.floor == 47


def test_eviction_gives_memory_back() -> None:
    ring = Replay(10, 0)
    for seq in range(1, 10_001):
        ring.append(message(seq))
    assert len(ring) == 10
    assert len(ring._items) < 2100


def test_reset_forgets() -> None:
    ring = Replay(10, 0)
    ring.append(message(1))
    ring.reset(40)
    assert not ring.covers(39)
    assert ring.covers(40)
    assert ring.read(0, 40, {">"}, 100) == ([], 40)
