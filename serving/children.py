"""Forking and waiting for what a process with children is told, one thing at a time.

The signals that a parent waits for are blocked from its beginning and taken one by one, so that
none comes between two steps of its work, and no handler runs in the middle of one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator

from serving.worker import FAILED, RETIRE_SIGNAL, STOP_SIGNALS

logger = logging.getLogger(__name__)
AWAITED = frozenset({*STOP_SIGNALS, RETIRE_SIGNAL, signal.SIGCHLD})


def hold_signals() -> None:
    """From now on they wait to be taken, in this process and in those it forks."""
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)


def next_signal(seconds: float) -> int | None:
    """The next signal that comes within so many seconds, if one does."""
    taken = signal.sigtimedwait(AWAITED, max(0.0, seconds))
    return taken.si_signo if taken else None


def forked(work: Callable[[], int]) -> int:
    """Do this in a process of its own, which ends with the code that it returns; gives its pid."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = FAILED
    try:
        code = work()
    except Exception:
        logger.exception("a process of the service failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended() -> Iterator[tuple[int, int]]:
    """The children that have ended since: pid, and exit code (negative: by that signal)."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def tell(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
