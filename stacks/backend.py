"""The stack `backend`: NATS, the publisher, and what watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.endpoints import dns_name
from stacks.odin_stack import OdinStack
from stacks.topology import GRAFANA_PASSWORD

if TYPE_CHECKING:
    from constructs import Construct

    from constructs_lib.model import Topology
    from stacks.settings import Settings


class BackendStack(OdinStack):
    """odin-backend, its state disk and the rules that open it."""

    def __init__(self, scope: Construct, settings: Settings, topology: Topology) -> None:
        node = topology.node("odin-backend")
        super().__init__(scope, "backend", settings, topology, node)
        nats = self.host_port("nats", "client")
        self.output(
            "nats_url",
            f"nats://{dns_name(topology, node)}:{nats}",
            "NATS, for machines with the tag ws-server",
        )
        forwards = " ".join(
            f"-L {number}:127.0.0.1:{number}"
            for number in (self.host_port(name, "http") for name in ("grafana", "prometheus", "loki", "publisher"))
        )
        self.output(
            "tunnel",
            f"gcloud compute ssh {node.name} --project={settings.project} --zone={node.zone}"
            f" --tunnel-through-iap -- {forwards}",
            "opens Grafana, Prometheus, Loki and the publisher on this machine's own ports",
        )
        self.output(
            "grafana_url",
            f"http://127.0.0.1:{self.host_port('grafana', 'http')}",
            "Grafana, through the tunnel",
        )
        self.output(
            "grafana_password",
            f"gcloud compute ssh {node.name} --project={settings.project} --zone={node.zone}"
            f" --tunnel-through-iap --command='sudo cat {GRAFANA_PASSWORD}'",
            "prints the password of Grafana's user admin, which was made on the node",
        )
