"""What Terraform, cloud-init and tar make of what was rendered."""

from __future__ import annotations

import io
import tarfile


def unescape(text: str) -> str:
    """What Terraform makes of a string without live templates; the inverse of `terraform_text.escape`."""
    return text.replace("$${", "${").replace("%%{", "%{")


def unpacked(data: bytes) -> dict[str, str]:
    """path -> text of every member of an archive that `source_archive.archive` made."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:bz2") as tar:
        found = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read().decode() for name, file in found.items() if file}
