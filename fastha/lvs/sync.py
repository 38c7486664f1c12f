"""Connection synchronisation (lvs_sync_daemon): which halves should run, and what makes them so.

    no instance given    both halves, always
    MASTER               the sending half
    any other state      the receiving half

The kernel runs at most one of each. A half that runs otherwise than wanted is stopped first, so the order of a takeover
is keepalived's: the receiving half goes, the sending one comes.
"""

from collections.abc import Iterable

from fastha.model.plan import SyncSettings
from fastha.model.table import SyncDaemon


def wanted_halves(settings: SyncSettings | None, *, master: bool) -> tuple[SyncDaemon, ...]:
    """What should run. `master`: the instance that is followed is MASTER."""
    if settings is None:
        return ()
    halves = (True, False) if not settings.instance else (master,)
    return tuple(
        SyncDaemon(
            master=half,
            interface=settings.interface,
            syncid=settings.syncid,
            maxlen=settings.maxlen,
            group=settings.group,
            port=settings.port,
            ttl=settings.ttl,
        )
        for half in halves
    )


def is_as_wanted(actual: SyncDaemon, wanted: SyncDaemon) -> bool:
    """Whether a running half is the wanted one. The kernel fills in what it was not told, and fits maxlen to the
    interface, so that one is not compared."""
    return (
        (actual.master, actual.interface, actual.syncid) == (wanted.master, wanted.interface, wanted.syncid)
        and (wanted.group is None or actual.group == wanted.group)
        and (not wanted.port or actual.port == wanted.port)
        and (not wanted.ttl or actual.ttl == wanted.ttl)
    )


def changes(
    actual: Iterable[SyncDaemon], wanted: Iterable[SyncDaemon], *, anew: bool = False
) -> tuple[list[SyncDaemon], list[SyncDaemon]]:
    """(to stop, to start), in this order. `anew`: also what runs as wanted, since a setting that cannot be seen in the
    kernel was changed."""
    right: set[SyncDaemon] = set()
    stop: list[SyncDaemon] = []
    wanted = list(wanted)
    for daemon in actual:
        same = [] if anew else [each for each in wanted if is_as_wanted(daemon, each)]
        right.update(same)
        if not same:
            stop.append(daemon)
    return stop, [each for each in wanted if each not in right]
