"""`make review`: what a deployment would create, whom it opens to, what it uses, costs and risks.

Everything here follows from the declaration; nothing is asked of Google or Terraform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from constructs_lib import checks, cost
from constructs_lib.budget import SYSTEM_MEMORY_MIB, budget
from constructs_lib.faults import FaultsError
from constructs_lib.firewall import rules
from constructs_lib.publishing import LOOPBACK, publishes
from ops import output
from stacks.original import original
from stacks.settings import PLACEHOLDER_PROJECT, load
from stacks.topology import declare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from constructs_lib.model import Rule, Topology
    from stacks.settings import Settings

BAR = 28
REASONS_FIT = 110  # columns from which on the reasons have room beside the rules
FRAME_BYTES = 300  # the publisher's trade event in its envelope
EVERYONE = "0.0.0.0/0"


def review(settings: Settings, topology: Topology, width: int) -> RenderableType:
    """The whole review as one rich renderable, for a console of `width` columns."""
    parts = (
        _created(topology),
        _reachable(topology, reasons=width >= REASONS_FIT),
        _budgets(topology),
        _costs(settings, topology),
    )
    return Group(*(line for part in parts for line in (part, "")), *_warnings(settings, topology))


def _created(topology: Topology) -> Table:
    table = _table("Creates", "node", "machine", "disks", "tags", "services")
    for node in topology.nodes:
        disks = f"{node.boot_disk_gb} GB" + (f" + {node.state_disk_gb} GB state" if node.state_disk_gb else "")
        services = ", ".join(service.name for service in node.services)
        table.add_row(node.name, f"{node.machine_type}\n{node.zone}", disks, " ".join(node.tags), services)
    return table


def _reachable(topology: Topology, *, reasons: bool) -> Table:
    """Rule by rule, then what only the node itself (and so a tunnel into it) reaches."""
    table = _table("Opens", "port", "of", "to", "by rule", *(["because"] if reasons else []))
    table.columns[3].no_wrap = True
    for rule in rules(topology):
        if rule.deny:
            rest = ("[green]the rest[/]", " ".join(rule.target_tags), "[green]nobody[/]", rule.name, rule.why)
            table.add_row(*rest[: len(table.columns)])
            continue
        ports = " ".join(f"{number}/{transport}" for transport, number in rule.allows)
        style = "bold yellow" if EVERYONE in rule.source_ranges else ""
        row = (Text(ports, style), _targets(topology, rule), Text(_sources(rule), style), rule.name, rule.why)
        table.add_row(*row[: len(table.columns)])
    for entry in publishes(topology):
        if entry.address == LOOPBACK:
            who = "[dim]operators, by tunnel[/]"
            table.add_row(f"{entry.host_port}/{entry.transport}", f"{entry.node} ({entry.service})", who)
    return table


def _sources(rule: Rule) -> str:
    named = ["everyone" if cidr == EVERYONE else cidr for cidr in rule.source_ranges]
    return " ".join([*named, *(f"tag {tag}" for tag in rule.source_tags)])


def _targets(topology: Topology, rule: Rule) -> str:
    return " ".join(node.name for node in topology.nodes if set(rule.target_tags) & set(node.tags))


def _budgets(topology: Topology) -> Table:
    table = _table("Uses", "node", "", "limits", "of")
    table.columns[1].no_wrap = True
    for node in topology.nodes:
        found = budget(node)
        cores, memory = found.machine.vcpus, found.machine.memory_mib
        table.add_row(
            node.name,
            _bar(found.cpus_used / cores, found.machine.sustained / cores),
            f"{found.cpus_used:g} CPU",
            f"{cores} vCPU, {found.machine.sustained:g} sustained",
        )
        table.add_row(
            "",
            _bar(found.memory_used_mib / memory, found.memory_room_mib / memory),
            f"{found.memory_used_mib} MiB",
            f"{memory} MiB, {SYSTEM_MEMORY_MIB} of them for the system and the engine",
        )
    return table


def _bar(share: float, mark: float) -> Text:
    """A bar of `share`, with a mark where the machine sustains it or the system's part begins."""
    filled, at = round(min(share, 1.0) * BAR), min(round(mark * BAR), BAR - 1)
    text = Text()
    for cell in range(BAR):
        full = cell < filled
        character = "┃" if cell == at else "█" if full else "░"
        text.append(character, "bold" if cell == at else ("yellow" if cell > at else "green") if full else "dim")
    return text.append(f" {share:4.0%}")


def _costs(settings: Settings, topology: Topology) -> Group:
    before, after = cost.monthly(original(settings)), cost.monthly(topology)
    sources = list(dict.fromkeys([line.source for line in after] + [cost.EGRESS_SOURCE]))
    table = _table("Costs, USD a month", "node", "item", "price", "")
    for line in after:
        table.add_row(line.node, line.item, f"{line.monthly_usd:.2f}", f"[dim]({sources.index(line.source) + 1})[/]")
    was, now = cost.total(before), cost.total(after)
    table.add_row("[bold]in all", f"one machine before: {was:.2f}, so {now - was:+.2f}", f"[bold]{now:.2f}", "")
    clients, rate, size = settings.max_connections, settings.publish_rate, FRAME_BYTES
    gib = cost.egress_gib(clients, rate, size)
    what = f"{gib:,.0f} GiB, if {clients:,} clients receive {rate} messages/s of {size} + 40 bytes all month"
    table.add_row("and egress", what, f"{cost.egress_usd(gib):,.0f}", f"[dim]({len(sources)})[/]")
    table.columns[2].justify = "right"
    notes = "\n".join(f"({number}) {source}" for number, source in enumerate(sources, 1))
    return Group(table, Text(notes, "dim"))


def _warnings(settings: Settings, topology: Topology) -> Iterator[Text]:
    for warning in warnings(settings, topology):
        yield Text.assemble(("! ", "bold yellow"), warning)


def warnings(settings: Settings, topology: Topology) -> list[str]:
    """What is not wrong, but what somebody should know before deploying it."""
    found = []
    if settings.project == PLACEHOLDER_PROJECT:
        found.append(f"project is still the placeholder {PLACEHOLDER_PROJECT!r}: set it in odin.toml before you deploy")
    for node in topology.nodes:
        b = budget(node)
        if b.bursts:
            found.append(
                f"{node.name}: limits of {b.cpus_used:g} CPU on {b.machine.name}, which sustains"
                f" {b.machine.sustained:g} and bursts to {b.machine.vcpus} for short periods: measure over hours"
            )
    if settings.region != cost.PRICE_REGION:
        found.append(f"prices are those of {cost.PRICE_REGION}; {settings.region} has others")
    if EVERYONE in settings.grafana_cidrs:
        found.append("Grafana is open to everyone, without TLS: name the networks that need it in grafana_cidrs")
    found.append("clients reach ws-go without TLS: put a load balancer with a certificate in front for more than tests")
    return found


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    return table


def command() -> None:
    """What a deployment would create, whom it opens to, what it uses, costs and risks."""
    try:
        settings = load()
        topology = checks.verify(declare(settings))
    except FaultsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    console = output.console()
    console.print(review(settings, topology, console.width))
