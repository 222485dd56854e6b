"""The ledger as people read it: who was champion, who was refused and why, who answered for what."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from platform_assets.evidence.ledger import Entry, to_the_second
from platform_assets.evidence.standing import (
    GIVEN,
    WAIVER,
    WITHDRAWAL,
    giver,
    holds_on,
    today,
    version_of,
    withdrawals,
    withdrawn_of,
)
from platform_assets.registry.withdrawn_answers import answers_of, told_since, withdrawn_behind
from platform_assets.vocabulary import product_table

_RUN = re.compile(r"^(dagster run [0-9a-f]{8})-[0-9a-f-]{27}$")


@dataclass(frozen=True)
class Event:
    """One line of the timeline."""

    sequence: int
    at: str
    actor: str
    what: str
    version: str
    detail: str

    @property
    def who(self) -> str:
        """The actor as tables have room for: of a run the first letters of its id, as Dagster shows them."""
        return _RUN.sub(r"\1", self.actor)


def timeline(entries: Sequence[Entry], product: str, source: str = "") -> list[Event]:
    """A product's events, newest first; waivers of its source's raw days among them.

    `entries` are the whole ledger's.
    """
    read = _reader(entries)
    return [read(entry) for entry in reversed(entries) if concerns(entry, product, source)]


def concerns(entry: Entry, product: str, source: str = "") -> bool:
    """Whether an entry is about the product, its gates, or its source's days."""
    if entry.kind in (WAIVER, WITHDRAWAL) and entry.product != product:
        return entry.product in (product_table(product, "promotion"), f"raw/{source}")
    return entry.product == product


def _reader(entries: Sequence[Entry]) -> Callable[[Entry], Event]:
    """What turns an entry into an event: of what was withdrawn since, only the whole ledger tells."""
    return partial(_event, gone=withdrawals(entries), behind=withdrawn_behind(entries))


def _event(
    entry: Entry, gone: Mapping[int, Entry], behind: Mapping[int, Sequence[tuple[Entry, Entry]]]
) -> Event:
    body = entry.body
    version = version_of(entry) if entry.kind in GIVEN else str(body.get("to") or body.get("version") or "")
    what, detail = entry.kind, str(body.get("reason", ""))
    if entry.kind == "confirm":
        what, detail = "champion", detail or f"replaces {body.get('from') or 'nobody'}"
        detail = "; ".join([detail, *told_since(behind.get(entry.sequence, ()))])
    elif entry.kind == "refusal":
        what, detail = "refused", "; ".join(body.get("reasons", ()))
    elif entry.kind == "intent":
        what, detail = "to be champion", f"{len(body.get('gates', ()))} gates held"
        waived = [g for g in body.get("gates", ()) if g.get("waived_by")]
        detail += "".join(f"; {g['key']} {g['waiver']}" for g in waived)
    elif entry.kind == "restore":
        what, detail = "registry restored", f"versions {', '.join(body['versions'])}: {detail}"
    elif entry.kind in GIVEN:
        about = f"{body['kind']} {body['partition']}: " if entry.kind == WAIVER else ""
        detail = f"{about}{body['reason']}, until {body['expires']}{_over(entry, gone)}, evidence "
        detail += str(body["evidence"])
    elif entry.kind == WITHDRAWAL:
        day = f" of {body['partition']}" if body.get("partition") and not version else ""
        detail = f"{body['of']} {body['entry']}{day}: {detail}"
    return Event(entry.sequence, entry.at, giver(entry), what, version, detail)


def _over(entry: Entry, gone: Mapping[int, Entry]) -> str:
    if entry.sequence in gone:
        taken = gone[entry.sequence]
        return f" (withdrawn by {giver(taken)} at {to_the_second(taken.at)}, ledger entry {taken.sequence})"
    return "" if holds_on(entry, today()) else " (ended)"


def explain(entries: Sequence[Entry], product: str, version: str) -> list[str]:
    """Why a version is or is not champion: its last decision gate by gate, and who answered for what.

    Empty when the ledger holds nothing about the version.
    """
    read = _reader(entries)
    own = [e for e in entries if concerns(e, product) and read(e).version == version]
    decisions = [e for e in own if e.kind in ("intent", "refusal", "reinstate")]
    if not own:
        return []
    lines = [f"{product} version {version}"]
    if decisions:
        last = decisions[-1]
        before = last.body.get("champion" if last.kind == "refusal" else "from")
        held = f"champion was {before or 'nobody'}"
        outcome = "refused" if last.kind == "refusal" else _outcome(own, last)
        lines.append(
            f"{outcome} at {to_the_second(last.at)} by {last.actor} (ledger entry {last.sequence}, {held})"
        )
        gates = last.body.get("gates", ())
        for gate in gates:
            verdict = "WAIVED" if gate.get("waived_by") else gate["verdict"]
            limit = ""
            if gate["limit"] is not None:
                limit = f" [measured {_number(gate['measured'])}, limit {_number(gate['limit'])}]"
            waiver = f" ({gate['waiver']})" if gate.get("waived_by") else ""
            told = f"{gate['key']}: {gate['reason']}{limit}{waiver}"
            lines.append(f"  {verdict:<8} {told}, evidence {gate['evidence_id']}")
        since = withdrawn_of(entries, answers_of(last, entries))
        lines += [f"  WITHDRAWN {told}" for told in told_since(since)]
        if not gates:
            lines += [f"  {reason}" for reason in last.body.get("reasons", ())]
    else:
        lines.append("was never decided")
    lines += [
        f"{to_the_second(event.at)} {event.actor} {event.what}: {event.detail}" for event in map(read, own)
    ]
    return lines


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _outcome(own: Sequence[Entry], intent: Entry) -> str:
    closed = [e for e in own if e.body.get("decision") == intent.body["decision"] and e is not intent]
    if not closed:
        return "interrupted while it was made champion; materialize promotion again to finish;"
    return "made champion" if closed[-1].kind == "confirm" else f"given up ({closed[-1].body['reason']})"
