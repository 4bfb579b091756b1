"""The deployment's settings: odin.toml beside main.py, then the environment (ODIN_...), which wins.

Defaults are the original plan's values. A nested setting is ODIN_IMAGES__NATS in the environment.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from constructs_lib.faults import Fault, FaultsError
from stacks.values import BootImage, Cidrs, Image, LogLevel, MachineType, Network, Project, Region, Tokens, Zone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER_PROJECT = "odin-ws"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Images(_Section):
    """Container images, each with its version."""

    nats: Image = "nats:2.12-alpine"
    nats_exporter: Image = "natsio/prometheus-nats-exporter:0.18.0"
    prometheus: Image = "prom/prometheus:v3.6.0"
    grafana: Image = "grafana/grafana:12.2.0"
    loki: Image = "grafana/loki:3.3.2"
    promtail: Image = "grafana/promtail:3.3.2"


class Limit(_Section):
    """What one container may use. cpus: cores; memory_mib: MiB."""

    cpus: float = Field(gt=0, le=64)
    memory_mib: int = Field(ge=16, le=262144)


class Limits(_Section):
    """CPU and memory limits, one a service."""

    nats: Limit = Limit(cpus=0.5, memory_mib=256)
    nats_exporter: Limit = Limit(cpus=0.05, memory_mib=32)
    publisher: Limit = Limit(cpus=0.2, memory_mib=128)
    prometheus: Limit = Limit(cpus=0.3, memory_mib=256)
    grafana: Limit = Limit(cpus=0.2, memory_mib=512)
    loki: Limit = Limit(cpus=0.2, memory_mib=256)
    promtail: Limit = Limit(cpus=0.1, memory_mib=128)
    # The plan's 1792 MiB leave 256 of 2048 to the kernel, the engine and the system.
    ws_go: Limit = Limit(cpus=1.8, memory_mib=1536)


class Settings(BaseSettings):
    """Everything a deployment may choose. Raises nothing by itself: `load` turns faults into one message."""

    model_config = SettingsConfigDict(
        env_prefix="ODIN_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )
    toml: ClassVar[Path] = ROOT / "odin.toml"

    project: Project = Field(PLACEHOLDER_PROJECT, description="Google Cloud project that everything is created in")
    region: Region = Field("us-central1", description="region")
    zone: Zone = Field("us-central1-a", description="zone, inside the region")
    network: Network = Field("default", description="VPC network")
    backend_machine_type: MachineType = Field("e2-small", description="machine of odin-backend")
    wsgo_machine_type: MachineType = Field("e2-small", description="machine of odin-ws-go")
    boot_image: BootImage = Field(
        "ubuntu-os-cloud/ubuntu-2404-lts-amd64",
        description="boot image, project/family; it must have cloud-init (Google's Debian images have none)",
    )
    backend_disk_gb: int = Field(10, ge=10, le=65536, description="boot disk of odin-backend, GB")
    backend_state_gb: int = Field(
        20,
        ge=10,
        le=65536,
        description="disk that keeps what odin-backend's services have stored when the machine is replaced, GB",
    )
    wsgo_disk_gb: int = Field(10, ge=10, le=65536, description="boot disk of odin-ws-go, GB")
    websocket_cidrs: Cidrs = Field(("0.0.0.0/0",), description="who may open a WebSocket on port 3004")
    grafana_cidrs: Cidrs = Field((), description="who may open Grafana on port 3010 without a tunnel; empty: nobody")
    max_connections: int = Field(10_000, ge=1, le=1_000_000, description="WebSocket connections that ws-go accepts")
    cpu_reject_threshold: float = Field(
        75.0, gt=0, le=100, description="percent of ws-go's CPU limit above which it refuses new clients"
    )
    cpu_pause_threshold: float = Field(
        80.0, gt=0, le=100, description="percent of ws-go's CPU limit above which it pauses its feed"
    )
    log_level: LogLevel = Field("info", description="log level of ws-go and publisher: debug, info, warn or error")
    tokens: Tokens = Field(
        ("BTC", "ETH", "ODIN", "SOL", "DOGE", "USDT", "BNB", "XRP", "ADA", "MATIC"),
        min_length=1,
        description="symbols that the publisher simulates",
    )
    publish_rate: int = Field(25, ge=1, le=100_000, description="messages a second that the publisher starts with")
    images: Images = Field(Images(), description="container images")
    limits: Limits = Field(Limits(), description="CPU and memory limits, one a service")

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if not self.zone.startswith(f"{self.region}-"):
            raise ValueError(f"zone {self.zone} is not in region {self.region}")
        if self.cpu_pause_threshold < self.cpu_reject_threshold:
            raise ValueError(
                "cpu_pause_threshold is below cpu_reject_threshold: the feed would pause while clients are let in"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, cls.toml)


def load(toml: Path | None = None) -> Settings:
    """The settings of this checkout. Raises FaultsError with every fault: key, value, reason."""
    source = toml or Settings.toml

    class _Loaded(Settings):
        toml: ClassVar[Path] = source

    faults = list(_unknown_variables())
    try:
        found = _Loaded()
    except ValidationError as error:
        faults += map(_fault, error.errors())
    except ValueError as error:  # not TOML at all
        faults.append(Fault("toml", source.name, str(error), "Mend the file"))
    if faults:
        raise FaultsError(f"settings ({source.name} and ODIN_*)", faults)
    return found


def _unknown_variables() -> Iterator[Fault]:
    """ODIN_PROJCT would otherwise be no setting and no fault."""
    known = [f"ODIN_{name}".upper() for name in Settings.model_fields]
    for variable in sorted(os.environ):
        if variable.startswith("ODIN_") and variable.partition("__")[0] not in known:
            near = difflib.get_close_matches(variable, known, 1)
            fix = f"Did you mean {near[0]}?" if near else "README lists them"
            yield Fault("setting", variable, "there is no such setting", fix)


def _fault(error: ErrorDetails) -> Fault:
    key = ".".join(str(part) for part in error["loc"])
    # An item of a list is set with its list.
    variable = "ODIN_" + "__".join(part for part in error["loc"] if isinstance(part, str)).upper()
    if error["type"] == "extra_forbidden":
        return Fault("setting", key, "there is no such setting", "README lists them")
    given = f" (given {error['input']!r})" if error["loc"] else ""
    fix = f"Set {key} in odin.toml or {variable}" if key else "Change one of them"
    return Fault("setting", key or "together", f"{str(error['msg']).removeprefix('Value error, ')}{given}", fix)
