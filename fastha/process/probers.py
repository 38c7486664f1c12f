"""The probe engines of the checker process, which look like one: one thread for most kinds, a few for TLS.

A TLS handshake is 40 to 80 times the work of a TCP check and cannot be interrupted; so that nobody else is late, probes
with TLS have threads of their own, as many as the machine can spare, made when the first of them is ordered.
"""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from fastha._checks import ProbeEngine, TlsContext
from fastha.checks.recipes import LastProbe, ProbeOrder, Report
from fastha.model.snapshot import Histogram
from fastha.model.units import Ns

if TYPE_CHECKING:
    import asyncio

_TLS_THREADS: Final = 4
"""At most; one processor is left to the others."""
_SETTINGS: Final = ("cap", "recycling", "slot_ns")
"""Of `ProbeEngine.stats`: those that do not add up; the first engine's are told."""


class Probers:
    """See `ProbeEngine`; `speaks` is called when `reports` has something to say."""

    def __init__(self, loop: "asyncio.AbstractEventLoop", speaks: Callable[[], None]) -> None:
        self._loop = loop
        self._speaks = speaks
        self._engines = [ProbeEngine()]
        self._home: dict[int, ProbeEngine] = {}
        """Where the targets with TLS are; all others are with the first engine."""
        self._tls: TlsContext | None = None

    def start(self) -> None:
        """OSError when there can be no engine."""
        self._begin(self._engines[0])

    def _begin(self, engine: ProbeEngine) -> None:
        engine.start()
        self._loop.add_reader(engine.fileno(), self._speaks)

    def stop(self) -> None:
        """End all threads."""
        for engine in self._engines:
            self._loop.remove_reader(engine.fileno())
            engine.stop()

    def use_tls(self, context: TlsContext) -> None:
        """What TLS probes present of their own, from now on."""
        self._tls = context
        for engine in self._engines[1:]:
            engine.use_tls(context)

    def _tls_engine(self, target: int) -> ProbeEngine:
        count = max(1, min(_TLS_THREADS, len(os.sched_getaffinity(0)) - 1))
        while len(self._engines) <= count:
            engine = ProbeEngine(urgent=False)
            if self._tls is not None:
                engine.use_tls(self._tls)
            self._begin(engine)
            self._engines.append(engine)
        return self._engines[1 + target % count]

    def _engine(self, target: int) -> ProbeEngine:
        return self._home.get(target, self._engines[0])

    # -------------------------------------------------------------------------------------- orders

    def order(self, order: ProbeOrder) -> None:
        """ValueError when it cannot be carried out, OSError when TLS probes cannot have a thread."""
        self._settle(order)
        self._engine(order.target).order(order)

    def orders(self, orders: Iterable[ProbeOrder]) -> None:
        """As `order`; those before a bad one are given."""
        batch: list[ProbeOrder] = []
        try:
            for order in orders:
                self._settle(order)
                engine = self._engine(order.target)
                if engine is self._engines[0]:
                    batch.append(order)
                else:
                    engine.order(order)
        finally:
            self._engines[0].orders(batch)

    def _settle(self, order: ProbeOrder) -> None:
        """The engine of the target's kind; a reload may have made another kind of it."""
        target = order.target
        if order.recipe.tls == (target in self._home):
            return
        if order.recipe.tls:
            self._home[target] = self._tls_engine(target)
            self._engines[0].remove(target)
        else:
            self._home.pop(target).remove(target)

    def hold(self, target: int) -> None:
        """Stop probing, keep what is known of the target."""
        self._engine(target).hold(target)

    def remove(self, target: int) -> None:
        """Stop probing and forget."""
        self._engine(target).remove(target)
        self._home.pop(target, None)

    # ------------------------------------------------------------------------------------- results

    def reports(self) -> list[Report]:
        """What has come out otherwise than expected."""
        return [report for engine in self._engines for report in engine.reports()]

    def last(self, target: int) -> LastProbe:
        """The target's last probe."""
        return self._engine(target).last(target)

    def overdue(self, now: Ns) -> list[int]:
        """Targets that nobody probed for more than two intervals."""
        return [target for engine in self._engines for target in engine.overdue(now)]

    @property
    def running(self) -> bool:
        return all(engine.running for engine in self._engines)

    def heartbeat(self) -> Ns:
        """Of the thread that went round least recently."""
        first = self._engines[0].heartbeat()
        # one that has just been made is as fresh as the first
        return min(engine.heartbeat() or first for engine in self._engines)

    def stats(self) -> dict[str, int]:
        """Counters of all engines."""
        found = self._engines[0].stats()
        for engine in self._engines[1:]:
            for name, value in engine.stats().items():
                if name not in _SETTINGS:
                    found[name] += value
        found["tls_threads"] = len(self._engines) - 1
        return found

    def lateness(self) -> Histogram:
        """Of all probes."""
        parts = [engine.lateness() for engine in self._engines]
        return Histogram(
            bounds=parts[0].bounds,
            counts=tuple(sum(counts) for counts in zip(*(part.counts for part in parts), strict=True)),
            total=sum(part.total for part in parts),
            maximum=max(part.maximum for part in parts),
        )
