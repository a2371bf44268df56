"""The one place where a function becomes machine code (numba), and the options all kernels share.

Import this module, and modules that import it, only where there is a bundle: numba costs a third of
a second and 55 MiB, and it looks for scipy when it is imported, so that a service without a model
must never come here.

- ``nogil``: kernels run beside the event loop, in threads.
- ``fastmath`` is off: NaN means *missing* here, and sums keep their order, so that the same input
  gives the same bytes everywhere; `summing_kernel` gives up the last bit of that.
- ``cache``: machine code is kept on disk, in ``__pycache__`` beside the source or, where that is
  read-only, in numba's folder for the user; ``NUMBA_CACHE_DIR`` names another one. Where none of
  them can be written the kernel is compiled in each process and works the same; all that an answer
  may need take half a minute. ``desirepath compile`` makes them ahead.

An argument of another dtype, order or writability is another compilation: callers normalise first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Decorator: compile a function for its argument types at its first call."""
    return _compiled(function, set())


def summing_kernel(function: Function) -> Function:
    """The same where sums may be taken in the order that is quickest on this processor.

    Another processor may round the last bit another way; NaN stays what it is.
    """
    return _compiled(function, {"reassoc", "contract"})


def _compiled(function: Function, fastmath: set[str]) -> Function:
    try:
        return cast(Function, njit(nogil=True, fastmath=fastmath or False, cache=True)(function))
    except RuntimeError:  # no folder for the cache can be written
        return cast(Function, njit(nogil=True, fastmath=fastmath or False)(function))


def _trailing_zeros(_typing: object, _word: object) -> tuple[object, Callable[..., object]]:
    def generate(context: Any, builder: Any, _signature: object, args: Any) -> object:
        return builder.cttz(args[0], context.get_constant(types.boolean, 0))

    return types.uint32(types.uint32), generate


# Zero bits below the lowest one of a uint32, 32 for 0; only to be called by kernels. LLVM's `cttz`
# is one instruction for a whole vector of words, which no expression in Python is.
trailing_zeros: Callable[[np.uint32], np.uint32] = intrinsic(_trailing_zeros)


@kernel
def aligned(rows: int, columns: int, dtype: Any) -> Any:
    """Uninitialised array (rows, columns) of a 4-byte dtype that begins on a cache line.

    Vectors of 64 bytes that straddle two lines cost a third of the whole evaluation.
    """
    raw = np.empty(rows * columns + 16, dtype)
    begin = (64 - raw.ctypes.data % 64) % 64 // 4
    return raw[begin : begin + rows * columns].reshape(rows, columns)


def kept_in() -> Path | None:
    """Folder of the machine code of this module's kernels; None where none can be written."""
    path = cast(Any, aligned).stats.cache_path
    return Path(path) if path else None
