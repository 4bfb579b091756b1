"""Literal text in Terraform's JSON syntax: there every string is a template."""

from __future__ import annotations


def escape(text: str) -> str:
    """`text` so that Terraform's template engine gives it back unchanged: ${ and %{ open a template there."""
    return text.replace("${", "$${").replace("%{", "%%{")
