"""The lab's loop: start it, do what the script or the keys say, show it, report."""

import asyncio
import contextlib
import os
import sys
import termios
import time
import tty
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.live import Live

from fastha.cli.lab import view
from fastha.cli.lab.check import START, Allowance, Outcome, judge, settle
from fastha.cli.lab.lab import ActError, Lab
from fastha.model.units import Ns

REFRESH: Final = 0.25
LINE: Final = 2.0
"""Seconds between two plain lines when nothing changes."""
QUIET_BEFORE: Final = 0.5
"""Seconds of ordinary traffic before each act of a script."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How to run."""

    script: tuple[str, ...]
    check: bool
    seconds: float | None
    """How long to go on after the script; None: until told to stop."""
    margin: Ns


@contextlib.contextmanager
def keyboard() -> Iterator[asyncio.Queue[str]]:
    """Single keys as they are pressed; nothing at all when there is no terminal."""
    keys: asyncio.Queue[str] = asyncio.Queue()
    if not sys.stdin.isatty():
        yield keys
        return
    loop, before = asyncio.get_running_loop(), termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)

    def pressed() -> None:
        for key in os.read(sys.stdin.fileno(), 64).decode(errors="ignore"):
            keys.put_nowait(key)

    loop.add_reader(sys.stdin, pressed)
    try:
        yield keys
    finally:
        loop.remove_reader(sys.stdin)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextlib.asynccontextmanager
async def display(lab: Lab, console: Console) -> AsyncIterator[None]:
    """Show the lab for as long as the block lasts."""
    task = asyncio.create_task(live(lab, console) if console.is_terminal else plain(lab, console))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def say(console: Console, text: str) -> None:
    """A line as it is: no wrapping, no colours of rich's own choice."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


async def live(lab: Lab, console: Console) -> None:
    with Live(console=console, auto_refresh=False, screen=False) as screen:
        while True:
            screen.update(view.Screen(lab, await lab.look()), refresh=True)
            await asyncio.sleep(REFRESH)


async def plain(lab: Lab, console: Console) -> None:
    begin = time.monotonic()
    before: list[str] = []
    told, line_at = 0, 0.0
    while True:
        now = time.monotonic() - begin
        for text in lab.told[told:]:
            say(console, f"{now:6.1f} == {text}")
        told = len(lab.told)
        state = list(view.lines(lab, await lab.look()))
        for text in state:
            if text not in before:
                say(console, f"{now:6.1f} {text}")
        before = state
        if now >= line_at:
            say(console, f"{now:6.1f} {view.traffic_line(lab)}")
            line_at = now + LINE
        await asyncio.sleep(REFRESH)


async def run(lab: Lab, wish: Wish, console: Console) -> int:
    """The whole life of the lab; the exit code of the command."""
    await lab.start()
    outcomes: list[Outcome] = []
    with keyboard() as keys:
        async with display(lab, console):
            allowed = START + lab.example.takeover() + lab.example.judgement() + lab.example.preempt_delay()
            _, problems = await settle(lab, allowed)
            if problems and wish.check:
                outcomes.append(Outcome("start", "everything is started", Allowance(0, allowed), problems=problems))
            else:
                await first_answers(lab)
                await follow(lab, wish, outcomes, keys)
    for line in view.report(outcomes):
        say(console, line)
    bad = [outcome for outcome in outcomes if outcome.problems]
    if bad and wish.check:
        for director in lab.directors.values():
            say(console, f"-- the last lines of {director.name}")
            for line in director.last_lines():
                say(console, line)
    return 1 if bad and wish.check else 0


async def first_answers(lab: Lab) -> None:
    """Wait (briefly) until every target has answered: gaps count from then on."""
    deadline = time.monotonic() + START / 1e9
    while time.monotonic() < deadline:
        windows = [lab.traffic.whole.get(target.label) for target in lab.example.targets()]
        if all(window and window.answered for window in windows):
            break
        await asyncio.sleep(REFRESH)
    lab.traffic.restart()


async def follow(lab: Lab, wish: Wish, outcomes: list[Outcome], keys: asyncio.Queue[str]) -> None:
    """The script first; then keys and time until somebody or something ends it."""
    for act in wish.script:
        await asyncio.sleep(QUIET_BEFORE)
        try:
            outcomes.append(await judge(lab, act, wish.margin))
        except ActError as error:
            outcomes.append(Outcome(act, "not done", Allowance(0, 0), problems=[str(error)]))
    end = None if wish.seconds is None else time.monotonic() + wish.seconds
    while end is None or time.monotonic() < end:
        try:
            async with asyncio.timeout(None if end is None else max(0.0, end - time.monotonic())):
                key = await keys.get()
        except TimeoutError:
            return
        if key in ("q", "\x04"):
            return
        if (act := view.KEYS.get(key, "")) in lab.acts:
            await press(lab, act)


async def press(lab: Lab, act: str) -> None:
    """An act by hand: what cannot be done is told, not raised."""
    try:
        await lab.act(act)
    except ActError as error:
        lab.told.append(str(error))
