"""Arrays that kernels work in, kept per thread so that no request allocates or clears them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

_KEPT = threading.local()


def scratch(name: str, size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Array (size,) of this thread that was zero when it was first handed out.

    Whoever takes it leaves it as it was found. Another size (another model) is a new array.
    """
    kept: dict[str, npt.NDArray[Any]] = _KEPT.__dict__
    array = kept.get(name)
    if array is None or len(array) != size or array.dtype != dtype:
        array = kept[name] = np.zeros(size, dtype)
    return array
