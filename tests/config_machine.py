"""A made-up machine for tests of the configuration: files, interfaces, users, and nothing real."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastha._checks import regex_error
from fastha.config.host import FileInfo, Interface, User
from fastha.config.load import Loaded, load
from fastha.model.net import Address, parse_address
from fastha.model.plan import Regex
from fastha.system.host import braces

MAIN = "/etc/keepalived/keepalived.conf"
DIRECTORY, REGULAR = 0o040755, 0o100644
PROGRAM = 0o100755


@dataclass
class Machine:
    """`files`: path -> contents; directories follow from them. `modes`: path -> (mode, uid, gid), if not the usual."""

    files: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    names: tuple[str, ...] = ("lo", "eth0", "eth1")
    users: dict[str, User] = field(
        default_factory=lambda: {"root": User("root", 0, 0), "nobody": User("nobody", 99, 99)},
    )
    groups: dict[str, int] = field(default_factory=lambda: {"root": 0, "nogroup": 99, "adm": 4})
    hosts: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/sbin:/usr/bin"})
    name: str = "lvs1.example.net"
    namespaces: frozenset[str] = frozenset()
    links: dict[str, str] = field(default_factory=dict)
    """Symbolic links: path -> path."""
    modules: frozenset[str] = frozenset({"h2", "pymysql", "pg8000"})

    def program(self, path: str, head: bytes = b"\x7fELF", mode: int = PROGRAM, uid: int = 0, gid: int = 0) -> None:
        self.files[path] = head
        self.modes[path] = (mode, uid, gid)

    def read_file(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path]

    def read_head(self, path: str, size: int) -> bytes:
        return self.read_file(path)[:size]

    def glob(self, pattern: str) -> list[str]:
        found: list[str] = []
        for alternative in braces(pattern):
            if any(mark in alternative for mark in "*?["):
                found += sorted(fnmatch.filter(self.files, alternative))
            elif alternative in self.files:
                found.append(alternative)
        return found

    def stat(self, path: str) -> FileInfo | None:
        path = self.links.get(path, path)
        if path in self.modes:
            return FileInfo(*self.modes[path])
        if path in self.files:
            return FileInfo(REGULAR, 0, 0)
        prefix = path.rstrip("/") + "/"
        if any(known.startswith(prefix) for known in self.files) or path in {"/", "/tmp"}:
            return FileInfo(DIRECTORY, 0, 0)
        return None

    def lstat(self, path: str) -> FileInfo | None:
        return FileInfo(0o120777, 0, 0) if path in self.links else self.stat(path)

    def realpath(self, path: str) -> str | None:
        path = self.links.get(path, path)
        return path if self.stat(path) is not None else None

    def interfaces(self) -> Mapping[str, Interface]:
        return {name: Interface(name, loopback=name == "lo", multicast=name != "lo") for name in self.names}

    def has_namespace(self, name: str) -> bool:
        return name in self.namespaces

    def user(self, name: str) -> User | None:
        return self.users.get(name)

    def group(self, name: str) -> int | None:
        return self.groups.get(name)

    def identity(self) -> User:
        return User("root", 0, 0)

    def hostname(self) -> str:
        return self.name

    def environment(self, name: str) -> str | None:
        return self.variables.get(name)

    def resolve(self, name: str) -> Address | None:
        try:
            return parse_address(self.hosts.get(name, name))
        except ValueError:
            return None

    def random(self, low: int, high: int) -> int:
        return (low + high) // 2

    def cpus(self) -> int:
        return 4

    def authorities_error(self, path: str) -> str:
        return "" if path == "system" or path in self.files else "No such file or directory"

    def regex_error(self, regex: Regex) -> str:
        return regex_error(regex)

    def uptime(self) -> float:
        return 100.0

    def has_module(self, name: str) -> bool:
        return name in self.modules


def read(text: str | bytes, machine: Machine | None = None, *, config_id: str | None = None) -> Loaded:
    """The reading of `text` as the main file."""
    machine = machine or Machine()
    machine.files[MAIN] = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return load(MAIN, machine, config_id=config_id)


def errors(loaded: Loaded) -> list[str]:
    """`line:column message` of each error."""
    return [f"{d.line}:{d.column} {d.message}" for d in loaded.diagnostics if d.severity == "error"]


def messages(loaded: Loaded) -> str:
    """All errors in one text."""
    return "\n".join(errors(loaded))


GOOD_INSTANCE = """
vrrp_instance VI_1 {{
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {{
        192.0.2.10/24
    }}
{0}
}}
"""
GOOD_SERVICE = """
virtual_server 192.0.2.10 80 {{
    protocol TCP
    lvs_sched rr
    lvs_method NAT
{0}
    real_server 192.0.2.21 80 {{
{1}
    }}
}}
"""


def instance(extra: str = "", *, before: str = "", machine: Machine | None = None) -> Loaded:
    """A good instance with further lines in it."""
    return read(before + GOOD_INSTANCE.format(extra), machine)


def service(extra: str = "", server: str = "", *, before: str = "", machine: Machine | None = None) -> Loaded:
    """A good virtual server with further lines in it and in its real server."""
    return read(before + GOOD_SERVICE.format(extra, server), machine)
