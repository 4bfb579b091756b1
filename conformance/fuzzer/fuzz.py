"""Runs Autobahn's fuzzing client, as converted for Python 3, against one server.

`python fuzz.py SUITE URL REPORT PATTERN...`: the folder of the converted suite, the server, the folder for the
reports, and which cases (`6.*`). Everything that judges the server is Autobahn's; here is only what feeds it
bytes where it expects Python 2's `str`, and what runs the cases that mostly wait side by side.
"""

# Run by an environment of its own, whose packages are not installed where types are checked.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import txaio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sys.path.insert(0, sys.argv[1])
txaio.use_twisted()

from autobahntestsuite import fuzzing  # noqa: E402
from autobahntestsuite.case import Cases  # noqa: E402
from latin1 import raw, text  # noqa: E402
from twisted.internet import reactor  # noqa: E402

AGENT = "ws-go"
# Cases that wait for a second or two, at the same time. Those that measure have the server for themselves.
LANES = 6
MEASURING = "9."
# Autobahn gives up on a peer after so many times what it usually waits: a busy machine is no fault of the peer's.
PATIENCE = 4


def shown(data: str | bytes, maxlen: int = 64, replace: bool = False) -> str:
    """autobahntestsuite's asciiLogData: payload for the report, as text or else as hexadecimal digits."""
    octets = raw(data)
    cut = octets[:maxlen] if len(octets) > maxlen - 4 else octets
    try:
        readable: str = cut.decode(errors="replace" if replace else "strict")
        return readable + (" ..." if cut is not octets else "")
    except UnicodeDecodeError:
        return f"0x{fuzzing.binLogData(octets, maxlen)}"


class Protocol(fuzzing.FuzzingClientProtocol):  # type: ignore[misc]
    """One case's connection: `str` on the case's side, bytes on autobahn's."""

    debug = False
    # autobahn's name for it today.
    failConnection = fuzzing.WebSocketClientProtocol._fail_connection  # noqa: N815

    def sendFrame(  # noqa: N802
        self,
        opcode: int,
        payload: str | bytes = b"",
        payload_len: int | None = None,
        **options: Any,
    ) -> None:
        octets = raw(payload)
        if payload_len is not None:
            # autobahn would divide here as Python 2 did.
            octets = (octets * (payload_len // len(octets) + 1))[:payload_len]
        super().sendFrame(opcode, octets, **options)

    def sendMessage(self, payload: str | bytes, isBinary: bool = False, **options: Any) -> None:  # noqa: N802, N803
        super().sendMessage(raw(payload), isBinary, **options)

    def sendMessageFrameData(self, payload: str | bytes, sync: bool = False) -> Any:  # noqa: N802
        return super().sendMessageFrameData(raw(payload), sync)

    def sendCloseFrame(  # noqa: N802
        self,
        code: int | None = None,
        reasonUtf8: str | bytes | None = None,  # noqa: N803
        isReply: bool = False,  # noqa: N803
    ) -> None:
        super().sendCloseFrame(code, None if reasonUtf8 is None else raw(reasonUtf8), isReply)

    def killAfter(self, delay: float) -> None:  # noqa: N802
        super().killAfter(delay * PATIENCE)

    def closeAfter(self, delay: float) -> None:  # noqa: N802
        super().closeAfter(delay * PATIENCE)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        super().onMessage(text(payload), isBinary)

    def onPong(self, payload: bytes) -> None:  # noqa: N802
        super().onPong(text(payload))

    def logRxFrame(self, frameHeader: Any, payload: list[bytes]) -> None:  # noqa: N802, N803
        super().logRxFrame(frameHeader, [text(part) for part in payload])


class ExactTimer:
    """In place of autobahn's timer for many connections."""

    call_later = staticmethod(txaio.call_later)


class Lane(fuzzing.FuzzingClientFactory):  # type: ignore[misc]
    """Takes cases from a queue that other lanes take from as well, one after the other."""

    def __init__(self, spec: dict[str, Any], queue: Iterator[str], results: Results) -> None:
        self.queue = queue
        self.results = results
        super().__init__(spec)
        # autobahn's own rounds down to a whole second: a peer that may take one second could have a millisecond.
        self._batched_timer = ExactTimer()
        # Where logCase puts what came out, of all lanes.
        self.agents, self.cases = results.agents, results.cases

    def nextCase(self) -> bool:  # noqa: N802
        case = next(self.queue, None)
        if case is None:
            return False
        self.currentCaseId = case
        self.currentCaseIndex = self.CaseSet.CasesIndices[case]
        return True

    def logCase(self, caseResults: dict[str, Any]) -> None:  # noqa: N802, N803
        readable = {key: shown(value, 200) if isinstance(value, bytes) else value for key, value in caseResults.items()}
        super().logCase(readable)

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:  # noqa: N802
        if self.nextCase():
            connector.connect()
        else:
            self.results.lane_done(self)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:  # noqa: N802
        sys.stderr.write(f"{self.currentCaseId}: cannot connect: {reason.getErrorMessage()}\n")
        self.clientConnectionLost(connector, reason)


class Results:
    """Runs the phases one after the other and writes the reports at the end."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.agents: dict[str, Any] = {}
        self.cases: dict[str, Any] = {}
        self._open = 0
        self._then: Callable[[], None] = reactor.stop

    def run(self, cases: list[str], lanes: int, then: Callable[[], None]) -> None:
        """Run the cases in so many lanes, then call `then`."""
        self._then, self._open = then, min(lanes, len(cases))
        if not cases:
            reactor.callLater(0, then)
        queue = iter(cases)
        for _ in range(self._open):
            Lane(self.spec, queue, self)

    def lane_done(self, lane: Lane) -> None:
        self._open -= 1
        if not self._open:
            lane.createReports()
            self._then()


def main(url: str, folder: str, patterns: list[str]) -> None:
    fuzzing.FuzzingClientProtocol = Protocol
    fuzzing.asciiLogData = shown
    for case in Cases:
        case.DESCRIPTION = raw(case.DESCRIPTION).decode(errors="replace")
    patience = dict.fromkeys(("closeHandshakeTimeout", "serverConnectionDropTimeout"), PATIENCE)
    spec = {"outdir": folder, "servers": [{"agent": AGENT, "url": url}], "cases": patterns, "options": patience}
    everything = fuzzing.CaseSet("", fuzzing.CaseBasename, Cases, {}, {}).parseSpecCases(spec)
    Path(folder, "cases.json").write_text(json.dumps(everything))
    quick = [case for case in everything if not case.startswith(MEASURING)]
    slow = [case for case in everything if case.startswith(MEASURING)]
    results = Results(spec)
    reactor.callWhenRunning(results.run, quick, LANES, lambda: results.run(slow, 1, reactor.stop))
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[3], sys.argv[4:])
