"""The one form in which arrays of a model are given to kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def read_only(array: npt.NDArray[Any]) -> Any:
    """Contiguous view that cannot be written to.

    A bundle's arrays are loaded so, those of a fit are not: one of the two ways for both, or each
    kernel is compiled twice, the second time while a service waits for its first answer.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
