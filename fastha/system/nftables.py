"""The plane where the kernel has no IPVS: destination NAT by nftables, through the `nft` program.

Every change is one transaction: it happens as a whole or not at all, and no packet sees half of it. What the table
looks like stands in `wire.nftables`; connections of servers that stay are held by connection tracking.

Nothing is remembered that the kernel does not confirm: the kernel counts its transactions, so while that number is
the one of our own last transaction, the table is as we left it; otherwise it is read anew.
"""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterable
from typing import Final

from fastha.model.net import Family
from fastha.model.table import Entry, Op, Operation, Refusal, ServiceKey, SyncDaemon, Table
from fastha.system.netlink import NETLINK_NETFILTER, AnswersLost, NetlinkSocket
from fastha.wire import netfilter, nftlisting
from fastha.wire import nftables as wire

TIMEOUT: Final = 60
"""Seconds for one run of nft."""
_UDP: Final = 17


class NftablesPlane:
    """Our table in the network namespace that the caller is in while it makes this.

    OSError when there is no `nft`, or when it or the kernel cannot do what is needed (the text says what).
    """

    name = "nftables"
    note = ""
    slow = True

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(NETLINK_NETFILTER)
        self._table: Table = {}
        self._fresh = True
        """The next change makes the whole table: there is none, or somebody has had his hands in it."""
        self._generation = -1
        self._tracks = True
        """Whether entries of connection tracking can be deleted."""
        self.damage: list[str] = []
        """What the last reading found not to be as it was made."""
        try:
            self._rehearse()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._netlink.close()

    def _rehearse(self) -> None:
        error = transact(wire.rehearsal())
        if error:
            raise OSError(errno.EOPNOTSUPP, f"nftables cannot balance here: {error}")
        try:
            self._netlink.ask(netfilter.GET_FLOW_STATISTICS, netfilter.encode_get())
        except OSError as refused:
            self._tracks = False
            self.note = (
                f"connection tracking cannot be edited ({os.strerror(refused.errno or 0)}): UDP clients stay with "
                "removed servers for as long as they go on sending"
            )

    # ------------------------------------------------------------------------------------------ read

    def read(self) -> Table:
        """See `model.table.Plane`: the services of our own table, as the kernel has them. Flows are not counted."""
        self._refresh()
        return {at: Entry(entry.service, dict(entry.destinations)) for at, entry in self._table.items()}

    def read_one(self, at: ServiceKey) -> Entry | None:
        """See `model.table.Plane`."""
        return self._table.get(at)

    def disturbed(self) -> bool:
        """See `model.table.Plane`: somebody changed something of nftables. (To be told of each change the kernel would
        write a message for every element, also of our own transactions: asking for the number costs nothing.)"""
        return self._ask_generation() != self._generation

    def _refresh(self) -> None:
        generation = self._ask_generation()
        if generation == self._generation:
            return
        listing, error = _run(["-n", "-j", "list", "table", *wire.TABLE.split()])
        if error:
            if "No such file or directory" not in error:
                raise OSError(errno.EIO, f"nft cannot list our table: {error}")
            reading = nftlisting.Reading()
            self._fresh = True
        else:
            reading = nftlisting.parse(listing)
            self._fresh = bool(reading.damage)
        self._table, self.damage = reading.table, reading.damage
        # When somebody changed something while nft was reading, the number shows it the next time.
        self._generation = generation

    def _ask_generation(self) -> int:
        answer = self._netlink.ask(netfilter.GET_GENERATION, netfilter.encode_get())
        return netfilter.decode_generation(answer)

    # ----------------------------------------------------------------------------------------- change

    def apply(self, operations: list[Operation]) -> list[Refusal]:
        """See `model.table.Plane`."""
        if not operations:
            return []
        self._refresh()
        new: Table = dict(self._table)
        refusals: list[Refusal] = []
        changed: dict[ServiceKey, list[Operation]] = {}
        for operation in operations:
            code, why = _change(self._table, new, operation)
            if code:
                refusals.append(_refusal(operation, code, why))
            else:
                changed.setdefault(operation.at, []).append(operation)
        self._commit(new, changed, refusals)
        return refusals

    def _commit(self, new: Table, changed: dict[ServiceKey, list[Operation]], refusals: list[Refusal]) -> None:
        """All services in one transaction; when it is refused, each in one of its own, to know which one it was."""
        different = [at for at in changed if self._table.get(at) != new.get(at)]
        if not different and not (self._fresh and new):
            return
        error = self._transact(new, new if self._fresh else different)
        if not error:
            return
        for at in different:
            one = dict(self._table)
            if at in new:
                one[at] = new[at]
            else:
                one.pop(at, None)
            error = self._transact(one, one if self._fresh else [at])
            if error:
                refusals += [_refusal(operation, errno.EIO, error) for operation in changed[at]]

    def _transact(self, new: Table, changed: Iterable[ServiceKey]) -> str:
        """Do it; the error, or nothing when it is done."""
        old = self._table
        before = self._ask_generation()
        error = transact(wire.transaction(old, new, changed, fresh=self._fresh) if new else _NOTHING)
        if error:
            return error
        self._table, self._fresh, self.damage = new, not new, []
        after = self._ask_generation()
        # One transaction is one step. With another's in between, read anew before the next change.
        self._generation = after if after - before == 1 else -1
        self._forget_flows(old, new)
        return ""

    def _forget_flows(self, old: Table, new: Table) -> None:
        """End what connection tracking knows of UDP clients of removed servers: a client that goes on sending would be
        sent there for ever. TCP connections end by themselves."""
        gone: dict[Family, _Gone] = {4: {}, 6: {}}
        for at, entry in old.items():
            if at.protocol in {"UDP", ""}:
                left = new[at].destinations if at in new else {}
                for server in entry.destinations.keys() - left.keys():
                    to = (server.address, server.port or at.port)
                    gone[at.family].setdefault(to, set()).add((at.address, at.port))
        for family, servers in gone.items():
            if servers and self._tracks:
                self._delete_flows(family, servers)

    def _delete_flows(self, family: Family, gone: "_Gone") -> None:
        payloads = []
        for each in self._netlink.dump(netfilter.GET_FLOW, netfilter.encode_get_flows(family)):
            with contextlib.suppress(ValueError):  # an entry of a kind that we never make
                flow = netfilter.decode_flow(each)
                if flow is not None and flow.protocol == _UDP and _is_gone(flow, gone):
                    payloads.append(flow.raw)
        # What is refused ended by itself meanwhile, and nothing depends on the answers.
        with contextlib.suppress(AnswersLost):
            self._netlink.batch(netfilter.DELETE_FLOW, payloads)

    def read_timeouts(self) -> tuple[int, int, int]:
        """See `model.table.Plane`; there are none."""
        return 0, 0, 0

    def set_timeouts(self, tcp: int, tcpfin: int, udp: int) -> None:
        """Not possible: OSError EOPNOTSUPP. Connection tracking has its own timeouts, for all of the host."""
        if tcp or tcpfin or udp:
            raise OSError(
                errno.EOPNOTSUPP,
                "lvs_timeouts take IPVS; with nftables they are net.netfilter.nf_conntrack_{tcp,udp}_timeout*",
            )

    def read_daemons(self) -> list[SyncDaemon]:
        """See `model.table.Plane`; there are none."""
        return []

    def start_daemon(self, daemon: SyncDaemon) -> None:  # noqa: ARG002
        """Not possible: OSError EOPNOTSUPP."""
        raise OSError(errno.EOPNOTSUPP, "it takes IPVS; flows of nftables are copied by conntrackd")

    def stop_daemon(self, daemon: SyncDaemon) -> None:
        """See `model.table.Plane`; there are none."""

    def flush(self) -> None:
        """See `model.table.Plane`; our own table only, others are none of a load balancer's business."""
        error = self._transact({}, ())
        if error:
            raise OSError(errno.EIO, f"nft cannot delete our table: {error}")


_ENVIRONMENT: Final = {
    **os.environ,
    "LC_ALL": "C",
    "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",  # not every service manager's
}
_NOTHING: Final = f"add table {wire.TABLE}\ndelete table {wire.TABLE}\n"


_Gone = dict[tuple[str, int], set[tuple[str, int]]]
"""Server (port 0: any) -> the services it left: address (empty: one by mark) and port (0: any)."""


def _is_gone(flow: netfilter.Flow, gone: _Gone) -> bool:
    """Whether the flow goes to a server by a service that it left."""
    services = gone.get((flow.server, flow.server_port), set()) | gone.get((flow.server, 0), set())
    return any(address in {"", flow.address} and port in {0, flow.port} for address, port in services)


def transact(text: str) -> str:
    """Have nft carry out `text`; what went wrong in one line, or nothing. FileNotFoundError when there is no nft."""
    return _run(["-f", "-"], text)[1]


def _run(arguments: list[str], text: str = "") -> tuple[bytes, str]:
    """What nft prints, and what went wrong in one line."""
    try:
        done = subprocess.run(
            ["nft", *arguments],
            input=text.encode(),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            env=_ENVIRONMENT,
        )
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "there is no 'nft' program: install nftables") from None
    except subprocess.TimeoutExpired:
        return b"", f"nft did not end within {TIMEOUT} s"
    if done.returncode == 0:
        return done.stdout, ""
    error = _first_error(done.stderr.decode(errors="replace")) or f"nft ended with {done.returncode}"
    if "Message too long" in error:
        error += " (in a user namespace a transaction fits net.core.wmem_max or fails)"
    return b"", error


def _first_error(text: str) -> str:
    """The first thing nft complains of, without the position and the picture below it."""
    for line in text.splitlines():
        _, found, said = line.partition("Error: ")
        if found:
            return said.strip()
    return text.strip().splitlines()[0] if text.strip() else ""


def _change(old: Table, new: Table, operation: Operation) -> tuple[int, str]:
    """Carry `operation` out on `new`; errno and why not, or 0. What is added and there is changed, what is changed and
    not there is added, as with IPVS. An entry of `old` is copied before it is changed."""
    at, op = operation.at, operation.op
    entry = new.get(at)
    if op == Op.DELETE_SERVICE:
        new.pop(at, None)
        return 0, ""
    if op in {Op.ADD_SERVICE, Op.EDIT_SERVICE}:
        assert operation.service is not None
        why = wire.service_obstacle(at, operation.service)
        if why:
            return errno.EOPNOTSUPP, why
        new[at] = Entry(operation.service, dict(entry.destinations) if entry else {})
        return 0, ""
    assert operation.key is not None
    if entry is None:
        return (0, "") if op == Op.DELETE_DEST else (errno.ESRCH, "its service is not there")
    if entry is old.get(at):
        entry = new[at] = Entry(entry.service, dict(entry.destinations))
    if op == Op.DELETE_DEST:
        entry.destinations.pop(operation.key, None)
        return 0, ""
    assert operation.destination is not None
    why = wire.server_obstacle(operation.destination)
    if why:
        return errno.EOPNOTSUPP, why
    entry.destinations[operation.key] = operation.destination
    return 0, ""


_VERB: Final = {
    Op.ADD_SERVICE: "add the service",
    Op.EDIT_SERVICE: "change the service",
    Op.DELETE_SERVICE: "delete the service",
    Op.ADD_DEST: "add server",
    Op.EDIT_DEST: "change server",
    Op.DELETE_DEST: "delete server",
}


def _refusal(operation: Operation, code: int, why: str) -> Refusal:
    what = _VERB[operation.op] + (f" {operation.key}" if operation.key is not None else "")
    name = errno.errorcode.get(code, str(code))
    return Refusal(operation, code, f"nftables {operation.at}: cannot {what}: {name}; {why}")
