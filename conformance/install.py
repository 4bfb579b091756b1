"""Installs the fuzzing client: an environment of its own, and the suite converted for Python 3.

The suite (autobahntestsuite 0.8.2, of 2019) is for Python 2.7, which machines no longer have. None of its code
is kept here: pip fetches it by hash, and fuzzer/convert.py makes a copy that today's Python runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
CONVERTER = HERE / "fuzzer" / "convert.py"
# What an installation depends on: any change makes it anew.
INPUTS = (REQUIREMENTS, CONVERTER)
INSTALL_SECONDS = 300


class InstallError(Exception):
    """The fuzzing client cannot be installed here; the message says what is missing."""


class Installation:
    """The fuzzing client below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "venv" / "bin" / "python"
        self.suite = folder / "suite"
        self._folder = folder
        self._venv = folder / "venv"
        self._stamp = folder / "installed"

    def ensure(self, say: Callable[[str], None]) -> None:
        """Install unless it is done, and `say` so; raises InstallError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            # Of two that start at once, the second finds it done.
            fcntl.flock(lock, fcntl.LOCK_EX)
            inputs = b"".join(path.read_bytes() for path in INPUTS)
            wanted = hashlib.sha256(inputs + platform.python_version().encode()).hexdigest()
            if not (self._stamp.exists() and self._stamp.read_text() == wanted and self.python.exists()):
                say("Installing Autobahn's fuzzing client (once, about 10 seconds)")
                self._install()
                self._stamp.write_text(wanted)

    def _install(self) -> None:
        self._stamp.unlink(missing_ok=True)
        for folder in (self._venv, self.suite):
            shutil.rmtree(folder, ignore_errors=True)
        _run("no virtual environment (Debian: apt install python3-venv)", sys.executable, "-m", "venv", self._venv)
        _run(
            "pip did not get the packages of conformance/requirements.txt; it needs the package index it is set up for",
            *(self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            # Not compiled: half of the suite is Python 2. No dependencies: the file names them all.
            *("--no-compile", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", REQUIREMENTS),
        )
        _run("the suite could not be converted for Python 3", self.python, CONVERTER, self.suite)


def _run(failure: str, *command: str | Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - this module's own commands
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"{failure}: no answer within {INSTALL_SECONDS} s") from None
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise InstallError("\n  ".join([failure, *said[-4:]]))
