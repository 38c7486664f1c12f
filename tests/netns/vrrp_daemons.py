"""Daemons for the segment: fastha's vrrp process driven over its control channel, and C keepalived."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from fastha.model import codec
from fastha.model.plan import AuthType, VirtualAddress, VrrpInstance, VrrpPlan
from fastha.model.snapshot import VrrpSnapshot
from fastha.model.units import Ns
from fastha.process import datagram, messages
from fastha.process.child import RETIRE
from fastha.system.memfd import read_sealed, write_sealed
from tests.netns.segment import Node
from tests.poll import until

ROOT = Path(__file__).parents[2]


def instance(
    name: str = "VI", *, vrid: int = 51, priority: int = 100, vips: Sequence[str] = ("10.77.0.100",), **words: object
) -> VrrpInstance:
    """An instance on eth0; IPv6 when its first address is."""
    family = 6 if ":" in vips[0] else 4
    version = words.pop("version", 3 if family == 6 else 2)
    words.setdefault("garp_master_delay", 0)
    addresses = tuple(
        VirtualAddress(  # type: ignore[arg-type]
            address=vip, prefixlen=128 if ":" in vip else 32, dev="eth0", preferred_lft=0 if ":" in vip else None
        )
        for vip in vips
    )
    if family == 6:
        words.setdefault("group", "ff02::12")
    return VrrpInstance(
        name=name,
        interface="eth0",
        virtual_router_id=vrid,
        family=family,
        version=version,  # type: ignore[arg-type]
        priority=priority,
        addresses=addresses,
        **words,  # type: ignore[arg-type]
    )


def password(text: str, kind: AuthType = AuthType.PASS) -> dict[str, object]:
    return {"auth_type": kind, "auth_pass": text.encode().ljust(8, b"\0")}


VRRP = (sys.executable, "-m", "fastha.process.vrrp")
HANGS = (
    sys.executable, "-c",
    "import signal, sys, time; from fastha.process.vrrp import main\n"
    "signal.signal(signal.SIGWINCH, lambda *_: time.sleep(3))\n"
    "sys.exit(main())",
)  # fmt: skip
"""The vrrp process, but SIGWINCH makes its Python hang for 3 s. Its engine does not care."""


class FasthaVrrp:
    """`python -m fastha.process.vrrp`, or another `program` that is it, in a node's namespace."""

    def __init__(
        self,
        node: Node,
        plan: VrrpPlan,
        run_dir: Path,
        resume: tuple[str, ...] = (),
        program: Sequence[str] = VRRP,
    ) -> None:
        self.node = node
        self.log: list[str] = []
        self.states: dict[str, str] = {}
        self.messages: list[messages.Message] = []
        self._serial = 0
        self._parts: dict[int, VrrpSnapshot] = {}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        node.closers.append(self._close)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = node.spawn(
            *program,
            "--control",
            str(theirs.fileno()),
            "--run-dir",
            str(run_dir),
            pass_fds=(theirs.fileno(),),
            env=environment,
            cwd=str(ROOT),
        )
        theirs.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.give(plan, resume)

    def give(self, plan: VrrpPlan, resume: tuple[str, ...] = ()) -> None:
        """Start or reload, and wait until the Plan is in force."""
        self._serial += 1
        fd = write_sealed("plan", codec.encode(plan))
        self._send(messages.NewPlan(self._serial, resume), (fd,))
        os.close(fd)
        ready = until(lambda: self.ready(self._serial), "the vrrp process to be ready", 15)
        assert not ready.error, ready.error

    def ready(self, serial: int) -> messages.Ready | None:
        if self.process.poll() is not None and not self._reader.is_alive():
            raise AssertionError(f"the vrrp process ended with {self.process.returncode}: {self.log}")
        return next((m for m in self.messages if isinstance(m, messages.Ready) and m.serial == serial), None)

    def state(self, name: str = "VI") -> str | None:
        return self.states.get(name)

    def snapshot(self, seconds: float = 5.0) -> VrrpSnapshot:
        self._serial += 1
        serial = self._serial
        self._send(messages.AskSnapshot(serial))
        return until(lambda: self._parts.get(serial), "a snapshot", seconds)

    def link(self) -> socket.socket:
        """A socket as the runner's end of a link to this process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._send(messages.Link("runner"), (theirs.fileno(),))
        theirs.close()
        self.node.closers.append(ours.close)
        return ours

    def ping(self) -> int:
        self._serial += 1
        self._send(messages.Ping(self._serial))
        return self._serial

    def ponged(self, serial: int) -> bool:
        return any(isinstance(m, messages.Pong) and m.serial == serial for m in self.messages)

    def stop(self, *, release: bool = True) -> None:
        self._send(messages.Stop(release))
        self.process.wait(10)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def retire(self) -> None:
        self.process.send_signal(RETIRE)
        self.process.wait(10)

    def forsake(self) -> None:
        """Close the supervisor's end, as when it is killed."""
        self._control.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        self._reader.join(5)
        self._control.close()

    def _send(self, message: messages.Message, fds: tuple[int, ...] = ()) -> None:
        socket.send_fds(self._control, [datagram.encode(message)], fds)

    def _read(self) -> None:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._control, 1 << 16, 8)
            except OSError:
                return
            if not data:
                return
            if data == datagram.IN_MEMFD:
                data, fds = read_sealed(fds[0]), fds[1:]
            message = datagram.decode(data)
            match message:
                case messages.States(states):
                    self.states.update(states)
                case messages.LogLine(level, text):
                    self.log.append(f"{level}: {text}")
                case messages.SnapshotPart(serial):
                    self._parts[serial] = codec.decode(VrrpSnapshot, read_sealed(fds[0]))
                case _:
                    self.messages.append(message)


class Keepalived:
    """C keepalived, VRRP only, in a node's namespace."""

    def __init__(self, node: Node, config: str, directory: Path) -> None:
        self.node = node
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "keepalived.conf").write_text(config)
        self.output = directory / "log"
        pid = ["-p", str(directory / "pid"), "-r", str(directory / "vrrp.pid")]
        with self.output.open("wb") as file:
            self.process = node.spawn(
                "keepalived", "-n", "-l", "-D", "-P", "-G", "-f", str(directory / "keepalived.conf"), *pid,
                stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def state(self) -> str | None:
        """The last state the log tells."""
        words = [line.split() for line in self.log().splitlines() if "Entering" in line and "STATE" in line]
        return words[-1][words[-1].index("Entering") + 1] if words else None

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def keepalived_config(plan: VrrpInstance, interval: Ns, **words: object) -> str:
    """The same instance in keepalived's language."""
    lines = [
        f"state {'MASTER' if plan.initial_master else 'BACKUP'}",
        f"interface {plan.interface}",
        f"virtual_router_id {plan.virtual_router_id}",
        f"version {plan.version}",
        f"priority {plan.priority}",
        f"advert_int {interval / 1e9:g}",
        f"down_timer_adverts {plan.down_timer_adverts}",
        f"garp_master_delay {plan.garp_master_delay // 10**9}",
    ]
    if plan.nopreempt:
        lines.append("nopreempt")
    if plan.preempt_delay:
        lines.append(f"preempt_delay {plan.preempt_delay // 10**9}")
    if plan.auth_pass:
        secret = plan.auth_pass.rstrip(bytes(1)).decode()
        lines.append(f"authentication {{\n auth_type {plan.auth_type}\n auth_pass {secret}\n}}")
    if plan.unicast:
        peers = "\n".join(peer.address for peer in plan.unicast_peers)
        lines.append(f"unicast_src_ip {plan.source}\nunicast_peer {{\n{peers}\n}}")
    lines += [f"{key} {value}" for key, value in words.items()]
    vips = "\n".join(f"{a.address}/{a.prefixlen} dev {a.dev}" for a in plan.addresses)
    body = "\n".join(lines)
    return f"vrrp_instance {plan.name} {{\n{body}\nvirtual_ipaddress {{\n{vips}\n}}\n}}\n"
