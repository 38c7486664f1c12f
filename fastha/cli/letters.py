"""The options that keepalived has, with those of ours that daemons under both names take."""

import signal
from dataclasses import dataclass
from enum import Enum
from typing import Final

SIGNALS: Final = {
    "STOP": signal.SIGTERM,
    "RELOAD": signal.SIGHUP,
    "DATA": signal.SIGUSR1,
    "STATS": signal.SIGUSR2,
    "STATS_CLEAR": signal.SIGRTMAX - 1,
    "JSON": signal.SIGRTMIN + 2,
}


class Takes(Enum):
    """An option's argument."""

    NOTHING = 0
    WORD = 1
    MAYBE = 2
    """Only attached: `-tFILE`, `--config-test=FILE`."""


@dataclass(frozen=True, slots=True)
class Option:
    letter: str
    """Empty: the long name only."""
    name: str
    help: str
    takes: Takes = Takes.NOTHING
    what: str = ""
    """The argument in the help."""
    idle: str = ""
    """Accepted, without effect here: why."""

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    @property
    def note(self) -> str:
        """What is logged about one that is idle."""
        return f"--{self.name} has no effect: {self.idle}"


LOG_FILE: Final = "/tmp/keepalived.log"  # noqa: S108 - keepalived's place
_OTHER: Final = "there is nothing of that kind in fastha"
OPTIONS: Final = (
    Option("f", "use-file", "Use the specified configuration file", Takes.WORD, "FILE"),
    Option("P", "vrrp", "Only run with VRRP subsystem"),
    Option("C", "check", "Only run with Health-checker subsystem"),
    Option("B", "no_bfd", "Don't run BFD subsystem", idle="there is no bfd process yet"),
    Option("", "all", "Force all child processes to run", idle="a process runs when there is something for it"),
    Option("l", "log-console", "Log messages to local console"),
    Option("D", "log-detail", "Detailed log messages"),
    Option("S", "log-facility", "Set syslog facility", Takes.WORD, "([0-7]|local[0-7]|user|daemon)"),
    Option("g", "log-file", "Also log to FILE (default /tmp/keepalived.log)", Takes.MAYBE, "FILE"),
    Option("", "flush-log-file", "Flush log file on write", idle="every line is written at once"),
    Option("G", "no-syslog", "Don't log via syslog"),
    Option("u", "umask", "umask for file creation (in numeric form)", Takes.WORD, "MASK"),
    Option(
        "X",
        "release-vips",
        "Drop VIP on transition from signal",
        idle="addresses that are not to be there are always removed",
    ),
    Option("V", "dont-release-vrrp", "Don't remove VRRP VIPs and VROUTEs on daemon stop"),
    Option("I", "dont-release-ipvs", "Don't remove IPVS topology on daemon stop"),
    Option("R", "dont-respawn", "Don't respawn child processes"),
    Option("n", "dont-fork", "Don't fork the daemon process"),
    Option("d", "dump-conf", "Dump the configuration data"),
    Option("p", "pid", "Use specified pidfile for parent process", Takes.WORD, "FILE"),
    Option("r", "vrrp_pid", "Use specified pidfile for VRRP child process", Takes.WORD, "FILE"),
    Option("c", "checkers_pid", "Use specified pidfile for checkers child process", Takes.WORD, "FILE"),
    Option(
        "b", "bfd_pid", "Use specified pidfile for BFD child process", Takes.WORD, "FILE", "there is no bfd process"
    ),
    Option("T", "genhash", "Enter into genhash utility mode (first option only)", idle="it must be the first option"),
    Option("a", "address-monitoring", "Report all address changes", idle="`ip monitor address` tells"),
    Option("x", "snmp", "Enable SNMP subsystem", idle="there is no SNMP agent yet"),
    Option("A", "snmp-agent-socket", "Socket of the master agent", Takes.WORD, "FILE", "there is no SNMP agent yet"),
    Option("s", "namespace", "Run in network namespace NAME (overrides config)", Takes.WORD, "NAME"),
    Option("m", "core-dump", "Produce core dump if terminate abnormally"),
    Option("M", "core-dump-pattern", "Also set /proc/sys/kernel/core_pattern", Takes.MAYBE, "PATN"),
    Option("e", "all-config", "Error if any configuration file missing", idle="write include_check into the file"),
    Option("i", "config-id", "Skip configuration lines '@ID' that don't match id", Takes.WORD, "id"),
    Option("", "signum", f"Return signal number for {', '.join(SIGNALS)}", Takes.WORD, "SIGFUNC"),
    Option("t", "config-test", "Check the configuration for obvious errors", Takes.MAYBE, "LOG_FILE"),
    Option("", "ignore-sigint", "Don't end on SIGINT"),
    Option("", "no-mem-check", "", idle=_OTHER),
    Option(
        "",
        "lvs-plane",
        "Where virtual servers are programmed: auto, ipvs, nftables or none (fastha)",
        Takes.WORD,
        "PLANE",
    ),
    Option("", "run-dir", "Control socket and journals (fastha)", Takes.WORD, "DIR"),
    Option("v", "version", "Display the version number"),
    Option("h", "help", "Display this help message"),
)
