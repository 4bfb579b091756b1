"""A node as a machine: instance, state disk, and the cloud-config that brings its services up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cdktf import DataResource, TerraformResourceLifecycle
from constructs import Construct

from constructs_lib import google
from constructs_lib.cloud_config import user_data
from constructs_lib.state_disk import DEVICE_NAME
from constructs_lib.terraform_text import escape

if TYPE_CHECKING:
    from constructs_lib.model import Node, Topology


class DockerHost(Construct):
    """One `google_compute_instance` with everything that `node` says.

    It has no service account: nothing on it calls a Google API. Its metadata's user-data changes in
    place and is read at first boot only, so a digest of it beside the instance makes Terraform replace
    the machine; the state disk stays.
    """

    def __init__(self, scope: Construct, topology: Topology, node: Node, *, boot_image: str) -> None:
        super().__init__(scope, node.name)
        payload = user_data(topology, node)
        digest = DataResource(self, "payload", input={"sha256": hashlib.sha256(payload.encode()).hexdigest()})
        self.instance = google.ComputeInstance(
            self,
            "instance",
            name=node.name,
            machine_type=node.machine_type,
            zone=node.zone,
            tags=list(node.tags),
            labels={"system": topology.name, "node": node.name},
            boot_disk=google.ComputeInstanceBootDisk(
                initialize_params=google.ComputeInstanceBootDiskInitializeParams(
                    image=boot_image, size=node.boot_disk_gb, type="pd-standard"
                )
            ),
            attached_disk=self._state(node),
            network_interface=[
                google.ComputeInstanceNetworkInterface(
                    network=topology.network,
                    access_config=[google.ComputeInstanceNetworkInterfaceAccessConfig()],
                )
            ],
            metadata={
                "user-data": escape(payload),
                "enable-oslogin": "TRUE",
                "block-project-ssh-keys": "TRUE",
                "serial-port-enable": "FALSE",
            },
            shielded_instance_config=google.ComputeInstanceShieldedInstanceConfig(
                enable_secure_boot=True, enable_vtpm=True, enable_integrity_monitoring=True
            ),
            scheduling=google.ComputeInstanceScheduling(automatic_restart=True, on_host_maintenance="MIGRATE"),
            # Without it a change of machine type is refused instead of done.
            allow_stopping_for_update=True,
            # By name: CDKTF writes the resource itself as "${...}", which Terraform refuses in this list.
            lifecycle=TerraformResourceLifecycle(replace_triggered_by=[f"terraform_data.{digest.friendly_unique_id}"]),
        )

    @property
    def external_ip(self) -> str:
        return self.instance.network_interface.get(0).access_config.get(0).nat_ip

    def _state(self, node: Node) -> list[google.ComputeInstanceAttachedDisk]:
        if not node.state_disk_gb:
            return []
        disk = google.ComputeDisk(
            self,
            "state",
            name=f"{node.name}-state",
            type="pd-standard",
            zone=node.zone,
            size=node.state_disk_gb,
        )
        return [google.ComputeInstanceAttachedDisk(source=disk.id, device_name=DEVICE_NAME)]
