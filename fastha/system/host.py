"""The machine as the configuration sees it: files, interfaces, users, names."""

import contextlib
import errno
import fnmatch
import grp
import os
import pwd
import random
import re
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from glob import has_magic
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from stat import S_ISREG

from fastha.config.host import FileInfo, Interface, User
from fastha.model.net import Address, parse_address
from fastha.model.plan import Regex
from fastha.system import netns
from fastha.system.netlink import NetlinkSocket
from fastha.wire.netlink import attributes

IFF_UP, IFF_LOOPBACK, IFF_MULTICAST = 0x1, 0x8, 0x1000
_LINK = struct.Struct("=4xiI")
"""Of struct ifinfomsg: index and flags."""
_NETLINK_ROUTE, _RTM_GETLINK = 0, 18
"""linux/netlink.h, linux/rtnetlink.h. `system.links` has them too, with a library that takes longer to load than most
files take to be judged."""
_ADDRESS, _IFNAME, _MTU, _LOWER, _LINKINFO, _KIND = 1, 3, 4, 5, 18, 1


MAX_FILE = 256 << 20
"""Longest file in octets: 50,000 real servers with their checks are 20 MiB."""


MAX_LOOKED_AT = 100_000
"""Names that the wildcards of one include may be compared with."""


class SystemHost:
    """`config.host.Host` of the real machine. Interfaces are read once per object: one object per reading."""

    def read_file(self, path: str) -> bytes:
        with Path(path).open("rb") as file:
            if S_ISREG(os.fstat(file.fileno()).st_mode):
                # some files of /proc look regular and never end
                os.set_blocking(file.fileno(), False)
            data = file.read(MAX_FILE + 1) or b""
        if len(data) > MAX_FILE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return data

    def read_head(self, path: str, size: int) -> bytes:
        with Path(path).open("rb") as file:
            return file.read(size)

    def glob(self, pattern: str) -> list[str]:
        found: list[str] = []
        for alternative in braces(pattern):
            found += sorted(_matching(alternative))
        return found

    def stat(self, path: str) -> FileInfo | None:
        return self._stat(path, follow=True)

    def lstat(self, path: str) -> FileInfo | None:
        return self._stat(path, follow=False)

    @staticmethod
    def _stat(path: str, *, follow: bool) -> FileInfo | None:
        try:
            info = os.stat(path, follow_symlinks=follow)
        except (OSError, ValueError):
            return None
        return FileInfo(info.st_mode, info.st_uid, info.st_gid)

    def realpath(self, path: str) -> str | None:
        try:
            return os.path.realpath(path, strict=True)
        except (OSError, ValueError):
            return None

    def interfaces(self) -> Mapping[str, Interface]:
        return self._interfaces

    @cached_property
    def _interfaces(self) -> dict[str, Interface]:
        """By rtnetlink: /sys shows those of the namespace it was mounted in."""
        links = NetlinkSocket(_NETLINK_ROUTE)
        try:
            found = [_decoded(payload) for payload in links.dump(_RTM_GETLINK, bytes(16))]
        finally:
            links.close()
        names = {index: one.name for index, _, one in found}
        return {one.name: one._replace(lower=names.get(lower, "")) for _, lower, one in found}

    def has_namespace(self, name: str) -> bool:
        return netns.exists(name)

    def user(self, name: str) -> User | None:
        try:
            entry = pwd.getpwnam(name)
        except (KeyError, ValueError):
            return None
        return User(name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)))

    def group(self, name: str) -> int | None:
        try:
            return grp.getgrnam(name).gr_gid
        except (KeyError, ValueError):
            return None

    def identity(self) -> User:
        name = str(os.geteuid())
        with contextlib.suppress(KeyError):
            name = pwd.getpwuid(os.geteuid()).pw_name
        return User(name, os.geteuid(), os.getegid())

    def hostname(self) -> str:
        return socket.gethostname()

    def environment(self, name: str) -> str | None:
        return os.environ.get(name)

    def resolve(self, name: str) -> Address | None:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return None
        return parse_address(str(found[0][4][0]).partition("%")[0]) if found else None

    def random(self, low: int, high: int) -> int:
        return random.randint(low, high)  # noqa: S311 - the language's ${_RANDOM}, not a secret

    def cpus(self) -> int:
        return os.cpu_count() or 1

    def regex_error(self, regex: Regex) -> str:
        # few files have a pattern, and the engine has much to load
        return str(import_module("fastha._checks").regex_error(regex))

    def authorities_error(self, path: str) -> str:
        return str(import_module("fastha._checks").authorities_error(path))

    def has_module(self, name: str) -> bool:
        return find_spec(name) is not None

    def uptime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def _matching(pattern: str) -> list[str]:
    """As glob(3), except that the search ends: OSError when it would look at more than MAX_LOOKED_AT names."""
    found, looked = [""], 0
    for name, slashes in re.findall(r"([^/]*)(/*)", pattern):
        grown: list[str] = []
        for base in found:
            if has_magic(name):
                try:
                    names = os.listdir(base or ".")
                except OSError:
                    continue
                hidden = name.startswith(".")
                grown += [base + n + slashes for n in fnmatch.filter(names, name) if hidden or not n.startswith(".")]
                looked += len(names)
            elif not name or os.path.lexists(base + name):
                grown.append(base + name + slashes)
                looked += 1
            if looked > MAX_LOOKED_AT:
                raise OSError(errno.E2BIG, f"more than {MAX_LOOKED_AT} files would have to be looked at", pattern)
        found = grown
    return [path for path in found if os.path.isdir(path)] if pattern.endswith("/") else found


def _decoded(payload: bytes) -> tuple[int, int, Interface]:
    """(index, index of the interface underneath, interface) of an RTM_NEWLINK message (linux/if_link.h)."""
    index, flags = _LINK.unpack_from(payload)
    found = attributes(payload, 16)
    kind = attributes(found[_LINKINFO]).get(_KIND, b"") if _LINKINFO in found else b""
    number = {key: int.from_bytes(found.get(key, b""), sys.byteorder) for key in (_MTU, _LOWER)}
    interface = Interface(
        name=found[_IFNAME].rstrip(b"\0").decode("utf-8", "surrogateescape"),
        up=bool(flags & IFF_UP),
        loopback=bool(flags & IFF_LOOPBACK),
        multicast=bool(flags & IFF_MULTICAST),
        kind=kind.rstrip(b"\0").decode("ascii", "replace"),
        mtu=number[_MTU],
        mac=found.get(_ADDRESS, b"").hex(":"),
    )
    return index, number[_LOWER], interface


def braces(pattern: str) -> Iterator[str]:
    """The alternatives that `{a,b}` in a pattern stands for, as the shell expands them."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None or "," not in match[1]:
        yield pattern
        return
    for choice in match[1].split(","):
        yield from braces(pattern[: match.start()] + choice + pattern[match.end() :])
