"""A real table without network: the embedded twin of the loan table.

scikit-learn bundles 569 tumours, 30 measurements of each and whether it was malignant.
All columns are numbers. So that a text column can be tried out too, `size` is added:
`mean radius` in four classes with the fixed limits below, near its quartiles. It holds
nothing that the other columns don't, and is fitted to nothing.

Source: Street, Wolberg and Mangasarian, 1993, doi:10.1117/12.148698.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = ("small", "medium", "large", "very large")
SIZE_LIMITS = (11.7, 13.4, 15.8)  # Of `mean radius`, in the unit of the images.


def breast_cancer() -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Return the columns by name, float64 [569] or texts, objects [569], and the targets.

    A target is 1 for malignant, int64 [569]; scikit-learn has it the other way round.
    """
    from sklearn.datasets import load_breast_cancer

    bundled = load_breast_cancer()
    columns: dict[str, NDArray[Any]] = {
        str(name): np.array(values, np.float64)
        for name, values in zip(bundled.feature_names, bundled.data.T, strict=True)
    }
    classes = np.searchsorted(SIZE_LIMITS, columns["mean radius"], side="right")
    columns = {"size": np.array(SIZES, object)[classes], **columns}
    return columns, 1 - bundled.target.astype(np.int64)
