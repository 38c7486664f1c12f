"""An Ethernet segment of network namespaces: nodes on one bridge, and what travels on it.

`Segment(prefix)` makes a namespace for the bridge and, with `node()`, one for each host; `close()` removes them and all
that runs in them by going with the namespace. Nothing touches the host's own network.
"""

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fastha.system.netns import enter

T = TypeVar("T")
ETH_P_ALL = 3
SO_TIMESTAMPNS = 35
PACKET_OUTGOING = 4


def run(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr or done.stdout}")
    return done.stdout


def inside(namespace: str, do: Callable[[], T]) -> T:
    """`do()` in a namespace, by a thread of its own (sockets stay in the namespace they were made in)."""
    results: list[T] = []
    problems: list[BaseException] = []

    def work() -> None:
        try:
            enter(namespace)
            results.append(do())
        except BaseException as problem:  # noqa: BLE001 - told to the caller
            problems.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return results[0]


@dataclass
class Frame:
    at: float
    """Kernel's receive time, seconds since the epoch."""
    data: bytes

    @property
    def ethertype(self) -> int:
        return int.from_bytes(self.data[12:14], "big")

    @property
    def ip(self) -> bytes:
        """From the IP header on, without Ethernet padding."""
        packet = self.data[14:]
        if self.ethertype == 0x0800:
            return packet[: int.from_bytes(packet[2:4], "big")]
        return packet[: 40 + int.from_bytes(packet[4:6], "big")]

    @property
    def is_advert(self) -> bool:
        if self.ethertype == 0x0800:
            return self.data[23] in {112, 51}
        return self.ethertype == 0x86DD and self.data[20] == 112

    @property
    def vrrp(self) -> bytes:
        """The VRRP message of an advert."""
        if self.ethertype != 0x0800:
            return self.ip[40:]
        return self.ip[44:] if self.data[23] == 51 else self.ip[20:]

    @property
    def source(self) -> str:
        ip = self.ip
        if self.ethertype == 0x0800:
            return socket.inet_ntop(socket.AF_INET, ip[12:16])
        return socket.inet_ntop(socket.AF_INET6, ip[8:24])


class Capture:
    """Everything that arrives at one interface of a namespace, as it comes."""

    def __init__(self, namespace: str, interface: str) -> None:
        self.frames: list[Frame] = []
        self._socket = inside(namespace, lambda: self._open(interface))
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._stopping = False
        self._thread.start()

    @staticmethod
    def _open(interface: str) -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.bind((interface, ETH_P_ALL))
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sock.settimeout(0.1)
        return sock

    def _collect(self) -> None:
        while not self._stopping:
            try:
                data, ancillary, _, sender = self._socket.recvmsg(4096, 64)
            except TimeoutError:
                continue
            except OSError:
                return
            if sender[2] == PACKET_OUTGOING:
                continue
            at = time.time()
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = memoryview(content).cast("q")
                    at = seconds + nanoseconds / 1e9
            self.frames.append(Frame(at, data))

    def adverts(self, source: str | None = None) -> list[Frame]:
        return [f for f in list(self.frames) if f.is_advert and (source is None or f.source == source)]

    def close(self) -> None:
        self._stopping = True
        self._thread.join()
        self._socket.close()


class Pinger:
    """ICMP echo requests to an address every 10 ms, from a node."""

    def __init__(self, namespace: str, address: str) -> None:
        self._address = address
        self._socket = inside(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        self._socket.setblocking(False)
        self._answered: set[int] = set()
        self.sent = 0
        self.times: list[float] = []
        """When each was sent, by the monotonic clock."""
        self._stopping = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._stopping:
            self._send()
            time.sleep(0.01)
            self._receive()

    def _send(self) -> None:
        header = struct.pack("!BBHHH", 8, 0, 0, 0x7777, self.sent & 0xFFFF)
        check = ~self._fold(sum(struct.unpack("!4H", header))) & 0xFFFF
        with contextlib.suppress(OSError):  # no route, no neighbour: it is lost, and counts as such
            self._socket.sendto(header[:2] + struct.pack("!H", check) + header[4:], (self._address, 0))
        self.times.append(time.monotonic())
        self.sent += 1

    @staticmethod
    def _fold(total: int) -> int:
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return total

    def _receive(self) -> None:
        while True:
            try:
                packet = self._socket.recv(128)
            except BlockingIOError:
                return
            kind, _, _, identifier, sequence = struct.unpack_from("!BBHHH", packet, 20)
            if (kind, identifier) == (0, 0x7777):
                self._answered.add(sequence)

    def longest_gap(self, since: float, until: float) -> float:
        """Seconds from the first lost request to the next answered one, of the longest silence within a time that has
        passed; 0: none was lost."""
        longest, began = 0.0, None
        for sequence, at in enumerate(list(self.times)):
            if since <= at <= until and sequence not in self._answered:
                began = at if began is None else began
            elif began is not None:
                longest, began = max(longest, at - began), None
        return max(longest, until - began) if began is not None else longest

    def lost(self) -> int:
        """Stop; how many requests had no answer."""
        self._stopping = True
        self._thread.join()
        time.sleep(0.1)
        self._receive()
        self._socket.close()
        assert self.sent > 20
        return self.sent - len(self._answered)


@dataclass
class Node:
    """A host on the segment: its namespace, with `eth0` and one IPv4 address."""

    name: str
    namespace: str
    address: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    closers: list[Callable[[], None]] = field(default_factory=list)
    """Called when the node goes."""

    def run(self, *words: str, check: bool = True) -> str:
        return run("ip", "netns", "exec", self.namespace, *words, check=check)

    def ip(self, *words: str, check: bool = True) -> str:
        return run("ip", "-n", self.namespace, *words, check=check)

    def has(self, address: str) -> bool:
        """Whether an address is on any interface."""
        return f" {address}/" in self.ip("-o", "addr", "show")

    def spawn(self, *words: str, **options: object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["ip", "netns", "exec", self.namespace, *words], **options)  # type: ignore[call-overload]
        self.processes.append(process)
        return process  # type: ignore[no-any-return]

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for close in self.closers:
            close()


class Segment:
    """Nodes 10.77.0.1, .2, ... on a bridge."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.hub = f"{prefix}-hub"
        self.nodes: list[Node] = []
        self.captures: list[Capture] = []
        run("ip", "netns", "add", self.hub)
        run("ip", "-n", self.hub, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", self.hub, "link", "set", "br0", "up")

    def node(self) -> Node:
        number = len(self.nodes) + 1
        node = Node(f"n{number}", f"{self.prefix}-n{number}", f"10.77.0.{number}")
        run("ip", "netns", "add", node.namespace)
        self.nodes.append(node)
        node.ip("link", "set", "lo", "up")
        self.attach(node)
        return node

    def attach(self, node: Node) -> None:
        """Give a node its eth0."""
        port = f"p{node.name[1:]}"
        run("ip", "link", "add", "eth0", "netns", node.namespace, "type", "veth", "peer", port, "netns", self.hub)
        node.run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.eth0.accept_dad=0")
        node.ip("addr", "add", f"{node.address}/24", "dev", "eth0")
        node.ip("link", "set", "eth0", "up")
        run("ip", "-n", self.hub, "link", "set", port, "master", "br0", "up")

    def cut(self, node: Node) -> None:
        """Pull the plug: the node's eth0 loses its carrier."""
        run("ip", "-n", self.hub, "link", "set", f"p{node.name[1:]}", "down")

    def plug(self, node: Node) -> None:
        run("ip", "-n", self.hub, "link", "set", f"p{node.name[1:]}", "up")

    def capture(self) -> Capture:
        """Everything on the wire, as a node that only listens hears it."""
        port = f"cap{len(self.captures)}"
        run("ip", "-n", self.hub, "link", "add", port, "type", "veth", "peer", "name", f"{port}x")
        run("ip", "-n", self.hub, "link", "set", port, "master", "br0", "up")
        run("ip", "-n", self.hub, "link", "set", f"{port}x", "up")
        capture = Capture(self.hub, f"{port}x")
        self.captures.append(capture)
        return capture

    def close(self) -> None:
        for capture in self.captures:
            capture.close()
        for node in self.nodes:
            node.end()
        for namespace in [node.namespace for node in self.nodes] + [self.hub]:
            if Path(f"/run/netns/{namespace}").exists():
                run("ip", "netns", "del", namespace, check=False)


def unique(prefix: str) -> str:
    """A prefix for namespaces that no other test run uses."""
    return f"{prefix}{os.getpid()}"
