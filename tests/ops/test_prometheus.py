"""The word of a Prometheus: a program that stands in for it, and the real one where there is one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from ops import prometheus
from ops.local import LocalPlaces
from ops.processes import Processes
from stacks.settings import Settings
from stacks.topology import declare
from tests.ops.fake_system import Fake
from tests.support import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.probes.metrics import Target

TOPOLOGY = declare(Settings())
# Says "unknown" once, as Prometheus does before the first scrape; then the first job is up, the rest down.
STAND_IN = """#!{python}
import http.server, json, sys, yaml
options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
jobs = [job["job_name"] for job in yaml.safe_load(open(options["config.file"]))["scrape_configs"]]
host, port = options["web.listen-address"].split(":")
asked = 0
class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        if self.path.endswith("buildinfo"):
            data = {{"version": "0.0.1"}}
        else:
            asked += 1
            health = ["unknown"] * len(jobs) if asked == 1 else ["up"] + {rest} * (len(jobs) - 1)
            data = {{"activeTargets": [{{"labels": {{"job": job}}, "health": state, "lastError": "no route"}}
                                       for job, state in zip(jobs, health)]}}
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({{"status": "success", "data": data}}).encode())
http.server.HTTPServer((host, int(port)), Api).serve_forever()
"""


@pytest.fixture
def processes() -> Iterator[Processes]:
    found = Processes()
    yield found
    assert not found.children
    found.close()


def places(tmp_path: Path, port: int) -> LocalPlaces:
    numbers = {"ws-go:internal": port, "publisher:http": port}
    everywhere = LocalPlaces(TOPOLOGY, "127.0.0.1", numbers, tmp_path)
    return everywhere.without(set(TOPOLOGY.services) - {"ws-go", "publisher"})


def ask(program: str, tmp_path: Path, processes: Processes, port: int) -> dict[str, Target]:
    at = "127.0.0.1", free_port()
    child = prometheus.start(
        program,
        places(tmp_path, port),
        at=at,
        directory=tmp_path / "prometheus",
        processes=processes,
        log=tmp_path / "prometheus.log",
    )
    try:
        return prometheus.targets(child, at)
    finally:
        processes.end(child)


def stand_in(tmp_path: Path, rest: str) -> str:
    program = tmp_path / "stand-in"
    program.write_text(STAND_IN.format(python=sys.executable, rest=rest))
    program.chmod(0o700)
    return str(program)


def test_the_configuration_is_the_rendered_one_in_a_hurry(tmp_path: Path) -> None:
    found = yaml.safe_load(prometheus.config(places(tmp_path, 9)))
    assert found["global"]["scrape_interval"] == "1s"
    assert [job["job_name"] for job in found["scrape_configs"]] == ["ws-go", "publisher"]


def test_each_job_is_told_as_prometheus_tells_it(
    tmp_path: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "_UP_S", 5.0)
    found = ask(stand_in(tmp_path, '["down"]'), tmp_path, processes, 9)
    assert {job: target.health for job, target in found.items()} == {"ws-go": "up", "publisher": "down"}
    assert found["publisher"].error == "no route"
    assert found["ws-go"].version == "0.0.1"


def test_a_program_that_ends_at_once_tells_nothing(tmp_path: Path, processes: Processes) -> None:
    assert ask("/bin/false", tmp_path, processes, 9) == {}


@pytest.mark.skipif(prometheus.installed() is None, reason="needs Debian's package prometheus")
def test_the_real_prometheus_scrapes(tmp_path: Path, processes: Processes) -> None:
    program = prometheus.installed()
    assert program
    with Fake().running() as fake:
        found = ask(program, tmp_path, processes, fake.port)
    assert {job: target.health for job, target in found.items()} == {"ws-go": "up", "publisher": "up"}
