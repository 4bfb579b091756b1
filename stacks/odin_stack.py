"""What every stack of Odin has: the provider, a state beside the checkout, one node and its firewall rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdktf import LocalBackend, TerraformOutput, TerraformStack

from constructs_lib import google
from constructs_lib.docker_host import DockerHost
from constructs_lib.endpoints import dns_name
from constructs_lib.flow_firewall import FlowFirewall

if TYPE_CHECKING:
    from constructs import Construct

    from constructs_lib.model import Node, Topology
    from stacks.settings import Settings


class OdinStack(TerraformStack):
    """One node of the topology as a stack. `host` and `firewall` are its constructs."""

    def __init__(self, scope: Construct, name: str, settings: Settings, topology: Topology, node: Node) -> None:
        super().__init__(scope, name)
        self.topology = topology
        # CDKTF's default is the absolute path of the machine that synthesizes. This one is relative to
        # the stack's folder, where Terraform runs: it leads to the checkout.
        LocalBackend(self, path=f"../../../terraform.{name}.tfstate")
        google.GoogleProvider(self, "google", project=settings.project, region=settings.region, zone=settings.zone)
        self.firewall = FlowFirewall(self, topology, node)
        self.host = DockerHost(self, topology, node, boot_image=settings.boot_image)
        self.output("internal_dns", dns_name(topology, node), "name that the other node finds this one by")
        self.output("external_ip", self.host.external_ip, "address of this node on the internet")

    def output(self, name: str, value: str, description: str) -> None:
        # The name as it is: users read `terraform output ws_url`, not a name with a hash.
        TerraformOutput(self, name, value=value, description=description).override_logical_id(name)

    def host_port(self, service: str, port: str) -> int:
        found = self.topology.port_of(service, port)
        assert found is not None, f"{service}:{port} is declared in stacks.topology"
        return found.host_number
