"""A client, a director and web servers, each in a network namespace of its own, for real traffic through a plane.

    client 10.90.1.1 ... .9 -- 10.90.1.254 director 10.90.2.254 -- 10.90.2.1, .2, .3 servers
           fd90:1::1 ... ::9 -- fd90:1::254          fd90:2::254 -- fd90:2::1, ::2, ::3

The virtual addresses are 10.90.9.1 and fd90:9::1, on the director. Everything runs in this process: a socket belongs
to the namespace it was made in, wherever it is used.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import selectors
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fastha.model.net import Address, Family
from fastha.model.table import DestinationKey, ServiceKey

CLONE_NEWNET: Final = 0x40000000
VIP: Final[dict[Family, Address]] = {4: Address("10.90.9.1"), 6: Address("fd90:9::1")}
SERVERS: Final = ("one", "two", "three")
_NETWORK: Final[dict[Family, str]] = {4: "10.90.{}.{}", 6: "fd90:{}::{}"}
_libc: Final = ctypes.CDLL(None, use_errno=True)


def client_address(family: Family, number: int = 1) -> str:
    """One of the client's nine addresses."""
    return _NETWORK[family].format(1, number)


def server(number: int, port: int = 8080, family: Family = 4) -> DestinationKey:
    """The server of this number: 1, 2 or 3."""
    return DestinationKey(Address(_NETWORK[family].format(2, number)), port)


def service(protocol: str = "TCP", port: int = 80, family: Family = 4) -> ServiceKey:
    return ServiceKey(family, 0, protocol, VIP[family], port)


class Bed:
    """The namespaces and the servers in them. Every server answers with its name and the client's address."""

    def __init__(self) -> None:
        self._prefix = f"fhk{os.getpid()}"
        self._names = ("client", "director", *SERVERS)
        self._stop, self._wake = os.pipe()
        self._sockets: list[socket.socket] = []
        self._thread: threading.Thread | None = None
        self._ports = itertools.count(20000)
        self._namespaces = [self._full(name) for name in self._names]

    def _full(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def make(self) -> None:
        for namespace in self._namespaces:
            subprocess.run(["ip", "netns", "add", namespace], check=True)
        self._in("director", "link add back type bridge", "link set back up")
        self._wire("client", "front", [(1, number) for number in range(1, 10)])
        self._in("director", *self._addresses("front", [(1, 254)]), *self._addresses("back", [(2, 254)]))
        self._in("director", f"address add {VIP[4]}/32 dev lo", f"address add {VIP[6]}/128 dev lo nodad")
        for number, name in enumerate(SERVERS, 1):
            self._wire(name, f"to-{name}", [(2, number)])
            self._in("director", f"link set to-{name} master back")
        for name in self._names:
            self._in(name, "link set lo up")
            if name != "director":
                gateway = 1 if name == "client" else 2
                self._in(name, *(f"route add default via {_NETWORK[each].format(gateway, 254)}" for each in VIP))
        with self.inside("director"):
            for knob in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                Path("/proc/sys/net", knob).write_text("1")
        for number, name in enumerate(SERVERS, 1):
            for family in VIP:
                for port in (8080, 8081, 80):
                    self._listen(name, number, family, port)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _in(self, name: str, *commands: str) -> None:
        """ip commands in one of the namespaces."""
        text = "".join(f"{command}\n" for command in commands)
        subprocess.run(["ip", "-n", self._full(name), "-batch", "-"], input=text, text=True, check=True)

    def _wire(self, name: str, far: str, hosts: list[tuple[int, int]]) -> None:
        """A cable from `name` (eth0) to the director (`far`)."""
        self._in("director", f"link add {far} type veth peer name eth0 netns {self._full(name)}", f"link set {far} up")
        self._in(name, *self._addresses("eth0", hosts), "link set eth0 up")

    @staticmethod
    def _addresses(device: str, hosts: list[tuple[int, int]]) -> list[str]:
        return [
            f"address add {_NETWORK[family].format(*host)}/{24 if family == 4 else 64} dev {device}"
            + (" nodad" if family == 6 else "")
            for host in hosts
            for family in VIP
        ]

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """This thread is in a namespace of the bed; what it starts is there too."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self._full(name)}") as there:
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(home.fileno())

    # ----------------------------------------------------------------------------------------- servers

    def _listen(self, name: str, number: int, family: Family, port: int) -> None:
        address = server(number, port, family)
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        for protocol in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with self.inside(name):
                opened = socket.socket(kind, protocol)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            if protocol == socket.SOCK_STREAM:
                opened.listen(64)
            opened.setblocking(False)
            self._sockets.append(opened)

    def _serve(self) -> None:
        """Answer whatever comes: `one 10.90.1.1 8080`, the server, the client as it sees it and the port it is on."""
        names = {server(number, 0, family).address: name for number, name in enumerate(SERVERS, 1) for family in VIP}
        with selectors.DefaultSelector() as selector:
            selector.register(self._stop, selectors.EVENT_READ)
            for opened in self._sockets:
                selector.register(opened, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self._stop:
                        for each in selector.get_map().values():
                            if each.data is not None:
                                each.fileobj.close()
                        return
                    opened = key.fileobj
                    assert isinstance(opened, socket.socket)
                    local = opened.getsockname()
                    if key.data is None and opened.type == socket.SOCK_STREAM:
                        connection, _peer = opened.accept()
                        connection.setblocking(False)
                        selector.register(connection, selectors.EVENT_READ, "connection")
                        continue
                    with contextlib.suppress(OSError):
                        data, peer = opened.recvfrom(2048)
                        if key.data is None or data:
                            peer = peer or opened.getpeername()
                            opened.sendto(f"{names[local[0]]} {peer[0]} {local[1]}".encode(), peer)
                            continue
                    if key.data is not None:
                        selector.unregister(opened)
                        opened.close()

    # ------------------------------------------------------------------------------------------ client

    def connect(
        self,
        port: int = 80,
        family: Family = 4,
        number: int = 1,
        *,
        udp: bool = False,
        at: str = "client",
    ) -> socket.socket:
        """A socket of the client (or another place) to the virtual address. OSError when it is refused."""
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        with self.inside(at):
            opened = socket.socket(kind, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        try:
            opened.settimeout(3)
            if at == "client":
                # Connection tracking knows a UDP client by its port for minutes: take none twice.
                opened.bind((client_address(family, number), next(self._ports) if udp else 0))
            opened.connect((VIP[family], port))
        except BaseException:
            opened.close()
            raise
        return opened

    def ask(
        self, port: int = 80, family: Family = 4, number: int = 1, *, udp: bool = False, at: str = "client"
    ) -> tuple[str, str, int]:
        """One new connection: the name of the server that answers, the client as it sees it, the port it is on."""
        with self.connect(port, family, number, udp=udp, at=at) as opened:
            return say(opened)

    def ask_often(
        self, times: int, port: int = 80, family: Family = 4, number: int = 1, *, udp: bool = False
    ) -> Counter[str]:
        """The servers that answer so many connections, one after the other, and how many each."""
        return Counter(self.ask(port, family, number, udp=udp)[0] for _ in range(times))

    def destroy(self) -> None:
        if self._thread is not None:
            os.write(self._wake, b"x")
            self._thread.join(5)
        for descriptor in (self._stop, self._wake):
            os.close(descriptor)
        for opened in self._sockets:
            opened.close()
        for namespace in self._namespaces:
            subprocess.run(["ip", "netns", "delete", namespace], check=False, stderr=subprocess.DEVNULL)


def say(opened: socket.socket) -> tuple[str, str, int]:
    """A question over an open connection, and its answer."""
    opened.send(b"who")
    name, client, port = opened.recv(2048).decode().split()
    return name, client, int(port)


def _set_namespace(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
