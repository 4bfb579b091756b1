"""Colours and type, light and dark. Contrast of text against its ground is at least 4.5 to 1 in both."""

from __future__ import annotations

FLOWS = {
    "traffic": "traffic",
    "scrape": "metrics scrape",
    "logs": "logs",
    "query": "query",
    "admin": "operator, tunnel",
    "idle": "nobody yet",
}
REACHES = {
    "public": "the whole internet",
    "named": "named addresses",
    "tag": "nodes with that tag",
    "loopback": "the node's loopback only",
    "inside": "the node's containers only",
    "shut": "nobody: no rule opens it",
}

CSS = """
svg { --bg:#ffffff; --node:#f6f8fa; --card:#ffffff; --line:#d1d9e0; --ink:#1f2328; --soft:#59636e; --faint:#d8dee4;
 --traffic:#0969da; --scrape:#8250df; --logs:#9a6700; --query:#0f766e; --admin:#59636e; --idle:#656d76;
 --public:#cf222e; --named:#bc4c00; --tag:#0969da; --loopback:#59636e; --inside:#656d76; --shut:#59636e; }
@media (prefers-color-scheme: dark) { svg {
 --bg:#0d1117; --node:#151b23; --card:#0d1117; --line:#3d444d; --ink:#f0f6fc; --soft:#9198a1; --faint:#2a313c;
 --traffic:#58a6ff; --scrape:#bc8cff; --logs:#d29922; --query:#39c5b5; --admin:#9198a1; --idle:#7d8590;
 --public:#ff7b72; --named:#f0883e; --tag:#58a6ff; --loopback:#9198a1; --inside:#7d8590; --shut:#9198a1; } }
text { font-family: -apple-system, BlinkMacSystemFont, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
 font-size: 11px; fill: var(--ink); white-space: pre; }
.mono { font-family: ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
.title { font-size: 20px; font-weight: 600; } .big { font-size: 15px; font-weight: 600; }
.name { font-size: 13px; font-weight: 600; } .soft { fill: var(--soft); } .small { font-size: 10.5px; }
.end { text-anchor: end; } .head { font-size: 11px; font-weight: 600; fill: var(--soft); letter-spacing: .04em; }
.ground { fill: var(--bg); stroke: var(--line); }
.node { fill: var(--node); stroke: var(--line); } .card, .actor { fill: var(--card); stroke: var(--line); }
.actor.idle { stroke-dasharray: 4 3; } .unused { fill: var(--idle); }
.meter { fill: var(--faint); } .share { fill: var(--traffic); } .rule { stroke: var(--line); }
.wire { fill: none; stroke: var(--c); stroke-width: 1.6; } .tip { fill: var(--c); }
.scrape .wire { stroke-dasharray: 6 3; }
.logs .wire { stroke-dasharray: 1.5 3.5; stroke-linecap: round; stroke-width: 2; }
.query .wire { stroke-dasharray: 9 3 2 3; } .admin .wire { stroke-width: 1.1; }
.idle .wire { stroke-width: 1.2; stroke-dasharray: 3 4; }
.box { fill: var(--bg); stroke: var(--c); } .spoken { fill: var(--c); }
.chip { fill: var(--node); } .chip + text { fill: var(--c); }
.dot { fill: var(--c); stroke: var(--c); stroke-width: 1.4; } .inside .dot { fill: none; }
.shut .dot { fill: none; stroke-dasharray: 1.8 1.5; }
.reach { fill: var(--c); }
"""


def css() -> str:
    """The sheet, with a class for every flow's and every reach's colour."""
    colours = "\n".join(f".{name} {{ --c: var(--{name}); }}" for name in (*FLOWS, *REACHES))
    return f"{CSS}{colours}\n"
