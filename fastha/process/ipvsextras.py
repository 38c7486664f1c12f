"""What IPVS has besides its table: timeouts of connections, and their synchronisation with another director.

Both belong to the kernel and outlive us, so what is to be put back is in the journal before the first change: a process
that comes after a crash restores the timeouts of the first one, and stops a synchronisation that is configured no more.
"""

import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from fastha.lvs.journal import Journal
from fastha.lvs.sync import changes, wanted_halves
from fastha.model.plan import SyncSettings
from fastha.model.table import Plane, SyncDaemon
from fastha.model.units import Ns, S
from fastha.process.programmer import JournalFile

Say = Callable[[str, str, str], None]
CHECK_EVERY: Final = 15 * S
RETRY: Final = 2 * S


class IpvsExtras:
    """Timeouts and synchronisation of one plane. `say` writes the log: (level, text, cause)."""

    def __init__(self, plane: Plane, journal: JournalFile, say: Say) -> None:
        self._plane = plane
        self._journal = journal
        self._say = say
        self._settings: SyncSettings | None = None
        self._states: dict[str, str] | None = None
        """What is known of instances; None: nobody said anything yet."""
        self._check_at: Ns = 0
        self.halves: tuple[str, ...] = ()
        """What runs, for the snapshot."""

    def _note(self, journal: Journal) -> None:
        try:
            self._journal.write(journal)
        except OSError as error:
            self._say("warning", f"cannot write {self._journal.path}: {error.strerror}", "journal")

    # ------------------------------------------------------------------------------------ timeouts

    def set_timeouts(self, wanted: tuple[int, int, int]) -> None:
        """lvs_timeouts; what is not set (any more) is as the kernel had it."""
        own = self._journal.journal.timeouts
        if own is None and not any(wanted):
            return
        try:
            if own is None:
                own = self._plane.read_timeouts()
                self._note(replace(self._journal.journal, timeouts=own))
            tcp, tcpfin, udp = (value or before for value, before in zip(wanted, own, strict=True))
            self._plane.set_timeouts(tcp, tcpfin, udp)
        except OSError as error:
            self._say("error", f"lvs_timeouts: {error.strerror or error}", "")
            return
        if not any(wanted):
            self._note(replace(self._journal.journal, timeouts=None))

    # ------------------------------------------------------------------------------ synchronisation

    def configure(self, settings: SyncSettings | None, now: Ns) -> None:
        """lvs_sync_daemon, at the start and at each reload."""
        anew = self._settings is not None and settings is not None and settings != self._settings
        self._settings = settings
        self._synchronise(now, anew=anew)

    def follow(self, states: dict[str, str], now: Ns) -> None:
        """Instances are in these states now; of the others nothing is new."""
        before = self._master
        first = self._states is None
        self._states = (self._states or {}) | states
        if first or self._master != before:
            self._synchronise(now)

    def tick(self, now: Ns) -> None:
        """To be called about once a second: put right what others did, try again what did not work."""
        if self._settings is not None and now >= self._check_at:
            self._synchronise(now)

    @property
    def _master(self) -> bool:
        return self._settings is not None and (self._states or {}).get(self._settings.instance) == "MASTER"

    def _synchronise(self, now: Ns, *, anew: bool = False) -> None:
        settings, journal = self._settings, self._journal.journal
        if settings is None and not journal.sync:
            return
        if settings is not None and settings.instance and self._states is None:
            return  # we are about to be told; a half that runs may be the right one
        self._check_at = now + CHECK_EVERY
        if settings is not None and not journal.sync:
            self._note(replace(journal, sync=True))
        wanted = wanted_halves(settings, master=self._master)
        try:
            stop, start = changes(self._plane.read_daemons(), wanted, anew=anew)
        except OSError as error:
            self._say("error", f"lvs_sync_daemon: {error.strerror or error}", "sync")
            self._check_at = now + RETRY
            return
        stopped = [self._stop(each) for each in stop]
        started = [self._start(each, now) for each in start]
        done = all(stopped) and all(started)
        self.halves = tuple(map(_half, wanted)) if done else ()
        if settings is None and done:
            self._note(replace(self._journal.journal, sync=False))

    def _stop(self, daemon: SyncDaemon) -> bool:
        try:
            self._plane.stop_daemon(daemon)
        except OSError as error:
            if error.errno != errno.ESRCH:
                self._say("error", f"lvs_sync_daemon: cannot stop the {_half(daemon)} half: {error.strerror}", "sync")
                return False
        return True

    def _start(self, daemon: SyncDaemon, now: Ns) -> bool:
        what = f"the {_half(daemon)} half on {daemon.interface}, id {daemon.syncid}"
        try:
            self._plane.start_daemon(daemon)
        except OSError as error:
            self._say("error", f"lvs_sync_daemon: cannot start {what}: {error.strerror}; trying again", "sync")
            self._check_at = now + RETRY
            return False
        self._say("info", f"lvs_sync_daemon: {what}, runs", "")
        return True

    # ---------------------------------------------------------------------------------------- stop

    def release(self, now: Ns) -> None:
        """Put everything back."""
        self.configure(None, now)
        self.set_timeouts((0, 0, 0))


def _half(daemon: SyncDaemon) -> str:
    return "master" if daemon.master else "backup"
