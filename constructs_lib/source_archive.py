"""A source folder as one archive that is the same, bit for bit, on every machine that makes it.

bzip2, because its output has not changed in twenty years; gzip's differs between builds of zlib, and a
difference here would replace a machine.
"""

from __future__ import annotations

import bz2
import io
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What a build on the node needs of a source folder; caches and editors leave other things there.
SUFFIXES = {".py", ".html"}
# What the image is built from, whatever part of the source goes in.
RECIPE = {"Dockerfile", ".dockerignore", "requirements.txt"}


def members(folder: Path, parts: tuple[str, ...] = ()) -> Iterator[Path]:
    """The files of `folder` that travel, sorted; of `parts` of it, where some are named."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        recipe = len(inside) == 1 and path.name in RECIPE
        wanted = path.suffix in SUFFIXES and (not parts or inside[0] in parts)
        if (recipe or wanted) and path.is_file() and "__pycache__" not in inside:
            yield path


def archive(folder: Path, parts: tuple[str, ...] = ()) -> bytes:
    """A .tar.bz2 that unpacks to a folder of the same name."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in members(folder, parts):
            content = path.read_bytes()
            info = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder)}")
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return bz2.compress(raw.getvalue(), 9)
