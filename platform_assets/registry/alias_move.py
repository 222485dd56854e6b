"""Moving the champion alias: intent -> read back -> set in one call -> confirm, under a lease.

MLflow keeps one row an alias: no history, no actor, no compare-and-set. The ledger has them.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from platform_assets.errors import PromotionRefused
from platform_assets.evidence.ledger import Entry, Ledger
from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.stores import Stores
from platform_assets.vocabulary import CHAMPION_ALIAS

INTENTS = ("intent", "reinstate")
FOREIGN = "foreign"


@dataclass(frozen=True)
class Holder:
    """The version an alias points to, and the model digest its registry tag names."""

    version: str
    model_digest: str | None


@dataclass(frozen=True)
class Alias:
    """The champion alias of one product in the registry."""

    stores: Stores
    product: str

    def holder(self) -> Holder | None:
        """Who holds it now; None when nobody does."""
        from platform_assets.training.mlflow_store import DATABASE, open_mlflow

        if not (self.stores.home.mlflow / DATABASE).exists():
            return None  # asking must not create a database
        client = open_mlflow(self.stores)
        from mlflow.exceptions import MlflowException

        from platform_assets.registry.model_versions import MODEL_TAG

        try:
            aliases = client.get_registered_model(self.product).aliases
            if CHAMPION_ALIAS not in aliases:
                return None
            version = str(aliases[CHAMPION_ALIAS])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        try:
            tags = client.get_model_version(self.product, version).tags
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            tags = {}  # the version was deleted under its alias
        return Holder(version, tags.get(MODEL_TAG))

    def set(self, version: str | None) -> None:
        """Point it at a version, or take it away, in one call."""
        from platform_assets.training.mlflow_store import open_mlflow

        client = open_mlflow(self.stores)
        if version is None:
            client.delete_registered_model_alias(self.product, CHAMPION_ALIAS)
        else:
            client.set_registered_model_alias(self.product, CHAMPION_ALIAS, version)


@contextlib.contextmanager
def lease(stores: Stores, product: str) -> Iterator[None]:
    """The right to decide for a product. Raises PromotionRefused when somebody else holds it.

    The operating system gives it back when its holder dies.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(stores.home.locks / f"{product}.promotion", wait=False))
        except BlockingIOError:
            raise PromotionRefused(
                f"product {product}: another promotion is being decided right now; try again when it ended"
            ) from None
        yield


def last_confirmed(entries: Sequence[Entry]) -> Entry | None:
    """The newest confirmation that answers an intent of the same decision and target."""
    intents = {e.body["decision"]: e for e in entries if e.kind in INTENTS}
    for entry in reversed(entries):
        if entry.kind == "confirm":
            intent = intents.get(entry.body["decision"])
            if (
                intent is not None
                and intent.sequence < entry.sequence
                and intent.body["to"] == entry.body["to"]
            ):
                return entry
    return None


def open_intent(entries: Sequence[Entry]) -> Entry | None:
    """The newest intent that was neither confirmed, nor abandoned, nor overtaken by another decision."""
    for entry in reversed(entries):
        if entry.kind in ("confirm", "abandon"):
            return None
        if entry.kind in INTENTS:
            return entry
    return None


def agrees(holder: Holder | None, confirmed: Entry | None) -> bool:
    """Whether the alias is where the ledger's last confirmation put it, on the same model."""
    expected = confirmed.body["to"] if confirmed is not None else None
    if holder is None or expected is None:
        return holder is None and expected is None
    assert confirmed is not None
    return (holder.version, holder.model_digest) == (expected, confirmed.body["model_digest"])


def foreign(product: str, holder: Holder | None, confirmed: Entry | None) -> str:
    """What is wrong with a holder that no confirmed decision put there, and what to do."""
    where = f"version {holder.version} (model {holder.model_digest})" if holder else "nobody"
    if confirmed is None or confirmed.body["to"] is None:
        expected = "the ledger confirms no champion"
    else:
        expected = (
            f"the ledger's last confirmed decision is version {confirmed.body['to']} "
            f"(model {confirmed.body['model_digest']}) of {confirmed.at}"
        )
    return (
        f"product {product}: alias {CHAMPION_ALIAS!r} is held by {where}, but {expected}; "
        f"it was moved by hand. Reinstate the confirmed champion (platform-assets reinstate "
        f"--product {product} --by ... --reason ...), then promote what you want promoted"
    )


def reconcile(stores: Stores, alias: Alias, actor: str) -> None:
    """Close what a crash left open: alias = to confirms, anything else is given up.

    Given up with alias = from, it is decided again; with another holder that holder is foreign, and
    stays so even if a hand should later move the alias to what was intended. The caller holds the lease.
    """
    entries = stores.ledger.entries(alias.product)
    intent = open_intent(entries)
    if intent is None:
        return
    holder = alias.holder()
    at = holder.version if holder else None
    if at == intent.body["to"] and (holder is None or holder.model_digest == intent.body["model_digest"]):
        _close(stores.ledger, "confirm", intent, actor, "found the alias set after an interruption")
    else:
        untouched = at == intent.body["from"]
        reason = "interrupted before the alias was set" if untouched else f"found the alias held by {at}"
        _close(stores.ledger, "abandon", intent, actor, reason)


def move(
    stores: Stores,
    alias: Alias,
    kind: str,
    *,
    holder: Holder | None,
    to: str | None,
    model: Mapping[str, Any],
    actor: str,
    about: Mapping[str, Any],
    check: Callable[[Sequence[Entry]], object] | None = None,
) -> Entry:
    """Move the alias from `holder` to version `to`; the confirmation. The caller holds the lease.

    `model` names model_digest, artifact_digest and artifact_path of `to`; `about` is what the
    decision stands on. `check` is given the ledger up to the intent and raises when it does not stand
    any more; then nothing was moved. Raises PromotionRefused when a hand moved the alias meanwhile.
    """
    body = {
        "decision": uuid.uuid4().hex,
        "from": holder.version if holder else None,
        "to": to,
        **{name: model.get(name) for name in ("model_digest", "artifact_digest", "artifact_path")},
    }
    intent = stores.ledger.append(kind, alias.product, actor, {**body, **about}, check=check)
    if alias.holder() != holder:
        _close(stores.ledger, "abandon", intent, actor, "the alias was moved by hand meanwhile")
        raise PromotionRefused(
            f"product {alias.product}: alias {CHAMPION_ALIAS!r} was moved by hand while its promotion was "
            f"decided; nothing was promoted. Look at the registry, then decide again"
        )
    alias.set(to)
    after = alias.holder()
    if (after.version if after else None) != to:
        raise PromotionRefused(
            f"product {alias.product}: alias {CHAMPION_ALIAS!r} was set to {to} and reads {after}; "
            f"promote again to find out what holds"
        )
    return _close(stores.ledger, "confirm", intent, actor, "")


def _close(ledger: Ledger, kind: str, intent: Entry, actor: str, reason: str) -> Entry:
    names = ("decision", "from", "to", "model_digest", "artifact_digest", "artifact_path")
    body = {name: intent.body[name] for name in names}
    return ledger.append(kind, intent.product, actor, {**body, "reason": reason})
