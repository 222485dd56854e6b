"""The ledger of one product as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from platform_assets.lake.atomic_files import write_atomically
from platform_assets.registry.timeline import Event
from platform_assets.stores import Stores

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24 }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .2rem } p { color: #57606a; margin: .2rem 0 1.2rem }
table { border-collapse: collapse; width: 100% }
th { text-align: left; border-bottom: 2px solid #d0d7de; padding: .4rem .6rem }
td { vertical-align: top; border-bottom: 1px solid #eaeef2; padding: .4rem .6rem; overflow-wrap: anywhere }
td.at, td.n, td.who { white-space: nowrap; font-variant-numeric: tabular-nums } td.n { color: #8c959f }
.what { border-radius: 1em; padding: .1rem .6rem; background: #eaeef2; white-space: nowrap }
.champion { background: #dafbe1 } .refused, .foreign, .abandon { background: #ffebe9 }
.waiver, .approval, .withdrawal, .reinstate { background: #fff8c5 }
"""


def write_ledger_page(stores: Stores, product: str, events: Sequence[Event]) -> Path:
    """Write the page beside the product's reports; its path."""
    path = stores.home.reports / product / "ledger.html"
    write_atomically(path, ledger_page(product, events, stores.ledger.head).encode())
    return path


def ledger_page(product: str, events: Sequence[Event], head: tuple[int, str] | None) -> str:
    """Newest event first. Everything in it came from people and data, so everything is escaped."""
    live = next((event for event in events if event.what == "champion"), None)
    now = (
        f"Champion: version {live.version} since {live.at[:19].replace('T', ' ')}"
        if live and live.version
        else "No champion"
    )
    told = f"entry {head[0]}, hash {head[1]}" if head else "empty"
    rows = "\n".join(_row(event) for event in events)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(product)}: ledger</title>
<style>{STYLE}</style></head><body><h1>{escape(product)}: who was champion, and why</h1>
<p>{escape(now)}. Ledger: {escape(told)}. Times in UTC.</p>
<table><thead><tr><th>#</th><th>At</th><th>What</th><th>Version</th><th>Who</th><th>Why</th></tr></thead>
<tbody>
{rows}
</tbody></table></body></html>
"""


def _row(event: Event) -> str:
    kind = event.what if event.what.isalpha() else "intent"
    at = event.at[:19].replace("T", " ")
    return (
        f'<tr><td class="n">{event.sequence}</td><td class="at">{escape(at)}</td>'
        f'<td><span class="what {kind}">{escape(event.what)}</span></td><td>{escape(event.version)}</td>'
        f'<td class="who" title="{escape(event.actor)}">{escape(event.who)}</td>'
        f"<td>{escape(event.detail)}</td></tr>"
    )
