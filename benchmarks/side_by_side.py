"""Several pieces of work at a time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.queues import SimpleQueue
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
    numbers = context.SimpleQueue()
    for number in range(processes):
        numbers.put(number)
    start = (numbers, processes)
    with ProcessPoolExecutor(processes, context, initializer=_settle, initargs=start) as pool:
        yield from pool.map(work, jobs)


def _settle(numbers: SimpleQueue[int], processes: int) -> None:
    """Keep to one's share of the cores, as far as there are so many.

    Libraries start a thread for each core, and those of several processes would wait for each
    other: growing trees took more than twice as long beside another process that did.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        share = cores[numbers.get() :: processes]
        os.sched_setaffinity(0, share or cores)


def largest_of_others_mib() -> float:
    """Largest resident size of any process that has worked for this one; 0 where none has."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
