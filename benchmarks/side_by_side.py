"""Several pieces of work at a time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")


def in_order(work: Callable[[Job], Done], jobs: Sequence[Job], processes: int) -> Iterator[Done]:
    """What becomes of each job, in the order of the jobs, whoever does it."""
    if processes == 1:
        yield from map(work, jobs)
        return
    # Fresh processes: a fork would take over the threads' locks of whatever ran here before.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(work, jobs)


def largest_of_others_mib() -> float:
    """Largest resident size of any process that has worked for this one; 0 where none has."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
