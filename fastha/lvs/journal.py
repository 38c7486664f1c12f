"""The journal: which services we have put into the kernel, for the process after us.

The kernel cannot tag a service with its owner. So before the first add the keys are written to a file that lives as
long as the kernel's table (/run), and the next process knows: ours = wanted + journal. One line per service, and one
for each thing to be put back at the end: the kernel's own timeouts, the connection synchronisation that we started.

    4 tcp 10.0.0.1 80
    6 mark 7
    timeouts 900 120 300
    sync
"""

from collections.abc import Collection
from dataclasses import dataclass

from fastha.model.net import Family, family_of, parse_address
from fastha.model.table import ServiceKey

_HEAD = "# services this host's fastha has put into the kernel; do not edit\n"
_PROTOCOLS = ("TCP", "UDP", "SCTP")


@dataclass(frozen=True, slots=True)
class Journal:
    """What it holds."""

    keys: Collection[ServiceKey] = frozenset()
    timeouts: tuple[int, int, int] | None = None
    """tcp, tcpfin, udp in seconds, as they were before we changed them; None: we did not."""
    sync: bool = False
    """The halves of the connection synchronisation are ours."""

    def __bool__(self) -> bool:
        return bool(self.keys or self.timeouts or self.sync)


def encode_journal(journal: Journal) -> bytes:
    """The file's content."""
    lines = [
        f"{key.family} mark {key.fwmark}"
        if key.fwmark
        else f"{key.family} {key.protocol.lower()} {key.address} {key.port}"
        for key in journal.keys
    ]
    lines.sort()
    if journal.timeouts is not None:
        lines.append("timeouts " + " ".join(map(str, journal.timeouts)))
    if journal.sync:
        lines.append("sync")
    return (_HEAD + "".join(f"{line}\n" for line in lines)).encode()


def _decode_line(line: str) -> ServiceKey:
    words = line.split()
    family: Family = 6 if words[0] == "6" else 4
    if words[0] not in ("4", "6"):
        raise ValueError("family")
    if words[1] == "mark":
        (mark,) = words[2:]
        if not 0 < int(mark) < 1 << 32:
            raise ValueError("mark")
        return ServiceKey(family, fwmark=int(mark))
    protocol, (address, port) = words[1].upper(), words[2:]
    if protocol not in _PROTOCOLS or not 0 <= int(port) < 65536:
        raise ValueError("protocol or port")
    parsed = parse_address(address)
    if family_of(parsed) != family:
        raise ValueError("family")
    return ServiceKey(family, 0, protocol, parsed, int(port))


def _decode_timeouts(words: list[str]) -> tuple[int, int, int]:
    tcp, tcpfin, udp = map(int, words)
    if min(tcp, tcpfin, udp) < 0:
        raise ValueError("timeout")
    return tcp, tcpfin, udp


def decode_journal(data: bytes) -> tuple[Journal, int]:
    """What is in it, and how many lines say nothing. A damaged journal only makes us know less as ours."""
    keys: set[ServiceKey] = set()
    timeouts: tuple[int, int, int] | None = None
    sync = False
    bad = 0
    for line in data.decode("ascii", "replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if line.startswith("timeouts "):
                timeouts = _decode_timeouts(line.split()[1:])
            elif line == "sync":
                sync = True
            else:
                keys.add(_decode_line(line))
        except (ValueError, IndexError):
            bad += 1
    return Journal(keys, timeouts, sync), bad
