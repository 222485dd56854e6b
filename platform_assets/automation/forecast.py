"""What a run would rebuild, told before it runs: from manifests, the source and the declarations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from platform_assets import vocabulary
from platform_assets.automation.product_observation import observe_product
from platform_assets.automation.source_observation import observe_source
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import PlatformError
from platform_assets.raw.contract_change import ContractChange
from platform_assets.raw.contract_in_force import pending_change
from platform_assets.stores import Stores

AFTER_TRAINING = (
    "training_run",
    "evaluation_report",
    "hindsight_report",
    "registered_model",
    "parity_report",
    "promotion",
)


@dataclass(frozen=True)
class Rebuild:
    """One asset that a run would build: its days (none when it has no partition of days), and why.

    `certain` is False when it is left alone if what comes before it comes out with the same values.
    """

    asset: tuple[str, ...]
    days: tuple[str, ...]
    reason: str
    certain: bool = True


@dataclass(frozen=True)
class Forecast:
    """What would be rebuilt, what cannot be and why, and the live models whose views are touched.

    `contract` is what a changed contract makes of stored days, and `accepted` whether an owner of the
    source accepts the days that fail: else it does not take effect.
    """

    rebuilds: tuple[Rebuild, ...]
    blocked: Mapping[str, str]
    live: tuple[str, ...]
    contract: ContractChange | None = None
    accepted: bool = False


def forecast(
    stores: Stores, repository: Repository, product: Product, variables: Mapping[str, str]
) -> Forecast:
    """Nothing is written. Raises DeclarationError when a run would refuse the declarations."""
    source = repository.source(product.source)
    needed = {("raw", source.name)} | {
        ("features", name) for view in product.feature_views for name in (view, f"online_{view}")
    }
    upstream = [w for w in observe_source(stores, repository, source, variables).work if w.asset in needed]
    days = {item.asset: set(item.days) for item in upstream}
    raw = days[("raw", source.name)]
    blocked = {
        f"{'/'.join(item.asset)} {day}".strip(): why for item in upstream for day, why in item.blocked.items()
    }
    change, accepted = pending_change(stores, source, repository.contract_path(source))
    if change is not None and accepted:
        blocked |= _fails(stores, repository, product, change)
    reason = next((item.reason for item in upstream if item.asset == ("raw", source.name)), "")
    rebuilds = [Rebuild(("raw", source.name), tuple(sorted(raw)), reason)] if raw else []
    touched: dict[str, set[str]] = {}
    for name in product.feature_views:
        touched[name] = days.get(("features", name), set()) | _reached(stores, repository, name, raw)
        if touched[name]:
            reason = _why(stores, repository, name, bool(raw))
            built = stores.lake.table(vocabulary.feature_table(repository.feature_view(name).lake_name))
            certain = bool(days.get(("features", name))) or not touched[name] <= {*built.partitions()}
            rebuilds.append(Rebuild(("features", name), tuple(sorted(touched[name])), reason, certain))
    for name in product.feature_views:
        if repository.feature_view(name).online and (days.get(("features", f"online_{name}")) or raw):
            rebuilds.append(Rebuild(("features", f"online_{name}"), (), "view or newest days changed"))
    rebuilds += _of_product(stores, repository, product, raw, touched, blocked)
    changed = [name for name, found in touched.items() if found]
    return Forecast(tuple(rebuilds), blocked, tuple(_live(stores, repository, changed)), change, accepted)


def _fails(
    stores: Stores, repository: Repository, product: Product, change: ContractChange
) -> dict[str, str]:
    """Feature days that a raw day reaches which passed its contract and would not pass the declared one."""
    from platform_assets.features.reach import raw_days

    if not change.fails:
        return {}
    source = repository.source(product.source)
    known = stores.lake.table(vocabulary.raw_table(source.name)).partitions()
    found: dict[str, str] = {}
    for view in repository.views_of(product):
        for day in known:
            reached = sorted(raw_days([day], view, start=source.start) & change.fails.keys())
            if reached:
                told = f"raw day {reached[0]} would fail the changed contract: {change.fails[reached[0]]}"
                found[f"features/{view.name} {day}"] = told
    return found


def _reached(stores: Stores, repository: Repository, name: str, raw: set[str]) -> set[str]:
    """Feature days that new or changed raw days reach, of every version that is kept up to date."""
    from platform_assets.features.live_views import kept_views
    from platform_assets.features.reach import raw_days

    view = repository.feature_view(name)
    source = repository.source(view.source)
    known = {*stores.lake.table(vocabulary.raw_table(source.name)).partitions(), *raw} if raw else set()
    versions = [view, *(other for _, other in kept_views(stores, repository, view))]
    return {d for d in known if any(raw & raw_days([d], v, start=source.start) for v in versions)}


def _why(stores: Stores, repository: Repository, name: str, raw: bool) -> str:
    view = repository.feature_view(name)
    made = stores.lake.table(vocabulary.feature_table(view.lake_name)).current().values()
    if not made:
        return f"version {view.version} was never built"
    if any(manifest.code_version != view.code_version for manifest in made):
        return "another declaration of the view, or of the columns it reads"
    return "raw days in reach are new or changed" if raw else "raw days in reach changed"


def _of_product(
    stores: Stores,
    repository: Repository,
    product: Product,
    raw: set[str],
    touched: Mapping[str, set[str]],
    blocked: dict[str, str],
) -> list[Rebuild]:
    """The product's own chain: as observed where nothing before it is open, else as it would follow."""
    observed = {item.asset[-1]: item for item in observe_product(stores, repository, product)}
    training = _training_reads(stores, repository, product, raw, touched)
    nouns: dict[str, tuple[str, bool]] = {}
    if training:
        sets = stores.lake.table(vocabulary.product_table(product.name, "training_set"))
        certain = training != "raw" or not sets.partitions()
        reason = "it reads days that are rebuilt" if certain else "it reads days that are new or changed"
        nouns["training_set"] = (reason, certain)
    elif (item := observed.get("training_set")) is not None:
        if item.days:
            nouns["training_set"] = (item.reason, True)
        blocked |= {f"{product.name}/training_set": why for why in item.blocked.values()}
    if nouns:
        nouns |= dict.fromkeys(AFTER_TRAINING, ("follows the training set", nouns["training_set"][1]))
    online = any(touched.values()) or raw
    for noun in ("hindsight_report", "parity_report", "promotion"):
        if noun not in nouns and noun in observed and observed[noun].days:
            nouns[noun] = (observed[noun].reason, True)
    if online and "parity_report" not in nouns:
        nouns["parity_report"] = ("the online stores are filled again", True)
    found = [Rebuild((product.name, noun), (), why, sure) for noun, (why, sure) in nouns.items()]
    scored = _scored_days(stores, repository, product, raw, touched)
    if item := observed.get("predictions"):
        scored |= set(item.days)
    if scored:
        why = "days without a score, or whose inputs changed since"
        found.append(Rebuild((product.name, "predictions"), tuple(sorted(scored)), why, not nouns))
    drift = observed.get("drift_report")
    if scored or "promotion" in nouns or (drift is not None and drift.days):
        why = "the newest scored days or the champion change"
        found.append(Rebuild((product.name, "drift_report"), (), why, bool(scored)))
    return found


def _training_reads(
    stores: Stores, repository: Repository, product: Product, raw: set[str], touched: Mapping[str, set[str]]
) -> str:
    """`views` or `raw` when the training set reads something that is rebuilt; empty when it does not."""
    from platform_assets.training.split import resolve_split
    from platform_assets.training.training_set import days_read

    known = {*stores.lake.table(vocabulary.raw_table(product.source)).partitions(), *raw}
    if not known:
        return ""
    try:
        split = resolve_split(product.split, max(known))
        read = days_read(repository, product, split)
    except PlatformError:
        return ""
    if any(touched[name] & set(days) for name, days in read.features.items()):
        return "raw" if raw else "views"
    return "raw" if raw & set(read.reaching) else ""


def _scored_days(
    stores: Stores, repository: Repository, product: Product, raw: set[str], touched: Mapping[str, set[str]]
) -> set[str]:
    """Days the champion would score: all that were never scored, and those whose inputs are rebuilt."""
    from platform_assets.features.live_views import live_models

    scored = set(stores.lake.table(vocabulary.product_table(product.name, "predictions")).partitions())
    known = {*stores.lake.table(vocabulary.raw_table(product.source)).partitions(), *raw}
    live = next((model for model in live_models(stores) if model.product == product.name), None)
    again = set(raw)
    for view in live.views if live else ():
        declared = repository.feature_views.get(view.name)
        if declared is not None and declared.version == view.version:
            again |= touched.get(view.name, set())
        elif declared is not None and raw:
            again |= _reached(stores, repository, view.name, raw)
    return (known - scored) | (again & scored)


def _live(stores: Stores, repository: Repository, changed: Iterable[str]) -> list[str]:
    """Live models that read a view which is rebuilt, in words."""
    from platform_assets.features.live_views import live_models

    told = []
    for name in changed:
        declared = repository.feature_view(name)
        for model in live_models(stores):
            for view in model.views:
                if view.name == name:
                    kept = (
                        f"which is kept up to date beside version {declared.version}"
                        if view.version != declared.version
                        else "whose days are rebuilt"
                    )
                    told.append(
                        f"{model.product} version {model.version} reads {name} version {view.version}, {kept}"
                    )
    return told
