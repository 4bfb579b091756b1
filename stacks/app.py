"""The CDKTF app: which stacks there are, and their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib import google  # first: it decides how the provider and Node are loaded # isort: skip
from cdktf import App

from stacks.backend import BackendStack
from stacks.wsgo import WsGoStack

if TYPE_CHECKING:
    from constructs_lib.model import Topology
    from stacks.settings import Settings

__all__ = ["build", "google"]


def build(settings: Settings, topology: Topology, outdir: str | None = None) -> App:
    """The app with every stack, ready for `synth()`. outdir: cdktf.out, or what the CLI says, if None."""
    # skip_validation: CDKTF's own validations run `terraform version`, and synthesis must not need Terraform.
    app = App(outdir=outdir, skip_validation=True)
    backend = BackendStack(app, settings, topology)
    wsgo = WsGoStack(app, settings, topology)
    # Names and tags tie the stacks, no token does; the order is said, or both would start at once.
    wsgo.add_dependency(backend)
    return app
