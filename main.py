"""Synthesis: `python main.py` writes cdktf.out, `cdktf` runs it as its app (cdktf.json)."""

from __future__ import annotations

import sys

from constructs_lib import checks
from constructs_lib.faults import FaultsError
from stacks.settings import load
from stacks.topology import declare


def main() -> int:
    """0, or 2 after one message that names everything that is wrong."""
    try:
        settings = load()
        topology = checks.verify(declare(settings))
        # Only now: importing cdktf takes longer than finding any fault.
        from stacks.app import build

        build(settings, topology).synth()
    except FaultsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
