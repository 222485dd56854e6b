"""Parameters that a library takes through `**kwargs`: a misspelt one would be passed on and forgotten."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from platform_assets.errors import UnknownName


def further_parameters(path: str) -> frozenset[str] | None:
    """What an estimator's library takes beyond its signature; None when the library does not tell.

    LightGBM accepts any keyword and only warns, on a log that it is told to keep quiet, of those it does
    not know; the names it does know, aliases included, come from its own compiled table.
    """
    if path.split(".")[0] != "lightgbm":
        return None
    from lightgbm.basic import _ConfigAliases

    try:
        table: dict[str, Iterable[str]] = _ConfigAliases._get_all_param_aliases()
    except AttributeError:  # a version of LightGBM that keeps its table elsewhere
        return None
    return frozenset(table).union(*table.values())


def check_parameters(path: str, names: Iterable[str], known: Iterable[str], *, takes_any: bool) -> None:
    """Raise UnknownName, with the nearest one, for a parameter that would have no effect."""
    own = list(known)
    taken = set(own)
    if takes_any:
        further = further_parameters(path)
        if further is None:
            return  # the library alone knows, and says so when it is fitted
        taken |= further
    for name in names:
        if name not in taken:
            # of a parameter and its aliases the one in the signature is the better advice
            near = difflib.get_close_matches(name, own, n=1)
            raise UnknownName.among(f"parameter of {path} called", name, near or taken).at(
                "estimator", "parameters", name
            )
