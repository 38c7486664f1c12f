"""Interfaces that are polled every second: what they answer counts, not what the kernel says about their links.

Answers are fetched by a thread of its own, of ordinary priority; the loop never waits for a driver.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from fastha.system.linkbeat import Linkbeat
from fastha.vrrp.events import LinkChanged

EVERY: Final = 1.0
"""Seconds."""


class Linkbeats:
    """`changed` is called with the names of interfaces whose link is otherwise than before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[list[str]], None]) -> None:
        self._loop = loop
        self._changed = changed
        self._asker: Linkbeat | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._ways: dict[str, str] = {}
        self._up: dict[str, bool] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, ways: Mapping[str, str]) -> None:
        """Poll these, interface -> way, from now on. The first answers are fetched here: it is set-up."""
        self._ways = dict(ways)
        if not self._ways:
            self._stop_timer()
            self._up = {}
            return
        if self._asker is None:
            self._asker = Linkbeat()
            self._thread = ThreadPoolExecutor(1, "linkbeat")  # real time is not inherited
        self._up = self._ask(self._ways)
        if self._timer is None:
            self._timer = self._loop.call_later(EVERY, self._beat)

    def judged(self, change: LinkChanged) -> LinkChanged:
        """What the kernel says, with the link as it was polled."""
        if change.name not in self._ways or not change.exists:
            return change
        return replace(change, up=self._up.get(change.name, False))

    def close(self) -> None:
        self._stop_timer()
        self._ways = {}
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self, ways: Mapping[str, str]) -> dict[str, bool]:
        assert self._asker is not None
        return {name: self._asker.up(name, way) for name, way in ways.items()}

    def _beat(self) -> None:
        assert self._thread is not None
        asked = self._thread.submit(self._ask, dict(self._ways))
        asked.add_done_callback(self._answered)

    def _answered(self, asked: Future[dict[str, bool]]) -> None:
        if not asked.cancelled():
            self._loop.call_soon_threadsafe(self._take, asked.result())

    def _take(self, answers: dict[str, bool]) -> None:
        if not self._ways:
            return
        self._timer = self._loop.call_later(EVERY, self._beat)
        changed = [name for name, up in answers.items() if name in self._ways and self._up.get(name) is not up]
        self._up.update({name: answers[name] for name in changed})
        if changed:
            self._changed(changed)
