"""What several parts of the Plan are made of."""

from dataclasses import dataclass

from fastha.model.units import Ns, S


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A script: what to run and as whom.

    `shell` is set for a text file without `#!`, and for commands that only a shell understands (`</dev/tcp/..`):
    they run as `/bin/sh -c` with each word quoted.
    """

    argv: tuple[str, ...]
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] | None = None
    shell: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """Scheduling words of one child (vrrp_rt_priority, checker_no_swap, ...); None: fastha's own default."""

    process_name: str | None = None
    priority: int = 0
    rt_priority: int | None = None
    no_swap: bool = False
    cpu_affinity: tuple[int, ...] = ()
    rlimit_rttime: int | None = None
    """Microseconds."""
    command_buffer: int = 0
    """Octets that the receive buffers of netlink sockets for orders have at least; 0: as they are anyway."""
    monitor_buffer: int = 0
    """The same of those that hear of changes."""
    auto_priority: int = 0
    """max_auto_priority: the real-time priority that late timers may lead to; 0 and below: never."""
    auto_priority_delay: Ns = S
    """Lateness of a timer that raises the priority by one."""
