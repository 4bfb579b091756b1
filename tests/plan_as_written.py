"""The original plan (the isolation of ws-go on an instance of its own) as it was written, in Odin's vocabulary.

Ports, limits, commands, published addresses and firewall rules are the plan's own, by hand. The flows are
what its text, its comments and its checklist promise; `why` quotes them.
"""

from __future__ import annotations

from constructs_lib.model import (
    Actor,
    Build,
    ConfigFile,
    Flow,
    Kind,
    Node,
    Port,
    Publish,
    Rule,
    Service,
    Speaks,
    Topology,
    Url,
    Volume,
)

ZONE = "us-central1-a"

NATS = Service(
    name="nats",
    image="nats:2.12-alpine",
    cpus=0.5,
    memory_mib=256,
    tag="backend",
    ports=(
        Port(name="client", number=4222, speaks=(Speaks.NATS,)),
        Port(name="monitor", number=8222, speaks=(Speaks.NATS_MONITOR,)),
    ),
    command=("--jetstream", "--store_dir=/data", "--http_port=8222"),
    volumes=(Volume(name="nats_data", target="/data"),),
)
PUBLISHER = Service(
    name="publisher",
    image=Build(context="publisher", tag="odin/publisher"),
    cpus=0.2,
    memory_mib=128,
    tag="backend",
    ports=(Port(name="http", number=3003, speaks=(Speaks.HTTP,)),),
    environment=(("NATS_URL", "nats://nats:4222"), ("PORT", "3003")),
    depends_on=("nats",),
)
PROMETHEUS = Service(
    name="prometheus",
    image="prom/prometheus:v3.6.0",
    cpus=0.3,
    memory_mib=256,
    tag="monitoring",
    ports=(Port(name="http", number=9090, host=9091, speaks=(Speaks.PROMETHEUS, Speaks.METRICS)),),
    command=(
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--storage.tsdb.retention.time=7d",
    ),
    files=(ConfigFile(source="prometheus.yml", target="/etc/prometheus/prometheus.yml"),),
    volumes=(Volume(name="prometheus_data", target="/prometheus"),),
)
GRAFANA = Service(
    name="grafana",
    image="grafana/grafana:12.2.0",
    cpus=0.2,
    memory_mib=512,
    tag="monitoring",
    ports=(Port(name="http", number=3000, host=3010, speaks=(Speaks.HTTP,)),),
    environment=(("GF_SECURITY_ADMIN_USER", "admin"), ("GF_SECURITY_ADMIN_PASSWORD", "admin")),
    files=(ConfigFile(source="grafana/provisioning", target="/etc/grafana/provisioning"),),
    volumes=(Volume(name="grafana_data", target="/var/lib/grafana"),),
    depends_on=("prometheus", "loki"),
)
LOKI = Service(
    name="loki",
    image="grafana/loki:3.3.2",
    cpus=0.2,
    memory_mib=256,
    tag="monitoring",
    ports=(Port(name="http", number=3100, host=3101, speaks=(Speaks.LOKI,)),),
    command=("-config.file=/etc/loki/loki-config.yml",),
    files=(ConfigFile(source="loki-config.yml", target="/etc/loki/loki-config.yml"),),
    volumes=(Volume(name="loki_data", target="/loki"),),
)
PROMTAIL = Service(
    name="promtail",
    image="grafana/promtail:3.3.2",
    cpus=0.1,
    memory_mib=128,
    tag="monitoring",
    command=("-config.file=/etc/promtail/promtail-config.yml",),
    files=(ConfigFile(source="promtail-config.yml", target="/etc/promtail/promtail-config.yml"),),
    sockets=("/var/lib/docker/containers", "/var/run/docker.sock"),
    depends_on=("loki",),
)
WS_GO = Service(
    name="ws-go",
    image=Build(context="src", tag="odin/ws-go"),
    cpus=1.8,
    memory_mib=1792,
    tag="ws-server",
    # One port inside. Clients are sent to 3004 of the node, Prometheus and the health check to 3002.
    ports=(
        Port(name="ws", number=3002, host=3004, speaks=(Speaks.WEBSOCKET, Speaks.HTTP), tag="allow-websocket"),
        Port(name="metrics", number=3002, speaks=(Speaks.METRICS, Speaks.HTTP)),
    ),
    command=("./odin-ws-server", "-addr", ":3002", "-nats", Url("nats", "client")),
    environment=(
        ("WS_CPU_LIMIT", "1.8"),
        ("WS_MEMORY_LIMIT", "1879048192"),
        ("WS_MAX_CONNECTIONS", "10000"),
        ("WS_WORKER_POOL_SIZE", "256"),
        ("WS_WORKER_QUEUE_SIZE", "25600"),
        ("WS_MAX_GOROUTINES", "25000"),
        ("WS_MAX_NATS_RATE", "0"),
        ("WS_MAX_BROADCAST_RATE", "0"),
        ("WS_CPU_REJECT_THRESHOLD", "75.0"),
        ("WS_CPU_PAUSE_THRESHOLD", "80.0"),
        ("LOG_LEVEL", "info"),
        ("LOG_FORMAT", "json"),
    ),
    nofile=200_000,
)

FLOWS = (
    Flow(source="internet", to="ws-go", port="ws", why="WS_URL=ws://${WS_GO_IP}:3004/ws", rule="allow-websocket"),
    Flow(
        source="prometheus",
        to="ws-go",
        port="metrics",
        why="targets: ['${WS_GO_INTERNAL_IP}:3002']",
        rule="allow-prometheus-scrape",
        kind=Kind.SCRAPE,
    ),
    Flow(source="prometheus", to="nats", port="monitor", why="targets: ['nats:8222']", kind=Kind.SCRAPE),
    Flow(source="prometheus", to="prometheus", port="http", why="targets: ['localhost:9090']", kind=Kind.SCRAPE),
    Flow(
        source="ws-go",
        to="nats",
        port="client",
        why="-nats nats://${BACKEND_INTERNAL_IP}:4222",
        rule="allow-nats-internal",
    ),
    Flow(source="ws-go", to="odin-backend", port="nats", why="the picture: NATS client connection to odin-backend"),
    Flow(source="publisher", to="nats", port="client", why="NATS_URL=nats://nats:4222"),
    Flow(
        source="ws-go",
        to="promtail",
        port="logs",
        why="Promtail - collects logs from ws-go via network",
        kind=Kind.LOGS,
    ),
    Flow(source="ws-go", to="loki", port="http", why='Check Loki is receiving ws-go logs: {instance="odin-ws-go"}'),
    Flow(source="promtail", to="loki", port="http", why="logs of the backend's own containers"),
    Flow(source="grafana", to="prometheus", port="http", why="check that ws-go metrics are appearing", kind=Kind.QUERY),
    Flow(source="grafana", to="loki", port="http", why="Grafana, Explore, Loki", kind=Kind.QUERY),
    Flow(source="internet", to="grafana", port="http", why="Grafana: http://${BACKEND_IP}:3010"),
    Flow(source="internet", to="prometheus", port="http", why="Prometheus: http://${BACKEND_IP}:9091"),
    Flow(source="internet", to="nats", port="monitor", why="curl http://${BACKEND_EXTERNAL_IP}:8222/varz"),
    Flow(source="operator", to="nats", port="monitor", why="127.0.0.1:8222:8222, Monitoring (local only)"),
    Flow(source="operator", to="publisher", port="http", why="127.0.0.1:3003:3003, test traffic generator"),
    Flow(source="operator", to="ws-go", port="metrics", why="on its node: curl http://localhost:3002/health"),
)

PUBLISHES = (
    Publish(node="odin-ws-server", service="nats", port="client", address="0.0.0.0", host_port=4222),
    Publish(node="odin-ws-server", service="nats", port="monitor", address="127.0.0.1", host_port=8222),
    Publish(node="odin-ws-server", service="publisher", port="http", address="127.0.0.1", host_port=3003),
    Publish(node="odin-ws-server", service="prometheus", port="http", address="127.0.0.1", host_port=9091),
    Publish(node="odin-ws-server", service="grafana", port="http", address="0.0.0.0", host_port=3010),
    Publish(node="odin-ws-server", service="loki", port="http", address="127.0.0.1", host_port=3101),
    Publish(node="odin-ws-go", service="ws-go", port="ws", address="0.0.0.0", host_port=3004),
)

RULES = (
    Rule(
        name="allow-websocket",
        why="Allow WebSocket connections to ws-go",
        target_tags=("ws-server",),
        source_ranges=("0.0.0.0/0",),
        allows=(("tcp", 3004),),
    ),
    Rule(
        name="allow-prometheus-scrape",
        why="Allow Prometheus to scrape ws-go metrics",
        target_tags=("ws-server",),
        source_tags=("monitoring",),
        allows=(("tcp", 3002),),
    ),
    Rule(
        name="allow-nats-internal",
        why="Allow ws-go to connect to NATS",
        target_tags=("backend",),
        source_tags=("ws-server",),
        allows=(("tcp", 4222),),
    ),
)

PLAN = Topology(
    name="plan-as-written",
    project="odin-ws",
    network="default",
    nodes=(
        # The picture of the target calls it odin-backend; every step keeps the name of the old instance.
        Node(
            name="odin-ws-server",
            machine_type="e2-small",
            zone=ZONE,
            tag="backend",
            services=(NATS, PUBLISHER, PROMETHEUS, GRAFANA, LOKI, PROMTAIL),
        ),
        Node(name="odin-ws-go", machine_type="e2-small", zone=ZONE, tag="ws-server", services=(WS_GO,)),
    ),
    actors=(
        Actor(name="internet", cidrs=("0.0.0.0/0",)),
        # gcloud compute ssh, then a command on the machine.
        Actor(name="operator", tunnel=True),
    ),
    flows=FLOWS,
    publishes=PUBLISHES,
    rules=RULES,
)
