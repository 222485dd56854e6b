"""Parameters that a library takes through `**kwargs`: a misspelt one would be passed on and forgotten."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from platform_assets.errors import DeclarationError, UnknownName


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


def check_parameters(
    path: str,
    parameters: Mapping[str, Any],
    known: Iterable[str],
    *,
    takes_any: bool,
    inside: tuple[str, ...] = ("parameters",),
) -> None:
    """Raise UnknownName, with the nearest one, for a parameter that would have no effect.

    `inside` is where in the estimator's declaration the parameters stand.
    """
    own = list(known)
    taken = set(own)
    if takes_any and path.split(".")[0] == "xgboost":
        further = {name: value for name, value in parameters.items() if name not in taken}
        taken |= xgboost_takes(path, further, parameters) if further else set()
    elif takes_any:
        names = further_parameters(path)
        if names is None:
            return  # the library alone knows, and says so when it is fitted
        taken |= names
    for name in parameters:
        if name not in taken:
            # of a parameter and its aliases the one in the signature is the better advice
            near = difflib.get_close_matches(name, own, n=1)
            raise UnknownName.among(f"parameter of {path} called", name, near or taken).at(
                "estimator", *inside, name
            )


def xgboost_takes(path: str, further: Mapping[str, Any], parameters: Mapping[str, Any]) -> set[str]:
    """Native names XGBoost knows: it is asked by a training of two rows, which warns of those it ignores.

    Raises DeclarationError when it refuses a value.
    """
    import json
    import warnings

    import numpy as np
    import xgboost

    shaping = {n: parameters[n] for n in ("booster", "tree_method") if parameters.get(n) is not None}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            booster = xgboost.train(
                {**shaping, **further, "validate_parameters": True},
                xgboost.DMatrix(np.zeros((2, 1)), label=[0, 1]),
                num_boost_round=1,
            )
        except (xgboost.core.XGBoostError, TypeError, ValueError) as error:
            reason = str(error).strip().split("\n")[0]
            raise DeclarationError(f"estimator {path!r}: XGBoost refuses a parameter: {reason}") from None
    text = " ".join(str(warning.message) for warning in told)
    groups = re.findall(r"Parameters: \{(.*?)\} are not used", text)
    ignored = {name for group in groups for name in re.findall(r'"([^"]+)"', group)}
    return ({*_names_in(json.loads(booster.save_config()))} | {*further}) - ignored


def _names_in(config: Any) -> Iterable[str]:
    if isinstance(config, dict):
        for name, value in config.items():
            if not isinstance(value, dict | list):
                yield name
            yield from _names_in(value)
