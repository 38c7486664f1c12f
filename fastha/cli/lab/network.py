"""The lab's wires: two bridges, and machines in network namespaces with plain addresses.

                         front 192.0.2.0/24
        client .100 ----+-------------+
                        | eth0        | eth0
                    director1 .11  director2 .12
                        | eth1        | eth1
                    ----+------+------+------+---- back 10.0.0.0/24
                               |      |      |
                           web1 .21 web2 .22 web3 .23

Inside a cage (`cage.py`): nothing here is ever removed by hand.
"""

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DIRECTORS: Final = ("director1", "director2")
SERVERS: Final = {"web1": "10.0.0.21", "web2": "10.0.0.22", "web3": "10.0.0.23"}
BRIDGES: Final = ("front", "back")


@dataclass(frozen=True, slots=True)
class Port:
    """One cable: the machine's device, the bridge at the other end, the address with its prefix length."""

    machine: str
    device: str
    bridge: str
    address: str

    @property
    def plug(self) -> str:
        """The device at the bridge's end."""
        return f"{self.machine}-{self.bridge}"[-15:]


PORTS: Final = (
    Port("client", "eth0", "front", "192.0.2.100/24"),
    *(Port(name, "eth0", "front", f"192.0.2.{11 + number}/24") for number, name in enumerate(DIRECTORS)),
    *(Port(name, "eth1", "back", f"10.0.0.{11 + number}/24") for number, name in enumerate(DIRECTORS)),
    *(Port(name, "eth0", "back", f"{address}/24") for name, address in SERVERS.items()),
)
MACHINES: Final = tuple(dict.fromkeys(port.machine for port in PORTS))
SYSCTLS: Final = {
    # what an operator of a director sets; rp_filter off on all, replies may come by another way than requests left
    "director": ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"),
    "": ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"),
}


def inside(machine: str, argv: Iterable[str]) -> list[str]:
    """The command line that runs `argv` in the network of `machine`."""
    return ["nsenter", f"--net=/run/netns/{machine}", "--", *argv]


def ip(lines: Iterable[str], machine: str | None = None) -> None:
    """Run lines of `ip -batch`, in the network of `machine` if given. Raises RuntimeError with what `ip` says."""
    argv = ["ip", *(["-n", machine] if machine else []), "-batch", "-"]
    done = subprocess.run(argv, input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")


def build() -> None:
    """Make the bridges and every machine. Raises RuntimeError."""
    ip(
        line
        for bridge in BRIDGES
        for line in (f"link add {bridge} type bridge mcast_snooping 0", f"link set {bridge} up")
    )
    for machine in MACHINES:
        install(machine)


def install(machine: str) -> None:
    """Make a machine, as after booting: its network, cables, ordinary addresses. Raises RuntimeError."""
    ports = [port for port in PORTS if port.machine == machine]
    ip([f"netns add {machine}"])
    write_sysctls(machine, [line for prefix, lines in SYSCTLS.items() if machine.startswith(prefix) for line in lines])
    for port in ports:
        ip(
            [
                f"link add {port.plug} type veth peer name {port.device} netns {machine}",
                f"link set {port.plug} master {port.bridge} up",
            ]
        )
    inner = [f"addr add {port.address} dev {port.device}" for port in ports]
    ip(["link set lo up", *inner, *[f"link set {port.device} up" for port in ports]], machine)


def remove(machine: str) -> None:
    """The machine is no more, with all its kernel knew; its processes must be dead. Raises RuntimeError."""
    # the cables by name: the kernel ends a namespace, and what is in it, some time later
    ip([*[f"link delete {port.plug}" for port in PORTS if port.machine == machine], f"netns delete {machine}"])


def write_sysctls(machine: str, settings: Iterable[str]) -> None:
    """Write `a.b.c=value` settings in the network of `machine`, without needing the program sysctl."""
    commands = (
        f"echo {value} >/proc/sys/{name.replace('.', '/')}" for name, _, value in (s.partition("=") for s in settings)
    )
    subprocess.run(inside(machine, ["sh", "-ec", "\n".join(commands)]), check=True)


def default_routes(routes: Mapping[str, str]) -> None:
    """machine -> gateway."""
    for machine, gateway in routes.items():
        ip([f"route replace default via {gateway}"], machine)


def plugged(machine: str, on: bool, bridge: str | None = None) -> None:
    """Pull out (or put back) a machine's cables, all or the one to `bridge`: it loses the carrier."""
    state = "up" if on else "down"
    ip(f"link set {p.plug} {state}" for p in PORTS if p.machine == machine and bridge in (None, p.bridge))


def switched(machine: str, bridge: str, on: bool) -> None:
    """Cut a machine off from `bridge` behind its switch: packets get lost, the carrier stays."""
    ip(
        f"link set {p.plug} {f'master {bridge}' if on else 'nomaster'}"
        for p in PORTS
        if p.machine == machine and p.bridge == bridge
    )


def addresses(machine: str) -> set[str]:
    """The IPv4 addresses the kernel has in the network of `machine` right now; none when it is being removed."""
    argv = ["ip", "-n", machine, "-o", "-4", "address", "show"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode and Path("/run/netns", machine).exists():
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return {line.split()[3].partition("/")[0] for line in done.stdout.splitlines()}
