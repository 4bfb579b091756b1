"""Medians and ratios are taken round by round, and void samples do not count."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bench.loads import Load
from bench.measure import Sample, sample
from bench.results import Results, Round, marks, middle
from bench.targets import judge

SAMPLE = Sample(
    rate=20_000,
    asked=20_000,
    lost=0,
    repeats=0,
    behind=0,
    closed=0,
    cpu=8.0,
    cpu_share=0.16,
    kernel=0.9,
    p50=1.0,
    p99=5.0,
    p999=6.0,
    max=7.0,
    memory=2.0,
    handshakes=10_000,
    load=0.2,
    noise=0.01,
    late_ms=0.1,
)
STEADY = Load(kind="steady", clients=1_000, rate=20, warm=1, window=2, drain=1)


def cpu(value: float, **changes: Any) -> Sample:
    return replace(SAMPLE, cpu=value, **changes)


def put_together(done: dict[str, Any], sent: int) -> Sample:
    ready, said = {"handshakes_s": 5.0}, {"sent": sent, "late_ms": 0.0}
    return sample(STEADY, ready=ready, done=done, sent=said, memory=2.0, load_cores=1)


def test_a_ratio_is_of_one_round_and_its_floors_are_averaged() -> None:
    rounds = [
        Round([cpu(6), cpu(10)], {"wsgo": cpu(8), "plain": cpu(16)}),
        # The machine was slower in this round; the ratio is not.
        Round([cpu(20), cpu(20)], {"wsgo": cpu(24), "plain": cpu(40)}),
        Round([cpu(8), cpu(8)], {"wsgo": cpu(16), "plain": cpu(16)}),
    ]
    results = Results({"steady-1000": rounds})
    assert results.ratio("wsgo", "floor", "steady-1000") == pytest.approx(1.2)
    assert results.ratio("wsgo", "plain", "steady-1000") == pytest.approx(0.6)
    assert results.ratio("floor", "floor", "steady-1000") == 1.0
    assert results.ratio("wsgo", "nobody", "steady-1000") is None


def test_a_saturated_client_makes_a_sample_void() -> None:
    void = cpu(1, load=0.99)
    assert void.void
    assert not SAMPLE.void
    results = Results({"steady-1000": [Round([cpu(8)], {"wsgo": void})]})
    assert results.ratio("wsgo", "floor", "steady-1000") is None
    assert middle([void, cpu(8)]) == cpu(8)
    assert marks(void) == "void: client saturated"
    assert marks(cpu(8, noise=0.5)) == "noisy: others had 50% of the core"


def test_a_median_does_not_hide_a_loss() -> None:
    found = middle([cpu(1), cpu(3, lost=7), cpu(2)])
    assert found is not None
    assert (found.cpu, found.lost) == (2, 7)


def test_a_sample_is_put_together() -> None:
    done = {
        "open": 10,
        "closed": 0,
        "seconds": 2.0,
        "delivered": 4_000_000,
        "reached": 990,
        "gaps": 1,
        "repeats": 0,
        "server_cpu": 1.0,
        "server_user": 0.25,
        "server_system": 0.75,
        "load_cpu": 1.0,
        "core_busy": 1.5,
        **dict.fromkeys(("p50", "p99", "p999", "max"), 1.0),
    }
    found = put_together(done, 100)
    assert (found.rate, found.cpu, found.cpu_share, found.kernel) == (2_000_000, 0.25, 0.5, 0.75)
    assert (found.behind, found.lost, found.load, found.noise) == (10, 1, 0.5, 0.25)
    nothing = put_together(done | {"delivered": 0}, 0)
    assert math.isnan(nothing.cpu)


def test_targets_are_judged() -> None:
    rounds = [Round([cpu(8)], {"wsgo": cpu(9), "plain": cpu(18), "picows": cpu(6)})]
    verdicts = {t.what: t.verdict for t in judge(Results({"steady-1000": rounds}, resumes=[5_000.0]), [STEADY])}
    of = "steady, 1,000 clients x 20 msg/s: "
    assert verdicts[f"{of}CPU per delivery at most 1.15 x bare send()"] == "kept"
    assert verdicts[f"{of}below uvicorn + Starlette"] == "kept"
    assert verdicts[f"{of}below picows"] == "missed"
    assert verdicts[f"{of}nothing lost"] == "kept"
    assert verdicts["resumptions: at least 8,000/s"] == "missed"
    rounds[0].samples["wsgo"] = cpu(9, lost=1, p99=300.0)
    verdicts = {t.what: t.verdict for t in judge(Results({"steady-1000": rounds}), [STEADY])}
    assert verdicts[f"{of}nothing lost"] == "missed"
    assert verdicts[f"{of}p99 at most 250 ms"] == "missed"
    rounds[0].samples["wsgo"] = cpu(9, p99=300.0, noise=0.6)
    verdicts = {t.what: t.verdict for t in judge(Results({"steady-1000": rounds}), [STEADY])}
    assert verdicts[f"{of}p99 at most 250 ms"] == "no figure"
