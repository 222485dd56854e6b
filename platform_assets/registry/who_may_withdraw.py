"""Who may take back a waiver or an approval, and which champions stand on it."""

from __future__ import annotations

from collections.abc import Sequence

from platform_assets.declaration.gate import Approval, Waivable
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import Blocked
from platform_assets.evidence.ledger import Entry
from platform_assets.evidence.standing import APPROVAL
from platform_assets.registry.alias_move import last_confirmed
from platform_assets.registry.withdrawn_answers import withdrawn_behind

RAW = "raw/"


def product_of(entry: Entry) -> str | None:
    """The product that a waiver or an approval is about; None for the waiver of a raw day."""
    if entry.kind == APPROVAL:
        return entry.product
    return None if entry.product.startswith(RAW) else entry.product.split("/")[1]


def who_may_withdraw(entry: Entry, product: Product, repository: Repository) -> set[str]:
    """Beside who gave it: whoever could give such an entry now, and the owners of what it is about.

    Of a raw day's waiver the owners of its source; of a gate's, those whom its `waivable_by` names and the
    product's owners; of an approval, the approvers and the product's owners. Raises Blocked when
    the entry is about another product, or a source that the product's repository does not know.
    """
    name = product_of(entry)
    if name is None:
        source = repository.sources.get(entry.product.removeprefix(RAW))
        if source is None:
            raise Blocked(
                f"{entry.kind} {entry.sequence} is about {entry.product}, which product {product.name} does "
                f"not know; name one over that source with --product"
            )
        return set(source.owners)
    if name != product.name:
        raise Blocked(f"{entry.kind} {entry.sequence} is about product {name}, not {product.name}")
    may = set(product.owners)
    for gate in product.gates:
        if entry.kind == APPROVAL and isinstance(gate, Approval):
            may |= set(gate.approvers)
        elif isinstance(gate, Waivable) and entry.body.get("kind") == f"gate/{gate.key}":
            may |= set(gate.waivable_by)
    return may


def champions_on(entries: Sequence[Entry], sequence: int) -> dict[str, str]:
    """Version by product of the present champions whose promotion stands on a withdrawn entry."""
    behind = withdrawn_behind(entries)
    found: dict[str, str] = {}
    for product in sorted({entry.product for entry in entries if entry.kind == "confirm"}):
        confirmed = last_confirmed([entry for entry in entries if entry.product == product])
        if confirmed is not None and sequence in {e.sequence for e, _ in behind.get(confirmed.sequence, ())}:
            found[product] = str(confirmed.body["to"])
    return found
