"""The service while its Redis is killed, hung, slow or emptied, and while its workers are killed.

Run ``python -m benchmarks.faults`` (``--quick`` for a short look); docs/faults.md says what is
measured. The tables go to standard error; with ``--json`` the last line of standard output is one
object. Exit code 1 where a target is missed. The model is a small one, so that the load is that of
the service and not of the model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from benchmarks.faults_parts.figures import Answers, Fault, Kept, answers, kept, last_of
from benchmarks.faults_parts.shop import ASK, EXPERIMENT, Shop, open_shop, questions
from benchmarks.open_loop import Loader, Outcome
from feature_store.console import Console
from tests.redis_server import BINARY

OPENED, CLOSED = "redis is not asked any more", "redis is asked again"
NOTICED = "events wait in the log"
IN_STEP = "the online store is in step"
SLOW_SECONDS = 2.0
KILL_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how hard.

    Parameters
    ----------
    seconds
        Of each fault, and of the normal service before it.
    heal_seconds
        Of load after a fault.
    kill_seconds
        In which a worker is killed every `KILL_EVERY_SECONDS`.
    per_second
        Questions and events; None: half of what the service can do.
    history
        Events in the log before anything is measured: what an emptied server has to learn again.
    faults
        Which, out of `KINDS` and ``workers``.
    """

    seconds: float = 30.0
    heal_seconds: float = 5.0
    kill_seconds: float = 60.0
    per_second: float | None = None
    workers: int = 2
    history: int = 20_000
    faults: tuple[str, ...] = ("killed", "hung", "emptied", "slow", "workers")


QUICK = Plan(seconds=6.0, kill_seconds=10.0, history=2_000)


@dataclass(slots=True)
class Result:
    """Everything that was seen."""

    capacity: float = 0.0
    per_second: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    killed_workers: int = 0
    normal: Answers | None = None
    under_kills: Answers | None = None
    kept: dict[str, Kept] = field(default_factory=dict)

    def failures(self) -> list[str]:
        """Targets that were missed."""
        missed = [each for fault in self.faults for each in fault.failures()]
        if self.under_kills is not None:
            lost = self.under_kills.valid - self.under_kills.good - self.under_kills.retried
            missed += [f"workers: {lost} requests without an answer at the second try"] * bool(lost)
        return missed + [
            f"{name}: {each}" for name, one in self.kept.items() for each in one.failures()
        ]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {
            "faults": [fault.as_dict() for fault in self.faults],
            "kept": {name: each.as_dict() for name, each in self.kept.items()},
            "missed": self.failures(),
        }


@dataclass(slots=True)
class Trial:
    """One shop under load."""

    shop: Shop
    plan: Plan
    loader: Loader
    per_second: float

    async def stretch(self, seconds: float) -> list[Outcome]:
        """The outcomes of so much load."""
        first = len(self.loader.outcomes)
        await self.loader.run(self.per_second, seconds)
        return self.loader.outcomes[first:]

    async def fault(
        self, name: str, begin: Callable[[], object], end: Callable[[], object]
    ) -> Fault:
        """A stretch with a fault, which ends before the load does, between two without."""
        normal = await self.stretch(self.plan.seconds / 2)
        load = asyncio.create_task(self.stretch(self.plan.seconds + self.plan.heal_seconds))
        await asyncio.sleep(0)
        began = time.time()
        await asyncio.to_thread(begin)
        await asyncio.sleep(self.plan.seconds)
        ended = time.time()
        await asyncio.to_thread(end)
        during = answers(await load, ASK)
        shop, workers = self.shop, self.shop.workers
        opened = last_of(shop.moments(OPENED, began), workers, began)
        await asyncio.to_thread(shop.wait_until_steady)
        if name == "emptied":  # nothing fails, so nothing opens: it is noticed, and filled again
            opened = last_of(shop.moments(NOTICED, began), workers, began)
            healed = last_of(shop.moments(IN_STEP, began), workers, began)
        else:
            healed = last_of(shop.moments(CLOSED, ended), workers, ended)
        opened = float("inf") if opened is None else opened
        normal += await self.stretch(self.plan.seconds / 2)
        return Fault(name, self.plan.seconds, answers(normal, ASK), during, opened, healed)

    async def kills(self) -> tuple[int, list[Outcome]]:
        """A worker dies every now and then; how many did, and what callers met."""
        load = asyncio.create_task(self.stretch(self.plan.kill_seconds))
        until, killed = time.monotonic() + self.plan.kill_seconds - KILL_EVERY_SECONDS / 2, 0
        while time.monotonic() < until:
            await asyncio.sleep(KILL_EVERY_SECONDS)
            # The oldest, and only while the others have had time to start: somebody must serve.
            oldest, *others = sorted(self.shop.ages().items(), key=lambda each: -each[1])
            if len(others) == self.shop.workers - 1 and min(age for _, age in others) >= 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(oldest[0], signal.SIGKILL)
                    killed += 1
        return killed, await load


def ends_of(shop: Shop, name: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """How a fault begins and ends."""
    redis = shop.redis
    return {
        "killed": (redis.kill, redis.start),
        "hung": (redis.hang, redis.resume),
        "emptied": (redis.flush, lambda: None),
        "slow": (lambda: shop.delay(SLOW_SECONDS), lambda: shop.delay(0)),
    }[name]


async def measured(plan: Plan, scratch: Path, console: Console) -> Result:
    """Every fault of the plan, each in a shop that suits it."""
    result = Result()
    direct = [name for name in plan.faults if name in ("killed", "hung", "emptied", "workers")]
    for folder, names in (("direct", direct), ("proxied", [n for n in plan.faults if n == "slow"])):
        if not names:
            continue
        is_proxied = folder == "proxied"
        with open_shop(scratch / folder, plan.workers, plan.history, has_proxy=is_proxied) as shop:
            trial = await _begun(shop, plan, folder, result)
            for name in names:
                await _tried(trial, name, result, console)
            await trial.loader.close()
            result.kept[folder] = kept(shop.root, trial.loader.outcomes, EXPERIMENT)
    return result


async def _begun(shop: Shop, plan: Plan, run: str, result: Result) -> Trial:
    loader = Loader(shop.service.url, questions(run))
    if plan.per_second is not None:
        result.per_second = plan.per_second
    elif not result.per_second:
        await loader.flat_out(8, 1.0)
        result.capacity = round(await loader.flat_out(8, 2.0), 1)
        result.per_second = round(result.capacity / 2, 1)
    trial = Trial(shop, plan, loader, result.per_second)
    await trial.stretch(1.0)
    return trial


async def _tried(trial: Trial, name: str, result: Result, console: Console) -> None:
    if name == "workers":
        result.normal = answers(await trial.stretch(trial.plan.seconds), ASK)
        result.killed_workers, outcomes = await trial.kills()
        result.under_kills = answers(outcomes, ASK)
        return
    fault = await trial.fault(name, *ends_of(trial.shop, name))
    result.faults.append(fault)
    console.say(f"{name}: availability {fault.during.availability:.5f}, p99 {fault.gap_ms:+.1f} ms")


def show(result: Result, console: Console) -> None:
    """Tables for people."""
    possible = f", of {result.capacity:g} that are possible" if result.capacity else ""
    console.say(f"{result.per_second:g} requests per second{possible}")
    rows = [
        {
            "redis is": each.name,
            "requests": each.during.valid,
            "available": f"{each.during.availability:.5f}",
            "p99 ms": each.during.p99_ms,
            "normally": each.normal.p99_ms,
            "events p99 ms": each.during.events_p99_ms,
            "noticed after s": each.opened_seconds,
            "recovered after s": each.recovered_seconds,
        }
        for each in result.faults
    ]
    console.table("faults of Redis", rows)
    if result.under_kills is not None and result.normal is not None:
        under = result.under_kills
        lost = under.valid - under.good - under.retried
        row = {"workers killed": result.killed_workers, "requests": under.valid}
        row |= {"answered at once": under.good, "at the second try": under.retried, "never": lost}
        row |= {"p99 ms": under.p99_ms, "normally": result.normal.p99_ms}  # type: ignore[dict-item]
        console.table("a worker killed every two seconds", [row])
    rows = [
        {
            "shop": name,
            "events told": each.events,
            "lost": each.events_lost,
            "answers by arm": each.decisions,
            "without record": each.decisions_lost,
            "p": round(each.p_equal, 4),
            "degraded": each.degraded,
        }
        for name, each in result.kept.items()
    ]
    console.table("what the log has of what callers were told", rows)
    for each in result.failures():
        console.say(f"missed: {each}")


def arguments_of() -> Plan:
    """The plan that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="6 s for each fault instead of 30")
    parser.add_argument("--per-second", type=float, help="requests; default: half of what it can")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--faults", help="some of: killed,hung,emptied,slow,workers")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    plan = QUICK if given.quick else Plan()
    names = tuple(given.faults.split(",")) if given.faults else plan.faults
    if unknown := set(names) - set(Plan().faults):
        parser.error(f"no fault is named {sorted(unknown)}; accepted: {', '.join(Plan().faults)}")
    return replace(plan, per_second=given.per_second, workers=given.workers, faults=names)


def main() -> None:
    if BINARY is None:
        sys.exit("refused: no redis-server on PATH; install it, `apt-get install redis-server`")
    plan, as_json = arguments_of(), "--json" in sys.argv
    console = Console(as_json=as_json)
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as scratch:
        result = asyncio.run(measured(plan, Path(scratch), console))
    show(result, console)
    if as_json:
        print(json.dumps(result.as_dict()))
    sys.exit(1 if result.failures() else 0)


if __name__ == "__main__":
    main()
