"""Judging the lab: is everything as it must be, and how long was the service away?"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fastha.cli.lab.example import Condition, Example
from fastha.cli.lab.lab import POLL, Lab, View
from fastha.model.snapshot import Snapshot, VirtualServerSnapshot
from fastha.model.units import Ns, S, seconds_text
from fastha.vrrp.timers import skew_time

START: Final = 40 * S
"""What starting a daemon may take on a busy machine, the first takeover apart."""
QUIET: Final = 1.0
"""Seconds that everything must stay in order and no request fail before an act counts as done."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How long an act may be felt."""

    gap: Ns
    """Between two answered requests."""
    settle: Ns
    """Until everything is as it must be."""


@dataclass(slots=True)
class Outcome:
    """What one act did."""

    act: str
    told: str
    allowed: Allowance
    settled: Ns | None = None
    """None: not in time."""
    gap: Ns = 0
    failed: int = 0
    problems: list[str] = field(default_factory=list)


def allowance(example: Example, act: str, margin: Ns) -> Allowance:
    """By the protocol's arithmetic and the checkers' words in the configuration, and `margin` for the machine."""
    takeover, judgement = example.takeover(), example.judgement()
    skew = max((skew_time(i.version, 1, i.adver_int) for i in example.instances), default=0)
    advert = max((i.adver_int for i in example.instances), default=0)
    match act:
        case "failover":
            return Allowance(takeover + margin, takeover + judgement + margin)
        case "handover":
            return Allowance(skew + margin, skew + judgement + margin + START)
        case "server-down":
            return Allowance(margin, judgement + margin)
        case "maintenance":
            return Allowance(margin, advert + takeover + margin)
        case "path-down":
            lost = judgement + advert + takeover
            return Allowance(lost + margin, lost + margin)
        case _:  # heal, crash, kill-NAME: nothing should be felt, but starting takes its time
            return Allowance(margin, START + takeover + judgement + example.preempt_delay())


def wrong(example: Example, condition: Condition, view: View) -> Iterator[str]:
    """Each thing that is not as it must be, in words: what the kernels have and what the daemons say."""
    for instance, master in example.masters(condition).items():
        for director, held in view.addresses.items():
            for address in example.plan_of(director, instance).addresses:
                if (address.address in held) != (director == master):
                    yield f"{director} {'has' if address.address in held else 'lacks'} {address.address} ({instance})"
    for director, snapshot in view.snapshots.items():
        if snapshot is None:
            yield f"{director} does not answer"
        else:
            yield from wrong_in(example, condition, director, snapshot)


def wrong_in(example: Example, condition: Condition, director: str, snapshot: Snapshot) -> Iterator[str]:
    """The same for what one daemon says."""
    if snapshot.vrrp is None:
        yield f"{director} says nothing of its instances"
    else:
        states = {instance.name: instance.state for instance in snapshot.vrrp.instances}
        for name, master in example.masters(condition).items():
            if (states.get(name) == "MASTER") != (director == master):
                yield f"{director} says {name} is {states.get(name, 'unknown')}"
    if not example.services:
        return
    if snapshot.checker is None:
        yield f"{director} says nothing of its pools"
        return
    services = {service.name: service for service in snapshot.checker.virtual_servers}
    for service in example.services:
        if service.name not in services:
            yield f"{director} does not know {service.name}"
            continue
        expected, found = example.pool(service, condition), pool(services[service.name])
        for address in sorted(expected ^ found):
            yield f"{director} {'has' if address in found else 'lacks'} {address} in {service.name}"


def pool(service: VirtualServerSnapshot) -> set[str]:
    """The servers that the kernel sends connections to."""
    return {str(rs.address) for rs in service.real_servers if rs.programmed and rs.kernel_weight}


async def settle(lab: Lab, limit: Ns) -> tuple[Ns | None, list[str]]:
    """Wait until everything is as it must be; (how long that took, what is still wrong at the limit)."""
    begin = time.monotonic_ns()
    while True:
        problems = list(wrong(lab.example, lab.condition, await lab.look()))
        passed = time.monotonic_ns() - begin
        if not problems:
            return passed, []
        if passed > limit:
            return None, problems
        await asyncio.sleep(POLL)


async def judge(lab: Lab, act: str, margin: Ns) -> Outcome:
    """Do one act, wait for order, watch a quiet second, and say what was not as it must be. Raises ActError."""
    allowed = allowance(lab.example, act, margin)
    await lab.act(act)
    outcome = Outcome(act, lab.told[-1], allowed)
    outcome.settled, outcome.problems = await settle(lab, allowed.settle)
    windows = {target: lab.traffic.marked.get(target.label) for target in lab.example.targets()}
    # requests that were started before order was restored may still fail
    failed_before = dict.fromkeys(windows, 0)
    await asyncio.sleep(QUIET)
    for target, window in windows.items():
        if window is not None:
            failed_before[target] = window.failed.total()
    await asyncio.sleep(QUIET)
    now = time.monotonic_ns()
    for target, window in windows.items():
        if window is None or not window.answered:
            outcome.problems.append(f"nobody answered for {target.label}")
            continue
        late = window.failed.total() - failed_before[target]
        if late:
            outcome.problems.append(f"{late} requests to {target.label} still fail: {', '.join(window.failed)}")
        outcome.gap = max(outcome.gap, window.gap(now))
        outcome.failed += window.failed.total()
    if outcome.gap > allowed.gap:
        outcome.problems.append(f"a gap of {seconds_text(outcome.gap)}, allowed are {seconds_text(allowed.gap)}")
    outcome.problems.extend(wrong(lab.example, lab.condition, await lab.look()))
    return outcome
