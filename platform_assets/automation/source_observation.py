"""What of a source is stale, blocked or missing, read from manifests, evidence and ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from platform_assets import vocabulary
from platform_assets.automation.plan import Work
from platform_assets.declaration.declared import fingerprint_of
from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.declaration.source import Source
from platform_assets.errors import PlatformError
from platform_assets.evidence.evidence import Verdict
from platform_assets.lake.manifest import Manifest
from platform_assets.stores import Stores

SOURCE_STAGES = ("raw", "features", "online")


@dataclass(frozen=True)
class SourceObservation:
    """A source's open work, its untrusted days, and its newest raw day."""

    work: tuple[Work, ...]
    untrusted: Mapping[str, str]
    newest_day: str | None

    @property
    def waits(self) -> bool:
        """Whether something of the source is still to be built."""
        return any(item.days for item in self.work)


def observe_source(
    stores: Stores, repository: Repository, source: Source, variables: Mapping[str, str]
) -> SourceObservation:
    """Compare what the source offers with what the lake holds.

    Raises SourceError when the source cannot be listed: a broken observation fails loudly. Raises
    DeclarationError when a view that a live model reads was changed under the same version.
    """
    from platform_assets.features.live_views import check_live_views
    from platform_assets.raw.contract_in_force import contract_standing
    from platform_assets.raw.ingest import raw_code_version
    from platform_assets.raw.judgement import KIND, contract_versions
    from platform_assets.raw.source_reader import open_source
    from platform_assets.raw.trust import untrusted_days

    views = [view for view in repository.feature_views.values() if view.source == source.name]
    check_live_views(stores, repository, [view.name for view in views])
    suite_path = repository.contract_path(source)
    reader = open_source(source, repository.folders[source.name], variables)
    tokens = reader.days()
    name = vocabulary.raw_table(source.name)
    current = stores.lake.table(name).current()
    contracts = contract_standing(stores, source, suite_path)
    to_settle = contracts.pending and not contracts.refused
    code = raw_code_version(source)

    stale: dict[str, str] = {}
    reasons: set[str] = set()
    for day, token in tokens.items():
        manifest = current.get(day)
        built = manifest is not None and manifest.is_made_from(code, {"source": {day: token}})
        if built and manifest is not None and not to_settle:
            evidence = stores.evidence.latest(KIND, name, day)
            versions = contract_versions(manifest.digest, contracts.in_force.version)
            if evidence is not None and evidence.holds_for(versions):
                continue
        reasons.add("days to be judged by the declared contract" if built else "new or changed days")
        stale[day] = f"{token}:{manifest.sequence if manifest else 0}:{code}:{contracts.mark}"
    waits = {"": contracts.refused} if contracts.refused else {}
    work = [Work("raw", ("raw", source.name), stale, waits, reason="; ".join(sorted(reasons, reverse=True)))]

    newest = max(current, default=None)
    known = sorted({*current, *(day for day in tokens if newest is None or day <= newest)})
    untrusted = untrusted_days(stores, source, suite_path, known)
    for view in views:
        work += _observe_view(stores, view.name, repository, current, untrusted)
    return SourceObservation(tuple(work), untrusted, newest)


def _observe_view(
    stores: Stores,
    view_name: str,
    repository: Repository,
    raw: Mapping[str, Manifest],
    untrusted: Mapping[str, str],
) -> list[Work]:
    """A view's open days and online state, of the declared version and of those live models read."""
    from platform_assets.features.live_views import kept_views

    declared = repository.feature_view(view_name)
    versions = [(repository, declared), *kept_views(stores, repository, declared)]
    stale: dict[str, str] = {}
    blocked: dict[str, str] = {}
    marks: list[str] = []
    reasons: list[str] = []
    for its_repository, view in versions:
        its_source = its_repository.source(view.source)
        open_days, its_blocked = _stale_days(stores, its_source, view, raw, untrusted)
        for day, mark in open_days.items():
            stale[day] = fingerprint_of([stale[day], mark]) if day in stale else mark
        blocked |= its_blocked
        if view.online and raw:
            mark, reason = _stale_state(stores, its_repository, view, untrusted)
            marks += [mark] if mark else []
            reasons += [reason] if reason else []
    stale = {day: mark for day, mark in stale.items() if day not in blocked}
    features = ("features", view_name)
    work = [Work("features", features, stale, blocked, reason="raw days in reach changed" if stale else "")]
    online = ("features", f"online_{view_name}")
    parity = ("features", f"parity_{view_name}")
    if reasons:
        work.append(Work("online", online, {}, {"": reasons[0]}))
    elif marks:
        mark = marks[0] if len(marks) == 1 else fingerprint_of(marks)
        work.append(Work("online", online, {"": mark}, reason="newer raw days"))
        work.append(Work("online", parity, {"": mark}, reason="measured after each fill"))
    elif mark := _unmeasured(stores, [view for _, view in versions if view.online and raw]):
        reason = "parity not measured on the present online store"
        work.append(Work("online", parity, {"": mark}, reason=reason))
    return work


def _unmeasured(stores: Stores, views: Sequence[FeatureView]) -> str:
    """Mark of the online states whose parity is not known as they are now; empty when all are.

    UNKNOWN is open: a store that was down is measured again when somebody looks again.
    """
    from platform_assets.parity.view_parity import newest_view_parity, view_limits, view_parity_versions

    newest = [newest_view_parity(stores, view) for view in views]
    open_views = [
        view
        for view, found in zip(views, newest, strict=True)
        if found is None or found.verdict is Verdict.UNKNOWN
    ]
    if not open_views:
        return ""
    return fingerprint_of([[view_parity_versions(stores, v), view_limits(v)] for v in open_views])


def _stale_days(
    stores: Stores,
    source: Source,
    view: FeatureView,
    raw: Mapping[str, Manifest],
    untrusted: Mapping[str, str],
) -> tuple[dict[str, str], dict[str, str]]:
    """Days of one version of a view to build, with marks, and blocked days with the reason."""
    from platform_assets.features.reach import raw_days

    raw_name = vocabulary.raw_table(source.name)
    built = stores.lake.table(vocabulary.feature_table(view.lake_name)).current()
    stale: dict[str, str] = {}
    blocked: dict[str, str] = {}
    for day in sorted(raw):
        reaching = sorted(raw_days([day], view, start=source.start))
        bad = [d for d in reaching if d in untrusted or d not in raw]
        if bad:
            blocked[day] = f"raw day {bad[0]}: {untrusted.get(bad[0], 'missing')}"
            continue
        inputs = {raw_name: {d: raw[d].digest for d in reaching}}
        manifest = built.get(day)
        if manifest is None or not manifest.is_made_from(view.code_version, inputs):
            stale[day] = fingerprint_of([view.code_version, inputs, manifest.sequence if manifest else 0])
    return stale, blocked


def _stale_state(
    stores: Stores, repository: Repository, view: FeatureView, untrusted: Mapping[str, str]
) -> tuple[str, str]:
    """Mark of one version's stale online state, or the reason why it cannot be filled; or neither."""
    from platform_assets.online.online_events import lost_state
    from platform_assets.online.online_store import online_inputs

    manifest = stores.lake.table(vocabulary.online_table(view.lake_name)).manifest("current")
    try:
        inputs = dict(online_inputs(stores, repository, view))
    except PlatformError as error:
        return "", str(error)
    red = sorted(set(inputs[vocabulary.raw_table(view.source)]) & set(untrusted))
    if red:
        return "", f"raw day {red[0]}: {untrusted[red[0]]}"
    current = manifest is not None and manifest.is_made_from(view.code_version, inputs)
    lost = [lost_state(stores, repository, view)] if current else []
    if current and not any(lost):
        return "", ""
    made_from = {k: dict(v) for k, v in inputs.items()}
    return fingerprint_of([view.code_version, made_from, manifest.sequence if manifest else 0, *lost]), ""
