"""Makes a Python 3 copy of the installed Autobahn test suite: fissix (a kept lib2to3) and a few edits of ours.

Run by the environment that holds it: `python convert.py FOLDER` writes FOLDER/autobahntestsuite. Every edit
below must find its text, and every file must compile: a suite of another version is refused, not half converted.
"""

# Run by an environment of its own, whose packages are not installed where types are checked.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

from fissix.refactor import RefactoringTool

FIXERS = [
    f"fissix.fixes.fix_{name}" for name in ("except", "has_key", "import", "numliterals", "print", "raise", "xrange")
]
# Compression (12, 13) is not offered by the server, and 9.9 is in no list of cases.
LEFT_OUT = {"case12_x_x.py", "case9_9_1.py"}
# (file, text, what it becomes): what no fixer knows.
EDITS = [
    ("case/__init__.py", r"^from \.case(9_9_1|12_x_x) import \*\n", ""),
    ("case/__init__.py", r"^Case.*Case1[23]_X_X.*\n", ""),
    # A class may not come after `object` among the bases of a new-style class.
    ("case/case6_x_x.py", r"\(object, Case, \)", "(Case,)"),
    ("case/case7_7_X.py", r"\(object, Case, \)", "(Case,)"),
    ("case/case7_9_X.py", r"\(object, Case, \)", "(Case,)"),
    ("case/case9_7_X.py", r"\(object, Case, \)", "(Case,)"),
    ("case/case10_1_1.py", r"(len\(self\.payload\)) / ", r"\1 // "),
    # Two equal lists of strings pickle differently in Python 3 when one holds the same object twice.
    ("case/case.py", r"pickle\.dumps\(obj1\) == pickle\.dumps\(obj2\)", "obj1 == obj2"),
    ("case/case6_x_x.py", r"^from autobahn\.websocket\.utf8validator import", "from latin1 import"),
    # autobahn has done without these arguments since 0.11.
    ("fuzzing.py", r"\(self, debug = debug, debugCodePaths = debug\)", "(self)"),
    ("fuzzing.py", r"\.encode\([\"']utf-?8[\"']\)\)", ")"),
    ("fuzzing.py", r", pkg_resources$", ""),
    # Only its server speaks TLS.
    ("fuzzing.py", r"^(from twisted\.internet import reactor), ssl$", r"\1"),
    ("fuzzing.py", r"^(import os, json), binascii", r"import latin1 as binascii\n\1"),
    # Templates of other reports.
    ("report.py", r"^import jinja2\n", ""),
]


class ConversionError(Exception):
    """The installed suite is not the one these edits were written for."""


def convert(source: Path, target: Path) -> None:
    """Convert the package `source` into the folder `target`; raises ConversionError, SyntaxError."""
    tool = RefactoringTool(FIXERS)
    files = [source / name for name in ("_version.py", "caseset.py", "fuzzing.py", "interfaces.py", "report.py")]
    files += sorted(path for path in (source / "case").glob("*.py") if path.name not in LEFT_OUT)
    pending = list(EDITS)
    for path in files:
        name = path.relative_to(source).as_posix()
        # Bytes above 127 in a literal were bytes; read so, each is one character again.
        text = re.sub(r"^# coding=.*\n", "", path.read_text("latin-1"))
        text = str(tool.refactor_string(text.rstrip() + "\n", str(path)))
        if name.startswith("case/"):
            text = re.sub(r"^import binascii$", "import latin1 as binascii", text, flags=re.M)
        for edit in [edit for edit in pending if edit[0] == name]:
            text, count = re.subn(edit[1], edit[2], text, flags=re.M)
            if not count:
                raise ConversionError(f"{name}: nothing matches {edit[1]!r}")
            pending.remove(edit)
        compile(text, name, "exec")
        written = target / name
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(text, "utf-8")
    if pending:
        raise ConversionError(f"no such file: {pending[0][0]}")
    (target / "__init__.py").write_text("from ._version import __version__\n\nversion = __version__\n", "utf-8")


def main() -> str | None:
    spec = importlib.util.find_spec("autobahntestsuite")
    if spec is None or spec.origin is None:
        return "convert: autobahntestsuite is not installed beside this Python"
    try:
        convert(Path(spec.origin).parent, Path(sys.argv[1]) / "autobahntestsuite")
    except (ConversionError, OSError, SyntaxError) as error:
        return f"convert: not the autobahntestsuite that this was written for: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
