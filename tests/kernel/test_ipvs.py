"""The IPVS plane against a real kernel, and against what ipvsadm makes of the same table."""

import errno
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from fastha.lvs.reconcile import reconcile
from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, Forwarding, Method, PlaneChoice, TunnelType
from fastha.model.table import Destination, DestinationKey, Entry, Op, Operation, Service, ServiceKey, Table
from fastha.system.ipvs import IpvsPlane
from fastha.system.plane import open_plane
from fastha.wire.ipvs import SyncDaemon

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

DR = Method(forwarding=Forwarding.DR)
IPIP = Method(forwarding=Forwarding.TUN)
GUE = Method(forwarding=Forwarding.TUN, tunnel=TunnelType.GUE, tunnel_port=6080, tunnel_flags=2)
GRE = Method(forwarding=Forwarding.TUN, tunnel=TunnelType.GRE, tunnel_flags=1)


def service_key(protocol: str, address: str, port: int) -> ServiceKey:
    return ServiceKey(6 if ":" in address else 4, 0, protocol, Address(address), port)


def server(address: str, port: int = 80) -> DestinationKey:
    return DestinationKey(Address(address), port)


WEB = service_key("TCP", "10.0.0.1", 80)
DNS = service_key("UDP", "2001:db8::1", 53)
PORTS = service_key("SCTP", "10.0.0.3", 0)
MARK = ServiceKey(4, 77)
MARK6 = ServiceKey(6, 78)

EVERYTHING: Table = {
    WEB: Entry(
        Service(scheduler="rr"),
        {
            server("10.0.1.1", 8080): Destination(weight=3, uthreshold=5, lthreshold=2),
            server("10.0.1.2"): Destination(weight=0, method=DR),
            server("10.0.1.3"): Destination(weight=65535, method=IPIP),
            server("10.0.1.4"): Destination(method=GUE),
            server("fd00::5"): Destination(method=GRE),
        },
    ),
    DNS: Entry(
        Service(scheduler="sh", flags=0x18, timeout=300, netmask=64),
        {server("fd00::2", 53): Destination(weight=7), server("10.0.1.9", 53): Destination(method=IPIP)},
    ),
    PORTS: Entry(Service(timeout=60, netmask=0xFFFFFF00), {server("10.0.1.1", 0): Destination()}),
    MARK: Entry(Service(scheduler="wrr", flags=0x4), {server("10.0.1.1", 0): Destination(method=DR)}),
    MARK6: Entry(Service(scheduler="mh", flags=0x10, netmask=128)),
}
"""One of everything."""

IPVSADM = """\
-A -t 10.0.0.1:80 -s rr
-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 3 -x 5 -y 2
-a -t 10.0.0.1:80 -r 10.0.1.2:80 -g -w 0
-a -t 10.0.0.1:80 -r 10.0.1.3:80 -i -w 65535 --tun-type ipip
-a -t 10.0.0.1:80 -r 10.0.1.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 10.0.0.1:80 -r [fd00::5]:80 -i -w 1 --tun-type gre --tun-csum
-A -u [2001:db8::1]:53 -s sh -p 300 -M 64 -b sh-fallback,sh-port
-a -u [2001:db8::1]:53 -r [fd00::2]:53 -m -w 7
-a -u [2001:db8::1]:53 -r 10.0.1.9:53 -i -w 1 --tun-type ipip
-A --sctp-service 10.0.0.3:0 -s wlc -p 60 -M 255.255.255.0
-a --sctp-service 10.0.0.3:0 -r 10.0.1.1:0 -m -w 1
-A -f 77 -s wrr -o
-a -f 77 -r 10.0.1.1:0 -g -w 1
-A -f 78 -6 -s mh -b mh-port
"""
"""The same in the words of ipvsadm."""


def saved() -> list[str]:
    """What `ipvsadm -Sn` prints: the table; thresholds are not in it."""
    done = subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True)
    return sorted(done.stdout.split("\n")[:-1])


def thresholds() -> list[tuple[str, ...]]:
    """Servers with thresholds: address, upper and lower."""
    done = subprocess.run(["ipvsadm", "-Ln", "--thresholds"], capture_output=True, text=True, check=True)
    return [found for found in re.findall(r"-> (\S+)\s+(\d+)\s+(\d+)\s", done.stdout) if found[1:] != ("0", "0")]


def restore(*lines: str) -> None:
    subprocess.run(["ipvsadm", "-R"], input="\n".join(lines) + "\n", text=True, check=True)


def make(plane: IpvsPlane, wanted: Table) -> None:
    assert plane.apply(reconcile({}, wanted)) == []


def add(at: ServiceKey, key: DestinationKey, destination: Destination | None = None) -> Operation:
    return Operation(Op.ADD_DEST, at, key=key, destination=destination or Destination())


def test_ipvsadm_sees_all_attributes(ipvs: IpvsPlane) -> None:
    make(ipvs, EVERYTHING)
    without_thresholds = [re.sub(r" -[xy] \d+", "", line) for line in IPVSADM.splitlines()]
    assert [re.sub(r"\s+$", "", line) for line in saved()] == sorted(without_thresholds)
    assert thresholds() == [("10.0.1.1:8080", "5", "2")]


def test_what_is_read_is_what_was_made(ipvs: IpvsPlane) -> None:
    make(ipvs, EVERYTHING)
    found = ipvs.read()
    assert {at: (entry.service, entry.destinations) for at, entry in found.items()} == {
        at: (entry.service, entry.destinations) for at, entry in EVERYTHING.items()
    }
    assert ipvs.not_understood == []
    assert reconcile(found, EVERYTHING) == []


def test_what_ipvsadm_made_is_read(ipvs: IpvsPlane) -> None:
    restore(*IPVSADM.splitlines())
    assert reconcile(ipvs.read(), EVERYTHING) == []


def test_a_table_is_turned_into_another(ipvs: IpvsPlane) -> None:
    """By the reconciler's few operations; what is the same in both is not touched."""
    make(ipvs, EVERYTHING)
    wanted: Table = {
        WEB: Entry(
            Service(scheduler="wlc"),
            {
                server("10.0.1.1", 8080): Destination(weight=4),
                server("10.0.1.2"): Destination(weight=0, method=DR),
                server("10.0.1.4"): Destination(method=GRE),
                server("10.0.1.7"): Destination(),
            },
        ),
        PORTS: EVERYTHING[PORTS],
        DNS: Entry(Service(scheduler="sh"), {server("fd00::2", 53): Destination(weight=7)}),
    }
    operations = reconcile(ipvs.read(), wanted, ours=EVERYTHING)
    assert not [each for each in operations if each.at == PORTS]
    assert ipvs.apply(operations) == []
    assert reconcile(ipvs.read(), wanted, ours=EVERYTHING) == []
    assert len(ipvs.read()) == 3


def test_foreign_services_stay(ipvs: IpvsPlane) -> None:
    foreign = ["-A -t 192.0.2.1:25 -s dh", "-a -t 192.0.2.1:25 -r 192.0.2.2:25 -g -w 9"]
    restore(*foreign)
    ours: Table = {WEB: EVERYTHING[WEB]}
    assert ipvs.apply(reconcile(ipvs.read(), ours)) == []
    assert ipvs.apply(reconcile(ipvs.read(), {}, ours=ours)) == []
    assert [line.strip() for line in saved()] == sorted(foreign)


def test_left_overs_of_a_crash_become_what_is_wanted(ipvs: IpvsPlane) -> None:
    """Without reading first: what is there is edited, what is gone is added."""
    restore("-A -t 10.0.0.1:80 -s sh -p 10", "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -g -w 9")
    refusals = ipvs.apply(
        [
            Operation(Op.ADD_SERVICE, WEB, Service(scheduler="rr")),
            add(WEB, server("10.0.1.1"), Destination(weight=2)),
            Operation(Op.EDIT_DEST, WEB, key=server("10.0.1.2"), destination=Destination(weight=3)),
            Operation(Op.DELETE_DEST, WEB, key=server("10.0.1.3")),
            Operation(Op.DELETE_SERVICE, DNS),
            Operation(Op.EDIT_SERVICE, MARK, Service(scheduler="rr")),
        ]
    )
    assert refusals == []
    assert [line.strip() for line in saved()] == [
        "-A -f 77 -s rr",
        "-A -t 10.0.0.1:80 -s rr",
        "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 2",
        "-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 3",
    ]


REFUSED = {
    "no such scheduler": (
        Operation(Op.ADD_SERVICE, service_key("TCP", "10.0.0.9", 80), Service(scheduler="nosuch")),
        errno.ENOENT,
        "modprobe ip_vs_nosuch",
    ),
    "no service": (add(service_key("TCP", "10.0.0.8", 80), server("10.0.1.1")), errno.ESRCH, "not in the kernel"),
    "multicast": (add(WEB, server("224.0.0.1")), errno.EINVAL, "unicast"),
    "thresholds": (
        add(WEB, server("10.3.3.3"), Destination(uthreshold=2, lthreshold=4)),
        errno.ERANGE,
        "lower threshold 4 is above the upper one 2",
    ),
    "weight": (add(WEB, server("10.3.3.3"), Destination(weight=-1)), errno.ERANGE, "negative"),
    "other family": (add(WEB, server("fd00::9")), errno.EINVAL, "TUN only"),
    "gue without port": (
        add(WEB, server("10.3.3.4"), Destination(method=Method(forwarding=Forwarding.TUN, tunnel=TunnelType.GUE))),
        errno.EINVAL,
        "tunnel needs a port",
    ),
}


def test_refusals_name_themselves_and_stop_nothing(ipvs: IpvsPlane) -> None:
    make(ipvs, {WEB: Entry(Service(scheduler="rr"))})
    operations = [operation for operation, _, _ in REFUSED.values()]
    refusals = ipvs.apply([*operations, add(WEB, server("10.0.1.1"))])
    assert [(each.operation, each.errno) for each in refusals] == [each[:2] for each in REFUSED.values()]
    for refusal, (operation, code, words) in zip(refusals, REFUSED.values(), strict=True):
        assert str(operation.at) in refusal.text
        assert errno.errorcode[code] in refusal.text
        assert words in refusal.text
    assert list(ipvs.read()[WEB].destinations) == [server("10.0.1.1")]


def many(count: int) -> Iterator[DestinationKey]:
    return (server(f"10.9.{number >> 8}.{number & 255}") for number in range(count))


def test_five_thousand_servers_in_batches(ipvs: IpvsPlane) -> None:
    count = 5000
    wanted = {key: Destination(weight=number) for number, key in enumerate(many(count))}
    began = time.monotonic()
    make(ipvs, {WEB: Entry(Service(scheduler="wrr"), wanted)})
    taken = time.monotonic() - began
    assert ipvs.read()[WEB].destinations == wanted
    # Round trips of one message each would take a process a second and more here.
    assert taken < 5
    # All of them refused: more answers than a default socket holds.
    again = [add(WEB, server(f"224.0.{number >> 8}.{number & 255}")) for number in range(count)]
    assert len(ipvs.apply(again)) == count
    # All of them there: each is edited.
    assert ipvs.apply([add(WEB, key, Destination(weight=1)) for key in many(count)]) == []
    assert {each.weight for each in ipvs.read()[WEB].destinations.values()} == {1}
    assert ipvs.apply([Operation(Op.DELETE_DEST, WEB, key=key) for key in many(count)]) == []
    assert ipvs.read()[WEB].destinations == {}


def test_timeouts(ipvs: IpvsPlane) -> None:
    before = ipvs.read_timeouts()
    ipvs.set_timeouts(100, 0, 7)
    assert ipvs.read_timeouts() == (100, before[1], 7)
    ipvs.set_timeouts(*before)
    assert ipvs.read_timeouts() == before


def test_flush_takes_everything(ipvs: IpvsPlane) -> None:
    restore("-A -t 192.0.2.1:25 -s dh")
    make(ipvs, {WEB: EVERYTHING[WEB]})
    ipvs.flush()
    assert saved() == []


def test_sync_daemons(ipvs: IpvsPlane) -> None:
    subprocess.run("ip link add sync0 type dummy && ip link set sync0 up", shell=True, check=True)
    try:
        master = SyncDaemon(master=True, interface="sync0", syncid=7)
        backup = SyncDaemon(
            master=False, interface="sync0", syncid=8, maxlen=1400, group=Address("224.0.0.99"), port=9999, ttl=3
        )
        ipvs.start_daemon(master)
        ipvs.start_daemon(backup)
        found = ipvs.read_daemons()
        assert [(each.master, each.interface, each.syncid) for each in found] == [
            (True, "sync0", 7),
            (False, "sync0", 8),
        ]
        assert found[1] == backup
        with pytest.raises(FileExistsError):
            ipvs.start_daemon(master)
        ipvs.stop_daemon(master)
        assert ipvs.read_daemons() == [backup]
        ipvs.stop_daemon(backup)
        with pytest.raises(ProcessLookupError):
            ipvs.stop_daemon(backup)
        with pytest.raises(OSError, match="No such device") as caught:
            ipvs.start_daemon(SyncDaemon(master=True, interface="none0", syncid=1))
        assert caught.value.errno == errno.ENODEV
    finally:
        subprocess.run(["ip", "link", "delete", "sync0"], check=True)


def test_auto_takes_ipvs() -> None:
    plane = open_plane(PlaneChoice.AUTO, CheckerPlan())
    assert (plane.name, plane.note) == ("ipvs", "")
    plane.close()


def test_a_plane_belongs_to_its_namespace(ipvs: IpvsPlane) -> None:
    """Made inside another network namespace it sees that one's table, and goes on seeing it outside."""
    make(ipvs, {WEB: EVERYTHING[WEB]})
    program = (
        "from fastha.system.ipvs import IpvsPlane; from fastha.model.table import *\n"
        "plane = IpvsPlane(); assert plane.read() == {}\n"
        "assert plane.apply([Operation(Op.ADD_SERVICE, ServiceKey(4, 5), Service())]) == []\n"
        "print([str(at) for at in plane.read()])"
    )
    inside = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$0" -c "$1"']
    done = subprocess.run([*inside, _python(), program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['FWM 5']\n", "")
    assert list(ipvs.read()) == [WEB]


def _python() -> str:
    import sys

    return sys.executable
