"""The champion: whom the alias and the ledger name together; and who it was at any moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from platform_assets.declaration.product import Product
from platform_assets.errors import PromotionRefused
from platform_assets.evidence.ledger import Entry, Ledger, to_the_second
from platform_assets.registry.alias_move import (
    Alias,
    agrees,
    foreign,
    last_confirmed,
    lease,
    move,
    open_intent,
    reconcile,
)
from platform_assets.stores import Stores


@dataclass(frozen=True)
class Champion:
    """A version that a confirmed decision made champion. `artifact_path` is relative to the home."""

    version: str
    model_digest: str
    artifact_path: str
    artifact_digest: str
    confirmed_at: str
    decision_id: str

    def __str__(self) -> str:
        return (
            f"version {self.version} (model {self.model_digest}), confirmed "
            f"{to_the_second(self.confirmed_at)} by decision {self.decision_id}"
        )


def champion(stores: Stores, product: Product) -> Champion | None:
    """The champion now; None when there never was one. Resolve it once a run.

    Raises PromotionRefused when the alias is not where the last confirmed decision put it, on the
    same model: moved or removed by hand, or a promotion was interrupted.
    """
    entries = stores.ledger.entries(product.name)
    confirmed = last_confirmed(entries)
    holder = Alias(stores, product.name).holder()
    if agrees(holder, confirmed):
        return _champion(confirmed)
    intent = open_intent(entries)
    if intent is not None and holder is not None and holder.version == intent.body["to"]:
        raise PromotionRefused(
            f"product {product.name}: the promotion of version {holder.version} was interrupted before it "
            f"was confirmed; materialize {product.name}/promotion again to finish it"
        )
    raise PromotionRefused(foreign(product.name, holder, confirmed))


def champion_at(ledger: Ledger, product: str, moment: str | datetime) -> Champion | None:
    """Who was champion of the product of that name at a moment (ISO 8601; UTC if no zone is given).

    From the ledger alone: what a hand did to the alias never made a champion.
    """
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return _champion(
        last_confirmed([e for e in ledger.entries(product) if datetime.fromisoformat(e.at) <= at])
    )


def reinstate(stores: Stores, product: Product, actor: str, reason: str) -> Champion | None:
    """Put the alias back to the last confirmed champion after it was moved by hand.

    With no champion ever confirmed the alias is taken away. Returns the champion, None in that
    case. Raises PromotionRefused while a promotion is being decided.
    """
    with lease(stores, product.name):
        alias = Alias(stores, product.name)
        reconcile(stores, alias, actor)
        confirmed = last_confirmed(stores.ledger.entries(product.name))
        holder = alias.holder()
        if agrees(holder, confirmed):
            return _champion(confirmed)
        to = confirmed.body["to"] if confirmed is not None else None
        model = confirmed.body if confirmed is not None else {}
        if holder is not None and holder.version == to:
            raise PromotionRefused(
                f"product {product.name}: version {to} in the registry is no longer the model that was "
                f"confirmed ({holder.model_digest}, confirmed was {model['model_digest']}); restore the "
                f"registry from a copy"
            )
        about = {"reason": reason}
        return _champion(
            move(stores, alias, "reinstate", holder=holder, to=to, model=model, actor=actor, about=about)
        )


def _champion(confirmed: Entry | None) -> Champion | None:
    if confirmed is None or confirmed.body["to"] is None:
        return None
    body = confirmed.body
    return Champion(
        version=body["to"],
        model_digest=body["model_digest"],
        artifact_path=body["artifact_path"],
        artifact_digest=body["artifact_digest"],
        confirmed_at=confirmed.at,
        decision_id=body["decision"],
    )
