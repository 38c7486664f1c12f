"""What the configuration may ask of the machine it is read on.

`system.host` answers from the real machine; tests make a machine up. Nothing here changes anything.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from fastha.model.net import Address
from fastha.model.plan import Regex


class Interface(NamedTuple):
    """A network interface as the configuration needs to know it."""

    name: str
    up: bool = True
    loopback: bool = False
    multicast: bool = True
    kind: str = ""
    """`macvlan`, `ipvlan`, `vrf`, ...; empty for hardware."""
    mtu: int = 1500
    mac: str = ""
    lower: str = ""
    """The interface underneath a macvlan or ipvlan."""


class User(NamedTuple):
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    """Supplementary groups."""


class FileInfo(NamedTuple):
    """What stat(2) says of a path; `mode` has the type bits."""

    mode: int
    uid: int
    gid: int


class Host(Protocol):
    """The machine, read only. Methods that return None say so: there is no such thing."""

    def read_file(self, path: str) -> bytes:
        """The whole file; OSError when it cannot be read, or is longer than a configuration can be."""

    def read_head(self, path: str, size: int) -> bytes:
        """At most `size` bytes of its beginning; OSError when it cannot be read."""

    def glob(self, pattern: str) -> list[str]:
        """Paths that match `pattern` (shell wildcards and {a,b}), in order; a pattern without wildcards is itself.
        OSError when very many files would have to be looked at."""

    def stat(self, path: str) -> FileInfo | None:
        """Following symbolic links."""

    def lstat(self, path: str) -> FileInfo | None:
        """Not following a symbolic link at the end."""

    def realpath(self, path: str) -> str | None:
        """The path with every symbolic link resolved; None when it does not exist."""

    def interfaces(self) -> Mapping[str, Interface]: ...

    def has_namespace(self, name: str) -> bool:
        """Whether there is a network namespace of that name."""

    def user(self, name: str) -> User | None: ...

    def group(self, name: str) -> int | None:
        """The number of a group."""

    def identity(self) -> User:
        """Whom this process runs as."""

    def hostname(self) -> str: ...

    def environment(self, name: str) -> str | None: ...

    def resolve(self, name: str) -> Address | None:
        """The first address of a host name."""

    def random(self, low: int, high: int) -> int:
        """A number of [low, high], drawn anew at each call."""

    def cpus(self) -> int:
        """How many processors are online."""

    def regex_error(self, regex: Regex) -> str:
        """Why PCRE2 cannot compile a pattern; empty when it can."""

    def has_module(self, name: str) -> bool:
        """Whether a Python module is installed."""

    def authorities_error(self, path: str) -> str:
        """Why the certificates of a file cannot be used to judge servers; empty when they can."""

    def uptime(self) -> float:
        """Seconds since the machine booted."""
