"""Literal text in Terraform's JSON syntax: there every string is a template."""

from __future__ import annotations


def escape(text: str) -> str:
    """`text` so that Terraform's template engine gives it back unchanged: ${ and %{ open a template there."""
    return text.replace("${", "$${").replace("%{", "%%{")


def unescape(text: str) -> str:
    """What Terraform makes of a string without live templates; the inverse of `escape`."""
    return text.replace("$${", "${").replace("%%{", "%{")
