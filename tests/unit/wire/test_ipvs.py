"""IPVS messages against what ipvsadm and the kernel say (ipvs-captures.tsv), and against pyroute2's classes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from timeit import repeat
from typing import Any

import pytest
from pyroute2.netlink.generic.ipvs import ipvsmsg

from fastha.model.net import Address
from fastha.model.plan import Forwarding, Method, TunnelType
from fastha.model.table import Destination, DestinationKey, Op, Operation, Service, ServiceKey
from fastha.wire import ipvs, netlink

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the captures are of a little-endian machine")

CAPTURES = [
    line.split("\t")
    for line in (Path(__file__).parent / "ipvs-captures.tsv").read_text().splitlines()
    if not line.startswith("#")
]


def service_key(protocol: str, address: str, port: int) -> ServiceKey:
    return ServiceKey(6 if ":" in address else 4, 0, protocol, Address(address), port)


def server(address: str, port: int) -> DestinationKey:
    return DestinationKey(Address(address), port)


WEB = service_key("TCP", "10.0.0.1", 80)
DNS = service_key("UDP", "2001:db8::1", 53)
DR = Method(forwarding=Forwarding.DR)
IPIP = Method(forwarding=Forwarding.TUN)
GUE = Method(forwarding=Forwarding.TUN, tunnel=TunnelType.GUE, tunnel_port=6080, tunnel_flags=1)
GRE = Method(forwarding=Forwarding.TUN, tunnel=TunnelType.GRE, tunnel_flags=1)


def add(at: ServiceKey, address: str, port: int, **attributes: Any) -> Operation:
    return Operation(Op.ADD_DEST, at, key=server(address, port), destination=Destination(**attributes))


OPERATIONS = {
    "-A -t 10.0.0.1:80 -s rr": Operation(Op.ADD_SERVICE, WEB, Service(scheduler="rr")),
    "-A -u [2001:db8::1]:53 -s sh -b sh-fallback,sh-port -p 300 -M 64": Operation(
        Op.ADD_SERVICE, DNS, Service(scheduler="sh", flags=0x18, timeout=300, netmask=64)
    ),
    "-A -f 77 -s wrr -p 60 -M 255.255.255.0": Operation(
        Op.ADD_SERVICE, ServiceKey(4, 77), Service(scheduler="wrr", timeout=60, netmask=0xFFFFFF00)
    ),
    "-A -f 78 -6 -s mh -o": Operation(
        Op.ADD_SERVICE, ServiceKey(6, 78), Service(scheduler="mh", flags=0x4, netmask=128)
    ),
    "-A --sctp-service 10.0.0.3:0 -s wlc -p": Operation(
        Op.ADD_SERVICE, service_key("SCTP", "10.0.0.3", 0), Service(scheduler="wlc", timeout=360)
    ),
    "-E -t 10.0.0.1:80 -s wlc": Operation(Op.EDIT_SERVICE, WEB, Service(scheduler="wlc")),
    "-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 3 -x 5 -y 2": add(
        WEB, "10.0.1.1", 8080, weight=3, uthreshold=5, lthreshold=2
    ),
    "-e -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 0": Operation(
        Op.EDIT_DEST, WEB, key=server("10.0.1.1", 8080), destination=Destination(weight=0)
    ),
    "-a -t 10.0.0.1:80 -r 10.0.1.2:80 -g": add(WEB, "10.0.1.2", 80, method=DR),
    "-a -t 10.0.0.1:80 -r 10.0.1.3:80 -i": add(WEB, "10.0.1.3", 80, method=IPIP),
    "-a -t 10.0.0.1:80 -r 10.0.1.4:80 -i --tun-type gue --tun-port 6080 --tun-csum": add(
        WEB, "10.0.1.4", 80, method=GUE
    ),
    "-a -t 10.0.0.1:80 -r [fd00::5]:80 -i --tun-type gre --tun-csum": add(WEB, "fd00::5", 80, method=GRE),
    "-a -u [2001:db8::1]:53 -r [fd00::2]:53 -m -w 65535": add(DNS, "fd00::2", 53, weight=65535),
    "-a -f 77 -r 10.0.1.1:0 -m": add(ServiceKey(4, 77), "10.0.1.1", 0),
    "-d -t 10.0.0.1:80 -r 10.0.1.1:8080": Operation(Op.DELETE_DEST, WEB, key=server("10.0.1.1", 8080)),
    "-D -t 10.0.0.1:80": Operation(Op.DELETE_SERVICE, WEB),
    "-D -f 78 -6": Operation(Op.DELETE_SERVICE, ServiceKey(6, 78)),
}
"""What ipvsadm was told, as operations."""

OTHERS = {
    "--set 900 120 300": ipvs.encode_timeouts(900, 120, 300),
    "-C": ipvs.encode_flush(),
    "--start-daemon master --mcast-interface d0 --syncid 7": ipvs.encode_start_daemon(
        ipvs.SyncDaemon(master=True, interface="d0", syncid=7)
    ),
    "--stop-daemon master": ipvs.encode_stop_daemon(ipvs.SyncDaemon(master=True)),
}

SENT = {columns[1]: bytes.fromhex(columns[2]) for columns in CAPTURES if columns[0] == "sent"}

_NESTS = (1, 2, 3)


def tree(payload: bytes) -> dict[int, Any]:
    """Command at 0, then the attributes; nests of the service, destination and daemon opened."""
    top = netlink.attributes(payload, netlink.GENERIC_HEADER)
    opened: dict[int, Any] = {
        kind: netlink.attributes(value) if kind in _NESTS and len(value) > 4 else value for kind, value in top.items()
    }
    return {0: payload[0], **opened}


def test_every_capture_is_compared() -> None:
    assert set(SENT) == set(OPERATIONS) | set(OTHERS)


@pytest.mark.parametrize("command", OPERATIONS)
def test_operations_say_what_ipvsadm_says(command: str) -> None:
    ours, theirs = tree(ipvs.encode(OPERATIONS[command])), tree(SENT[command])
    operation = OPERATIONS[command]
    assert ours[0] == theirs[0]
    # ipvsadm always sends all of a service and of a destination; we send as much as the command needs.
    if operation.service is not None:
        assert _effective(ours[1]) == _effective(theirs[1])
    else:
        assert ours[1].items() <= theirs[1].items()
    if operation.destination is not None:
        assert ours[2] == {kind: value for kind, value in theirs[2].items() if kind in ours[2]}
        assert set(theirs[2]) - set(ours[2]) <= {13, 14, 15}, "tunnel options of something that is no tunnel"
    elif operation.key is not None:
        assert ours[2].items() <= theirs[2].items()


def _effective(service: dict[int, bytes]) -> dict[int, bytes]:
    """Without the mask of the flags: ipvsadm sends all bits set, as we do, but leaves the hashed bit as it was read."""
    return {kind: value for kind, value in service.items() if kind != 7} | {7: service[7][:4]}


@pytest.mark.parametrize("command", OTHERS)
def test_the_rest_says_what_ipvsadm_says(command: str) -> None:
    ours, theirs = tree(OTHERS[command]), tree(SENT[command])
    if command.startswith("--stop"):
        del theirs[3][2]  # an empty interface
    assert ours == theirs


# -------------------------------------------------------------------------------------- the kernel


def answers(kind: str) -> Iterator[list[str]]:
    return (columns[1:] for columns in CAPTURES if columns[0] == kind)


def test_services_of_a_dump() -> None:
    found = dict(ipvs.decode_service(bytes.fromhex(data)) for (data,) in answers("service"))
    made = {
        operation.at: operation.service for operation in OPERATIONS.values() if operation.service is not None
    }  # WEB was edited last
    assert found == made


def test_destinations_of_a_dump() -> None:
    found = {}
    for family, data in answers("destination"):
        key, destination, connections = ipvs.decode_destination(bytes.fromhex(data), 6 if family == "6" else 4)
        found[key] = destination
        assert connections == (0, 0)
    made = {operation.key: operation.destination for operation in OPERATIONS.values() if operation.destination}
    assert found == made


def test_timeouts_info_and_daemons() -> None:
    ((timeouts,),) = answers("timeouts")
    assert ipvs.decode_timeouts(bytes.fromhex(timeouts)) == (900, 120, 300)
    ((info,),) = answers("info")
    assert ipvs.decode_info(bytes.fromhex(info)) == ipvs.Info((1, 2, 1), 4096)
    ((daemon,),) = answers("daemon")
    assert ipvs.decode_daemon(bytes.fromhex(daemon)) == ipvs.SyncDaemon(
        master=True, interface="d0", syncid=7, maxlen=1472, group=Address("224.0.0.81"), port=8848, ttl=1
    )


@pytest.mark.parametrize("kind", ["service", "destination"])
def test_a_mutilated_answer_is_a_value_error(kind: str) -> None:
    """Cut anywhere, and each octet turned over: a value or ValueError, nothing else."""
    data = bytes.fromhex(next(answers(kind))[-1])

    def decode(payload: bytes) -> None:
        try:
            if kind == "service":
                ipvs.decode_service(payload)
            else:
                ipvs.decode_destination(payload, 6)
        except ValueError:
            return

    for end in range(len(data)):
        decode(data[:end])
    for index in range(len(data)):
        decode(data[:index] + bytes((data[index] ^ 0xFF,)) + data[index + 1 :])


def test_connections_are_counted() -> None:
    (_, data), *_ = answers("destination")
    payload = bytes.fromhex(data)
    for kind, value in ((7, 3), (8, 4)):
        old = netlink.attribute(kind, bytes(4))
        assert payload.count(old) >= 1
        payload = payload.replace(old, netlink.attribute(kind, value.to_bytes(4, sys.byteorder)), 1)
    assert ipvs.decode_destination(payload, 6)[2] == (3, 4)


# ---------------------------------------------------------------------------------------- pyroute2


def oracle(payload: bytes) -> dict[str, Any]:
    """What pyroute2 reads: name -> value, with nests as such. Its own encoding of that must be ours, but that it sends
    the 4 octets of an IPv4 address where we send 16, as ipvsadm does; the kernel takes both."""
    message = ipvsmsg(netlink.frame(30, netlink.REQUEST, 7, payload))
    message.decode()
    again = ipvsmsg()
    again["cmd"], again["version"], again["attrs"] = message["cmd"], message["version"], message["attrs"]
    again["header"]["type"], again["header"]["flags"], again["header"]["sequence_number"] = 30, netlink.REQUEST, 7
    again.encode()
    assert _short(tree(bytes(again.data)[16:])) == _short(tree(payload))
    return {name: dict(nest["attrs"]) for name, nest in message["attrs"]}


def _short(opened: dict[int, Any]) -> dict[int, Any]:
    """With addresses cut to what is not zero."""
    places = {1: 3, 2: 1}
    return {
        kind: {inner: data.rstrip(b"\0") if inner == places[kind] else data for inner, data in value.items()}
        if kind in places
        else value
        for kind, value in opened.items()
    }


@pytest.mark.parametrize("command", OPERATIONS)
def test_pyroute2_reads_and_writes_the_same(command: str) -> None:
    operation = OPERATIONS[command]
    found = oracle(ipvs.encode(operation))
    service = found["IPVS_CMD_ATTR_SERVICE"]
    assert service["IPVS_SVC_ATTR_AF"] == (2 if operation.at.family == 4 else 10)
    if operation.at.fwmark:
        assert service["IPVS_SVC_ATTR_FWMARK"] == operation.at.fwmark
    else:
        assert (service["IPVS_SVC_ATTR_ADDR"], service["IPVS_SVC_ATTR_PORT"]) == operation.at[3:]
    if operation.key is not None:
        found_server = found["IPVS_CMD_ATTR_DEST"]
        assert (found_server["IPVS_DEST_ATTR_ADDR"], found_server["IPVS_DEST_ATTR_PORT"]) == operation.key
    if operation.destination is not None:
        assert found_server["IPVS_DEST_ATTR_WEIGHT"] == operation.destination.weight
        assert found_server["IPVS_DEST_ATTR_U_THRESH"] == operation.destination.uthreshold
        assert found_server["IPVS_DEST_ATTR_L_THRESH"] == operation.destination.lthreshold


# ------------------------------------------------------------------------------------------ the rest


@pytest.mark.parametrize(
    "operation",
    [
        add(WEB, "10.0.1.1", 80, weight=1 << 31),
        add(WEB, "10.0.1.1", 80, uthreshold=-1),
        add(WEB, "10.0.1.1", 65536),
        add(service_key("ICMP", "10.0.0.1", 80), "10.0.1.1", 80),
        Operation(Op.ADD_SERVICE, WEB, Service(timeout=1 << 32)),
    ],
)
def test_what_does_not_fit_is_a_value_error(operation: Operation) -> None:
    with pytest.raises(ValueError, match=r"range|protocol"):
        ipvs.encode(operation)


def test_the_engine_goes_with_persistence_only() -> None:
    with_engine = Service(engine="sip", timeout=60)
    payload = ipvs.encode(Operation(Op.ADD_SERVICE, DNS, with_engine))
    assert tree(payload)[1][11] == b"sip\0"
    assert 11 not in tree(ipvs.encode(Operation(Op.ADD_SERVICE, DNS, Service(engine="sip"))))[1]


def test_a_daemon_with_everything_comes_back() -> None:
    for group in (Address("224.0.0.99"), Address("ff02::99")):
        daemon = ipvs.SyncDaemon(master=False, interface="eth0", syncid=255, maxlen=1400, group=group, port=8850, ttl=3)
        assert ipvs.decode_daemon(ipvs.encode_start_daemon(daemon)) == daemon


def test_a_destination_takes_a_few_microseconds_at_most() -> None:
    """The budget is 1.5 us on a quiet machine; four times that on a busy one."""
    operation = add(WEB, "10.0.1.1", 80, weight=5)
    count = 2000
    best = min(repeat(lambda: netlink.frame(30, 1, 1, ipvs.encode(operation)), number=count, repeat=10))
    assert best / count < 6e-6
