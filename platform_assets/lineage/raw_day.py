"""Everything that used a raw day, and what would have to be made again if the day were wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from platform_assets.errors import PlatformError, UnknownName
from platform_assets.lake.manifest import Manifest
from platform_assets.lineage.descent import descent
from platform_assets.stores import Stores
from platform_assets.vocabulary import raw_table


@dataclass(frozen=True)
class Use:
    """One version of one partition that stands on the day."""

    product: str
    noun: str
    partition: str
    rows: int
    version: str
    created_at: str
    run_id: str
    is_current: bool


@dataclass(frozen=True)
class DayUses:
    """What stands on a raw day. `live` maps products to the champion version among them."""

    source: str
    day: str
    digests: tuple[str, ...]
    uses: tuple[Use, ...]
    live: dict[str, str]

    def current(self) -> DayUses:
        """Only what counts now: what would have to be made again."""
        kept = tuple(use for use in self.uses if use.is_current)
        return DayUses(self.source, self.day, self.digests, kept, self.live)

    def counts(self) -> dict[str, int]:
        """Partitions by table, products before shared features, each once however often it was written."""
        seen: dict[str, set[str]] = {}
        for use in sorted(self.uses, key=lambda use: (not use.product, use.product)):
            name = f"{use.product}/{use.noun}" if use.product else use.noun
            seen.setdefault(name, set()).add(use.partition)
        return {name: len(partitions) for name, partitions in seen.items()}

    def versions(self) -> list[Use]:
        """Registered versions, the newest lineage of each, live ones first."""
        newest = {(use.product, use.version): use for use in self.uses if use.noun == "registered_model"}
        return sorted(
            newest.values(),
            key=lambda use: (self.live.get(use.product) != use.version, use.product, int(use.version)),
        )


def used_by(stores: Stores, source: str, day: str, *, digest: str | None = None) -> DayUses:
    """All that was ever made from a raw day, or from one version of it.

    Raises UnknownName when the source holds no such day, or the day no such version.
    """
    table = stores.lake.table(raw_table(source))
    digests = [manifest.digest for manifest in table.history(day)]
    if not digests:
        days = table.partitions()
        held = f"its {len(days)} days are {days[0]} to {days[-1]}" if days else "there are none"
        raise UnknownName(f"no day of {table.name} {day!r}; {held}")
    if digest is not None and digest not in digests:
        raise UnknownName.among(f"version of {table.name} {day}", digest, digests)
    wanted = [digest] if digest else list(dict.fromkeys(digests))
    made = descent(stores.lake, [(table.name, day, each) for each in wanted])
    uses = tuple(_use(stores, manifest) for manifest in made)
    products = sorted({use.product for use in uses if use.product})
    return DayUses(source, day, tuple(wanted), uses, _live(stores, products, uses))


def _use(stores: Stores, manifest: Manifest) -> Use:
    parts = manifest.table.split("/")
    product, noun = (parts[1], "/".join(parts[2:])) if parts[0] == "products" else ("", manifest.table)
    present = stores.lake.table(manifest.table).manifest(manifest.partition)
    version = manifest.notes.get("version") or manifest.notes.get("model_version") or ""
    return Use(
        product=product,
        noun=noun,
        partition=manifest.partition,
        rows=manifest.rows,
        version=str(version),
        created_at=manifest.created_at,
        run_id=manifest.run_id,
        is_current=present is not None and present.sequence == manifest.sequence,
    )


def _live(stores: Stores, products: Iterable[str], uses: Iterable[Use]) -> dict[str, str]:
    """Champions that are among the uses. Of a ledger that cannot be trusted nothing is said."""
    from platform_assets.registry.champion import champion_at

    registered = {(use.product, use.version) for use in uses if use.noun == "registered_model"}
    found = {}
    for product in products:
        try:
            live = champion_at(stores.ledger, product, stores.ledger.now())
        except PlatformError:
            continue
        if live is not None and (product, live.version) in registered:
            found[product] = live.version
    return found
