"""The stack `wsgo`: the server and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks.odin_stack import OdinStack

if TYPE_CHECKING:
    from constructs import Construct

    from constructs_lib.model import Topology
    from stacks.settings import Settings


class WsGoStack(OdinStack):
    """odin-ws-go and the rules that open it."""

    def __init__(self, scope: Construct, settings: Settings, topology: Topology) -> None:
        super().__init__(scope, "wsgo", settings, topology, topology.node("odin-ws-go"))
        number = self.host_port("ws-go", "ws")
        self.output("ws_url", f"ws://{self.host.external_ip}:{number}/ws", "where clients connect")
        self.output("health_url", f"http://{self.host.external_ip}:{number}/health", "health, as JSON")
        self.output("page_url", f"http://{self.host.external_ip}:{number}/", "live prices in a browser")
