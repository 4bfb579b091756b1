"""What a session measured: samples by contestant and load, their medians, and ratios within one round."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.measure import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable

# Others on the server's core for more than this share of the time: the figure is marked as noisy.
NOISY = 0.2


@dataclass
class Round:
    """One pass over all contestants under one load. floors: samples of the floor, before and after."""

    floors: list[Sample] = field(default_factory=list)
    samples: dict[str, Sample] = field(default_factory=dict)


@dataclass
class Results:
    """rounds: load name -> its rounds, in order. missing: contestant -> why it is not there at all.

    failures: (contestant, load name) -> why there is no figure. resumes: resumptions/s of ws-go, one a repeat.
    """

    rounds: dict[str, list[Round]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    resumes: list[float] = field(default_factory=list)

    def samples(self, name: str, load: str) -> list[Sample]:
        """All samples of a contestant; the floor's are those before and after."""
        found: list[Sample] = []
        for each in self.rounds.get(load, ()):
            found += each.floors if name == "floor" else [each.samples[name]] if name in each.samples else []
        return found

    def everything(self) -> list[Sample]:
        """Every sample of the session."""
        rounds = [each for rounds in self.rounds.values() for each in rounds]
        return [sample for each in rounds for sample in (*each.floors, *each.samples.values())]

    def middle(self, name: str, load: str) -> Sample | None:
        """Field by field the median of its samples; void ones are left out unless all are."""
        return middle(self.samples(name, load))

    def ratio(self, name: str, other: str, load: str) -> float | None:
        """CPU per delivery of `name` in terms of `other`'s: the median of each round's own ratio.

        None where either has no figure, or the client was the limit.
        """
        found = []
        for each in self.rounds.get(load, ()):
            mine, theirs = _cpu(each, name), _cpu(each, other)
            if mine is not None and theirs is not None:
                found.append(mine / theirs)
        return median(found) if found else None


def _cpu(each: Round, name: str) -> float | None:
    samples = each.floors if name == "floor" else [each.samples[name]] if name in each.samples else []
    usable = [s.cpu for s in samples if not s.void and s.cpu > 0]
    return sum(usable) / len(usable) if usable else None


def middle(samples: Iterable[Sample]) -> Sample | None:
    """Field by field the median; None of none."""
    found = list(samples)
    found = [sample for sample in found if not sample.void] or found
    if not found:
        return None
    medians: dict[str, Any] = {f.name: median([getattr(s, f.name) for s in found]) for f in fields(Sample)}
    # A loss in one run is a loss; the median would hide it.
    for name in ("lost", "repeats", "closed"):
        medians[name] = max(getattr(s, name) for s in found)
    return replace(found[0], **medians)


def marks(sample: Sample) -> str:
    """What a reader must know about a figure: `void` or `noisy`, or both, or nothing."""
    found = ["void: client saturated"] if sample.void else []
    if sample.noise > NOISY:
        found.append(f"noisy: others had {sample.noise:.0%} of the core")
    return "; ".join(found)
