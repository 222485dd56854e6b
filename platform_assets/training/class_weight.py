"""Row weights from a declared class weight: the same way for every library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from platform_assets.declaration.estimator import Estimator
from platform_assets.errors import DeclarationError

if TYPE_CHECKING:
    import numpy as np

OWN_WEIGHTS = ("class_weight", "scale_pos_weight", "is_unbalance", "unbalance", "unbalanced_sets")


def row_weights(class_weight: Literal["balanced"] | Mapping[int, float], target: np.ndarray) -> np.ndarray:
    """The weight of each row; `balanced` is n / (2 x rows of its class), as scikit-learn defines it."""
    import numpy as np

    if class_weight == "balanced":
        counts = np.bincount(target, minlength=2)
        weights = len(target) / (2.0 * np.maximum(counts, 1))
    else:
        weights = np.array([class_weight[0], class_weight[1]], dtype=np.float64)
    return np.asarray(weights[target], dtype=np.float64)


def check_weights(declared: Estimator, estimator: Any, *, unsupervised: bool) -> None:
    """Raise DeclarationError where a declared class weight cannot work or would count twice."""
    from sklearn.utils.validation import has_fit_parameter

    if declared.class_weight is None:
        return
    if unsupervised:
        raise DeclarationError(
            f"estimator {declared.path!r}: is fitted without labels, so it takes no class_weight"
        )
    own = [name for name in OWN_WEIGHTS if declared.parameters.get(name) not in (None, False)]
    if own:
        raise DeclarationError(
            f"estimator {declared.path!r}: class_weight and the parameter {own[0]} would both weigh the "
            f"classes; keep one"
        )
    if not has_fit_parameter(estimator, "sample_weight"):
        raise DeclarationError(
            f"estimator {declared.path!r}: fit takes no sample_weight, so class_weight cannot be applied; "
            f"take it out, or declare an estimator that weighs rows"
        )
