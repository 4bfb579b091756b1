"""The Terraform that a reviewer would read, and the cloud-config inside it, as files under tests/snapshots."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
import yaml

from constructs_lib import yamltext
from tests.decoding import unescape, unpacked
from tests.snapshot import compare
from tests.stacks.conftest import STACKS, instance


def normalized(stack: dict[str, Any]) -> str:
    """The document without CDKTF's own metadata, and without the payload, which has a file of its own."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in sorted(value.items()) if key != "//"}
        return [strip(item) for item in value] if isinstance(value, list) else value

    document = strip(copy.deepcopy(stack))
    instance(document)["metadata"]["user-data"] = "see the cloud-config beside this file"
    for data in document["resource"]["terraform_data"].values():
        data["input"]["sha256"] = "of the cloud-config"
    return json.dumps(document, indent=2) + "\n"


def readable(stack: dict[str, Any]) -> str:
    """The cloud-config as the machine gets it; of packed source, which has its own history, the names alone."""
    document = yaml.safe_load(unescape(instance(stack)["metadata"]["user-data"]))
    for file in document["write_files"]:
        if file.get("encoding") == "b64":
            names = unpacked(base64.b64decode(file["content"]))
            file["content"] = "".join(f"{name}\n" for name in sorted(names))
    return "#cloud-config\n" + yamltext.dump(document)


@pytest.mark.parametrize("name", STACKS)
def test_the_stack_is_as_reviewed(
    name: str, synthesized: dict[str, dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    compare(request, f"{name}.tf.json", normalized(synthesized[name]))


@pytest.mark.parametrize("name", STACKS)
def test_the_cloud_config_is_as_reviewed(
    name: str, synthesized: dict[str, dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    compare(request, f"{name}.cloud-config.yaml", readable(synthesized[name]))


@pytest.mark.parametrize("name", STACKS)
def test_nothing_of_this_machine_is_in_a_stack(name: str, synthesized: dict[str, dict[str, Any]]) -> None:
    from tests.stacks.conftest import ROOT

    text = json.dumps(synthesized[name])
    assert str(ROOT) not in text
    assert str(ROOT.home()) + "/" not in text
