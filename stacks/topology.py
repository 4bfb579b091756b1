"""Odin, said once. Everything that is deployed, run here, checked or drawn is derived from this page.

Images, limits, ports, commands, volumes are the plan's; where the plan contradicts itself the comment
says what was decided and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.model import (
    Actor,
    Build,
    ConfigFile,
    Flow,
    HealthCheck,
    Kind,
    Listen,
    Node,
    Port,
    Service,
    Speaks,
    Stored,
    Topology,
    Url,
    Volume,
)

if TYPE_CHECKING:
    from stacks.settings import Settings

MIB = 1024 * 1024
# Google's Identity-Aware Proxy forwards TCP from this range alone (IAP documentation, "TCP forwarding").
IAP_RANGE = "35.235.240.0/20"
# Over how many seconds clients are told to come back, so that they do not all come at once.
GRACE_S = 15
GRAFANA_PASSWORD = "/var/lib/odin/secrets/grafana_admin_password"  # noqa: S105 - where it is, not what
WGET = ("wget", "-q", "--spider")
PYTHON_GET = ("python", "-m", "wsgo.healthcheck")


def declare(settings: Settings) -> Topology:
    """The two nodes, their services and every flow."""
    return Topology(
        name="odin",
        project=settings.project,
        network=settings.network,
        nodes=(
            Node(
                name="odin-backend",
                machine_type=settings.backend_machine_type,
                zone=settings.zone,
                boot_disk_gb=settings.backend_disk_gb,
                state_disk_gb=settings.backend_state_gb,
                trees=("common", "backend"),
                services=backend_services(settings),
            ),
            Node(
                name="odin-ws-go",
                machine_type=settings.wsgo_machine_type,
                zone=settings.zone,
                boot_disk_gb=settings.wsgo_disk_gb,
                trees=("common", "wsgo"),
                services=(ws_go(settings),),
            ),
        ),
        actors=(
            Actor(name="internet", cidrs=settings.websocket_cidrs),
            Actor(name="grafana-users", cidrs=settings.grafana_cidrs),
            Actor(name="iap", cidrs=(IAP_RANGE,)),
            Actor(name="operator", tunnel=True),
        ),
        flows=FLOWS,
    )


FLOWS = (
    Flow(
        source="internet",
        to="ws-go",
        port="ws",
        rule="allow-websocket",
        why="clients and their health checks",
    ),
    Flow(
        source="prometheus",
        to="ws-go",
        port="internal",
        rule="allow-prometheus-scrape",
        kind=Kind.SCRAPE,
        why="ws-go's metrics, which the public port does not serve",
    ),
    Flow(source="ws-go", to="nats", port="client", rule="allow-nats-internal", why="ws-go reads the stream"),
    Flow(
        source="ws-go",
        to="promtail",
        port="syslog",
        rule="allow-logs-internal",
        kind=Kind.LOGS,
        why="ws-go's logs, sent by its node's rsyslog, which waits while the receiver is away",
    ),
    Flow(source="publisher", to="nats", port="client", why="the simulated market"),
    Flow(source="nats-exporter", to="nats", port="monitor", why="NATS's own figures, JSON"),
    Flow(source="promtail", to="loki", port="http", why="log lines of both nodes"),
    Flow(
        source="prometheus",
        to="nats-exporter",
        port="metrics",
        kind=Kind.SCRAPE,
        why="NATS as Prometheus text",
    ),
    Flow(source="prometheus", to="publisher", port="http", kind=Kind.SCRAPE, why="what was published"),
    Flow(source="prometheus", to="prometheus", port="http", kind=Kind.SCRAPE, why="itself"),
    Flow(source="prometheus", to="loki", port="http", kind=Kind.SCRAPE, why="the log store's figures"),
    Flow(source="prometheus", to="promtail", port="http", kind=Kind.SCRAPE, why="the log collector's figures"),
    Flow(source="grafana", to="prometheus", port="http", kind=Kind.QUERY, why="dashboards"),
    Flow(source="grafana", to="loki", port="http", kind=Kind.QUERY, why="log search"),
    Flow(source="grafana-users", to="grafana", port="http", rule="allow-grafana", why="dashboards in a browser"),
    Flow(source="operator", to="grafana", port="http", why="dashboards through the tunnel"),
    Flow(source="operator", to="prometheus", port="http", why="queries by hand"),
    Flow(source="operator", to="loki", port="http", why="log queries by hand"),
    Flow(source="operator", to="publisher", port="http", why="start, stop and rate of the test traffic"),
    Flow(source="operator", to="nats", port="monitor", why="NATS by hand"),
    Flow(source="operator", to="ws-go", port="internal", why="ws-go's metrics by hand"),
    Flow(source="iap", to="odin-backend", port="ssh", rule="allow-ssh-iap", why="the operator's tunnel"),
    Flow(source="iap", to="odin-ws-go", port="ssh", rule="allow-ssh-iap", why="the operator's tunnel"),
)


def ws_go(settings: Settings) -> Service:
    """The server. In the host's network: NAT would cost it CPU and a conntrack entry a client, and its
    two ports are then the plan's two firewall ports, 3004 for clients and 3002 for Prometheus."""
    limit = settings.limits.ws_go
    return Service(
        name="ws-go",
        image=Build(context="wsgo", tag="odin/ws-go"),
        cpus=limit.cpus,
        memory_mib=limit.memory_mib,
        tag="ws-server",
        role="websocket",
        network="host",
        ports=(
            Port(name="ws", number=3004, speaks=(Speaks.WEBSOCKET, Speaks.HTTP), tag="allow-websocket"),
            Port(name="internal", number=3002, speaks=(Speaks.METRICS, Speaks.HTTP)),
        ),
        command=("wsgo", "-addr", Listen("ws", "{host}:{number}"), "-nats", Url("nats", "client")),
        environment=(
            ("WS_INTERNAL_ADDR", Listen("internal", "{host}:{number}")),
            ("WS_CPU_LIMIT", f"{limit.cpus:g}"),
            # The guard refuses clients before the kernel kills the container.
            ("WS_MEMORY_LIMIT", str(limit.memory_mib * MIB * 9 // 10)),
            ("WS_MAX_CONNECTIONS", str(settings.max_connections)),
            ("WS_MAX_NATS_RATE", "0"),
            ("WS_MAX_BROADCAST_RATE", "0"),
            ("WS_CPU_REJECT_THRESHOLD", f"{settings.cpu_reject_threshold:g}"),
            ("WS_CPU_PAUSE_THRESHOLD", f"{settings.cpu_pause_threshold:g}"),
            ("LOG_LEVEL", settings.log_level),
            ("WS_SHUTDOWN_GRACE", str(GRACE_S)),
            ("LOG_FORMAT", "json"),
        ),
        health=HealthCheck(port="internal", path="/health", command=PYTHON_GET),
        nofile=200_000,
        # Longer than the server takes to tell its clients, or Docker would cut it short.
        stop_grace_s=GRACE_S + 5,
    )


def backend_services(settings: Settings) -> tuple[Service, ...]:
    """What supports the server, in the order of the plan's table."""
    images, limits = settings.images, settings.limits
    return (
        Service(
            name="nats",
            image=images.nats,
            cpus=limits.nats.cpus,
            memory_mib=limits.nats.memory_mib,
            tag="backend",
            ports=(
                Port(name="client", number=4222, speaks=(Speaks.NATS,)),
                Port(name="monitor", number=8222, speaks=(Speaks.NATS_MONITOR,)),
            ),
            # Flags replace the image's own configuration, which opens a cluster port with a known password.
            command=(
                "--jetstream",
                Stored("nats_data", "--store_dir={path}"),
                Listen("client", "--addr={host}"),
                Listen("client", "--port={number}"),
                Listen("monitor", "--http_port={number}"),
            ),
            volumes=(Volume(name="nats_data", target="/data"),),
            health=HealthCheck(port="monitor", path="/healthz", command=WGET),
        ),
        Service(
            name="nats-exporter",
            image=images.nats_exporter,
            cpus=limits.nats_exporter.cpus,
            memory_mib=limits.nats_exporter.memory_mib,
            tag="backend",
            ports=(Port(name="metrics", number=7777, speaks=(Speaks.METRICS,)),),
            command=("-varz", "-connz", "-jsz=all", Url("nats", "monitor")),
            depends_on=("nats",),
        ),
        Service(
            name="publisher",
            # A change of the server alone leaves this machine alone.
            image=Build(
                context="wsgo",
                tag="odin/publisher",
                parts=("__init__.py", "healthcheck.py", "logs.py", "publisher"),
            ),
            cpus=limits.publisher.cpus,
            memory_mib=limits.publisher.memory_mib,
            tag="backend",
            ports=(Port(name="http", number=3003, speaks=(Speaks.HTTP, Speaks.METRICS)),),
            command=("wsgo.publisher",),
            environment=(
                ("NATS_URL", Url("nats", "client")),
                ("HOST", Listen("http", "{host}")),
                ("PORT", Listen("http", "{number}")),
                ("TOKENS", ",".join(settings.tokens)),
                ("RATE", str(settings.publish_rate)),
                ("LOG_LEVEL", settings.log_level),
                ("LOG_FORMAT", "json"),
            ),
            health=HealthCheck(port="http", path="/health", command=PYTHON_GET),
            depends_on=("nats",),
        ),
        Service(
            name="prometheus",
            image=images.prometheus,
            cpus=limits.prometheus.cpus,
            memory_mib=limits.prometheus.memory_mib,
            tag="monitoring",
            ports=(Port(name="http", number=9090, host=9091, speaks=(Speaks.PROMETHEUS, Speaks.METRICS)),),
            command=(
                "--config.file=/etc/prometheus/prometheus.yml",
                Stored("prometheus_data", "--storage.tsdb.path={path}"),
                "--storage.tsdb.retention.time=7d",
                # Time alone would fill a small disk on a busy week.
                "--storage.tsdb.retention.size=4GB",
            ),
            files=(ConfigFile(source="prometheus/prometheus.yml", target="/etc/prometheus/prometheus.yml"),),
            volumes=(Volume(name="prometheus_data", target="/prometheus", uid=65534),),
            health=HealthCheck(port="http", path="/-/healthy", command=WGET),
        ),
        Service(
            name="grafana",
            image=images.grafana,
            cpus=limits.grafana.cpus,
            memory_mib=limits.grafana.memory_mib,
            tag="monitoring",
            ports=(Port(name="http", number=3000, host=3010, speaks=(Speaks.HTTP, Speaks.METRICS)),),
            environment=(
                ("GF_SECURITY_ADMIN_USER", "admin"),
                # Made on the node at first boot: no default password, and none in state or metadata.
                ("GF_SECURITY_ADMIN_PASSWORD__FILE", "/run/secrets/grafana_admin_password"),
                ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
                ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
                ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
                ("GF_USERS_ALLOW_SIGN_UP", "false"),
            ),
            files=(
                ConfigFile(source="grafana/provisioning", target="/etc/grafana/provisioning"),
                ConfigFile(
                    # Beside Grafana's database, which remembers the password that it was made with.
                    source=GRAFANA_PASSWORD,
                    target="/run/secrets/grafana_admin_password",
                    made_by="odin-secrets",
                ),
            ),
            volumes=(Volume(name="grafana_data", target="/var/lib/grafana", uid=472),),
            health=HealthCheck(port="http", path="/api/health", command=WGET),
            depends_on=("prometheus", "loki"),
        ),
        Service(
            name="loki",
            image=images.loki,
            cpus=limits.loki.cpus,
            memory_mib=limits.loki.memory_mib,
            tag="monitoring",
            ports=(Port(name="http", number=3100, host=3101, speaks=(Speaks.LOKI, Speaks.METRICS)),),
            command=("-config.file=/etc/loki/loki-config.yml",),
            files=(ConfigFile(source="loki/loki-config.yml", target="/etc/loki/loki-config.yml"),),
            volumes=(Volume(name="loki_data", target="/loki", uid=10001),),
            health=HealthCheck(
                port="http", path="/ready", command=("/busybox/wget", "-q", "--spider"), start_period_s=60
            ),
        ),
        Service(
            name="promtail",
            image=images.promtail,
            cpus=limits.promtail.cpus,
            memory_mib=limits.promtail.memory_mib,
            tag="monitoring",
            ports=(
                Port(name="http", number=9080, speaks=(Speaks.HTTP, Speaks.METRICS)),
                Port(name="syslog", number=1514, speaks=(Speaks.SYSLOG,)),
            ),
            command=("-config.file=/etc/promtail/promtail-config.yml",),
            files=(ConfigFile(source="promtail/promtail-config.yml", target="/etc/promtail/promtail-config.yml"),),
            volumes=(Volume(name="promtail_data", target="/var/lib/promtail"),),
            # It reads the containers' logs through the engine, not from its files.
            sockets=("/var/run/docker.sock",),
            # The image has no program that could ask; the checklist does, through Prometheus.
            health=HealthCheck(port="http", path="/ready"),
            depends_on=("loki",),
        ),
    )
