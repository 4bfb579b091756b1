"""The files of a node: the trees below cloud-init/, rendered, what the model yields, and the server's source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from constructs_lib import prometheus, source_archive, yamltext
from constructs_lib.compose import ROOT, STATE, compose, container_name
from constructs_lib.endpoints import Deployed, dns_name, resolve
from constructs_lib.faults import Fault, FaultsError
from constructs_lib.model import Build, Kind, Url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs_lib.model import Node, Topology

REPOSITORY = Path(__file__).resolve().parent.parent
# Compute Engine: a metadata value may have 262,144 bytes (API reference, Items.value).
METADATA_LIMIT = 262_144
# A source folder travels packed: as text, source and lock file alone would fill the metadata.
ARCHIVE = ".tar.bz2"


@dataclass(frozen=True, slots=True)
class NodeFile:
    """path: absolute, on the node. content: text, or the bytes of an archive. permissions: octal, as chmod takes it."""

    path: str
    content: str | bytes
    permissions: str = "0644"


def files(topology: Topology, node: Node, repository: Path = REPOSITORY) -> tuple[NodeFile, ...]:
    """Every file of the node's payload, by path. Raises FaultsError for what cannot be rendered or is missing."""
    found = [NodeFile(f"{ROOT}/compose.yml", yamltext.dump(compose(topology, node)))]
    if "prometheus" in {service.name for service in node.services}:
        text = yamltext.dump(prometheus.config(Deployed(topology)))
        found.append(NodeFile(f"{ROOT}/prometheus/prometheus.yml", text))
    found += _state(node)
    faults: list[Fault] = []
    for tree in node.trees:
        found += _tree(topology, node, repository / "cloud-init" / tree, faults)
    for context, parts in _builds(node).items():
        found.append(NodeFile(f"{ROOT}/{context}{ARCHIVE}", source_archive.archive(repository / context, parts)))
    faults += _missing(node, found)
    if faults:
        raise FaultsError(f"payload of {node.name}", faults)
    return tuple(sorted(found, key=lambda file: file.path))


def too_large(node: Node, user_data: str) -> Iterator[Fault]:
    """The metadata limit, held against the finished user-data."""
    size = len(user_data.encode())
    if size > METADATA_LIMIT:
        what = f"its user-data has {size} bytes, and Google takes {METADATA_LIMIT}"
        yield Fault("metadata-size", f"node {node.name}", what, "Move files into an image")


def _tree(topology: Topology, node: Node, tree: Path, faults: list[Fault]) -> Iterator[NodeFile]:
    if not tree.is_dir():
        faults.append(Fault("tree", f"node {node.name}", f"there is no folder cloud-init/{tree.name}", "Make it"))
        return
    environment = _environment(topology, node)
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        try:
            content = environment.from_string(path.read_text()).render()
        except (jinja2.TemplateError, LookupError) as error:
            where = f"cloud-init/{tree.name}/{path.relative_to(tree)}"
            faults.append(Fault("template", where, str(error).strip("'\""), "Mend the file or declare what it needs"))
            continue
        permissions = "0755" if path.stat().st_mode & 0o100 else "0644"
        yield NodeFile(f"/{path.relative_to(tree)}", content, permissions)


def _environment(topology: Topology, node: Node) -> jinja2.Environment:
    """Templates write [[ ... ]]: the files themselves are full of braces that belong to their readers."""
    places = Deployed(topology)

    def url(source: str, service: str, port: str, path: str = "") -> str:
        return resolve(places, source, Url(service, port, path))

    def host(source: str, service: str, port: str) -> str:
        return resolve_host(source, service, port)[0]

    def port_number(source: str, service: str, port: str) -> int:
        return resolve_host(source, service, port)[1]

    def resolve_host(source: str, service: str, port: str) -> tuple[str, int]:
        url(source, service, port)  # insists on the flow
        return places.find(source, service, port)

    environment = jinja2.Environment(
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - configuration files, not HTML
    )
    environment.globals.update(
        url=url,
        host=host,
        port_number=port_number,
        listen=lambda service, port: places.listen(service, port)[1],
        stored=places.store,
        node=node,
        topology=topology,
        dns_name=dns_name(topology, node),
        nodes=topology.nodes,
        shipping=_shipping(topology, node),
        made=[file.source for service in node.services for file in service.files if file.made_by],
        built=sorted({s.image.tag for s in node.services if isinstance(s.image, Build)}),
    )
    return environment


def _shipping(topology: Topology, node: Node) -> list[dict[str, object]]:
    """The log flows that leave this node: container, host and port of the receiver."""
    places = Deployed(topology)
    found: list[dict[str, object]] = []
    for flow in topology.flows:
        if flow.kind is Kind.LOGS and topology.home(flow.source) is node and topology.home(flow.to) is not node:
            host, number = places.find(flow.source, flow.to, flow.port)
            name = container_name(topology, topology.services[flow.source])
            found.append({"container": name, "host": host, "port": number})
    return found


def _builds(node: Node) -> dict[str, tuple[str, ...]]:
    """context -> the parts that the node's services need of it together; empty: everything."""
    found: dict[str, tuple[str, ...]] = {}
    for image in (service.image for service in node.services):
        if isinstance(image, Build):
            known = found.get(image.context, image.parts)
            found[image.context] = tuple(sorted({*known, *image.parts})) if known and image.parts else ()
    return dict(sorted(found.items()))


def _state(node: Node) -> Iterator[NodeFile]:
    """systemd-tmpfiles makes the state directories with the owners that the images' users need."""
    lines = [
        f"d {STATE}/{volume.name} 0750 {volume.uid} {volume.uid} -"
        for service in node.services
        for volume in service.volumes
    ]
    if lines:
        yield NodeFile("/etc/tmpfiles.d/odin.conf", "\n".join([f"d {STATE} 0755 root root -", *lines]) + "\n")


def _missing(node: Node, found: list[NodeFile]) -> Iterator[Fault]:
    """Every file that a container mounts is written by somebody, or Docker makes an empty folder in its place."""
    paths = {file.path for file in found}
    for service in node.services:
        for file in service.files:
            path = file.source if file.source.startswith("/") else f"{ROOT}/{file.source}"
            if file.made_by or path in paths or any(known.startswith(f"{path}/") for known in paths):
                continue
            what = f"it mounts {path}, which nothing writes"
            yield Fault("file", f"service {service.name}", what, f"Add it below cloud-init/, in {node.trees}")
