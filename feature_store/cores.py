"""How many threads or processes are worth starting."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores that this process may run on: those of its affinity mask where the system has one.

    `os.cpu_count` counts those of the machine, also where a container or a scheduler gives fewer:
    threads of trees wait for each other in turns of the processor, and more of them than cores take
    several times as long.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
