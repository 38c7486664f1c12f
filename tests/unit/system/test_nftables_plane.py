"""The nftables plane with an nft made up here: what is sent when, and what becomes of its complaints."""

import errno
from typing import Any

import pytest

from fastha.model.net import Address
from fastha.model.plan import Forwarding, Method
from fastha.model.table import Destination, DestinationKey, Op, Operation, Service, ServiceKey
from fastha.system import nftables as module
from fastha.system.nftables import NftablesPlane
from fastha.wire.netfilter import Flow

WEB = ServiceKey(4, 0, "TCP", Address("10.0.0.1"), 80)
DNS = ServiceKey(4, 0, "UDP", Address("10.0.0.1"), 53)
ONE = DestinationKey(Address("10.0.1.1"), 80)
TWO = DestinationKey(Address("10.0.1.2"), 80)


class Host:
    """nft, which takes what it is given but for texts with a word of `hates`, and the kernel's transaction number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: list[str] = []
        self.hates: list[str] = []
        self.generation = 7
        self.others = 0
        """Transactions of others that come in between."""
        self.listings = 0
        self.deleted: list[tuple[str, int, str, int]] = []
        """Server and service of the flows that were to be deleted."""
        monkeypatch.setattr(module, "transact", self._transact)
        monkeypatch.setattr(module.NftablesPlane, "_ask_generation", lambda _plane: self.generation)
        monkeypatch.setattr(module.NftablesPlane, "_delete_flows", self._delete_flows)
        monkeypatch.setattr(module.subprocess, "run", self._list)

    def _transact(self, text: str) -> str:
        for word in self.hates:
            if word in text:
                return f"nft hates {word}"
        self.texts.append(text)
        self.generation += 1 + self.others
        return ""

    def _list(self, *_arguments: Any, **_options: Any) -> Any:
        self.listings += 1

        class Answer:
            returncode = 1
            stdout = b""
            stderr = b"Error: No such file or directory\n"

        return Answer()

    def _delete_flows(self, _family: int, gone: dict[tuple[str, int], set[tuple[str, int]]]) -> None:
        self.deleted.extend((*server, *service) for server, services in gone.items() for service in services)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


@pytest.fixture
def plane(host: Host):
    made = NftablesPlane()
    host.texts.clear()
    yield made
    made.close()


def service(at: ServiceKey = WEB, **attributes: Any) -> Operation:
    return Operation(Op.ADD_SERVICE, at, Service(**({"scheduler": "rr"} | attributes)))


def add(at: ServiceKey = WEB, key: DestinationKey = ONE, **attributes: Any) -> Operation:
    return Operation(Op.ADD_DEST, at, key=key, destination=Destination(**attributes))


def delete(at: ServiceKey = WEB, key: DestinationKey = ONE) -> Operation:
    return Operation(Op.DELETE_DEST, at, key=key)


def test_a_batch_is_one_transaction(host: Host, plane: NftablesPlane) -> None:
    assert plane.apply([service(), add(), add(key=TWO), service(DNS), add(DNS)]) == []
    (text,) = host.texts
    assert "add chain inet fastha_lvs tcp-10.0.0.1-80" in text
    assert "add chain inet fastha_lvs udp-10.0.0.1-53" in text
    assert text.count("chain prerouting") == 1, "the table is made with the first services"
    assert plane.apply([add(key=TWO, weight=0)]) == []
    assert "prerouting" not in host.texts[1]
    assert "udp" not in host.texts[1]


def test_what_changes_nothing_sends_nothing(host: Host, plane: NftablesPlane) -> None:
    plane.apply([service(), add()])
    host.texts.clear()
    assert plane.apply([]) == []
    assert plane.apply([service(), add(), delete(key=TWO), delete(DNS)]) == []
    assert plane.apply([Operation(Op.DELETE_SERVICE, DNS)]) == []
    assert host.texts == []


def test_the_table_is_read_again_only_when_somebody_changed_something(host: Host, plane: NftablesPlane) -> None:
    plane.apply([service(), add()])
    host.listings = 0
    assert plane.read()[WEB].destinations == {ONE: Destination()}
    plane.apply([add(key=TWO)])
    assert plane.read()[WEB].destinations == {ONE: Destination(), TWO: Destination()}
    assert host.listings == 0
    host.generation += 1
    assert plane.read() == {}, "the listing says that there is no table"
    assert host.listings == 1


def test_a_transaction_of_another_in_between_is_noticed(host: Host, plane: NftablesPlane) -> None:
    host.others = 1
    plane.apply([service(), add()])
    host.listings = 0
    plane.read()
    assert host.listings == 1


def test_what_was_read_is_the_callers_own(host: Host, plane: NftablesPlane) -> None:
    plane.apply([service(), add()])
    plane.read()[WEB].destinations.clear()
    assert plane.read()[WEB].destinations == {ONE: Destination()}


def test_the_last_service_takes_the_table_with_it(host: Host, plane: NftablesPlane) -> None:
    plane.apply([service(), add()])
    assert plane.apply([Operation(Op.DELETE_SERVICE, WEB)]) == []
    assert host.texts[-1] == "add table inet fastha_lvs\ndelete table inet fastha_lvs\n"
    assert plane.apply([service()]) == []
    assert "chain prerouting" in host.texts[-1]


def test_only_the_service_that_is_refused_is_refused(host: Host, plane: NftablesPlane) -> None:
    host.hates.append("udp-10.0.0.1-53")
    refusals = plane.apply([service(), add(), service(DNS), add(DNS)])
    assert [(refusal.operation.at, refusal.operation.op) for refusal in refusals] == [
        (DNS, Op.ADD_SERVICE),
        (DNS, Op.ADD_DEST),
    ]
    assert refusals[0].text == ("nftables udp [10.0.0.1]:53: cannot add the service: EIO; nft hates udp-10.0.0.1-53")
    assert list(plane.read()) == [WEB]


@pytest.mark.parametrize(
    ("operation", "code", "words"),
    [
        (add(method=Method(forwarding=Forwarding.DR)), errno.EOPNOTSUPP, "forwarding by DR takes IPVS"),
        (add(method=Method(forwarding=Forwarding.TUN)), errno.EOPNOTSUPP, "forwarding by TUN takes IPVS"),
        (add(uthreshold=3), errno.EOPNOTSUPP, "thresholds take IPVS"),
        (add(weight=-1), errno.EOPNOTSUPP, "weight -1"),
        (add(DNS), errno.ESRCH, "its service is not there"),
        (service(flags=0x4), errno.EOPNOTSUPP, "one-packet"),
        (service(scheduler="magic"), errno.EOPNOTSUPP, "no scheduler 'magic'"),
        (service(timeout=5, engine="sip"), errno.EOPNOTSUPP, "engine 'sip'"),
        (service(ServiceKey(4, 0, "ICMP", Address("10.0.0.1"), 80)), errno.EOPNOTSUPP, "protocol ICMP"),
    ],
)
def test_what_is_not_possible_is_refused_and_stops_nothing(
    host: Host, plane: NftablesPlane, operation: Operation, code: int, words: str
) -> None:
    plane.apply([service()])
    (refusal,) = plane.apply([operation, add(key=TWO)])
    assert (refusal.operation, refusal.errno) == (operation, code)
    assert words in refusal.text
    assert plane.read()[WEB].destinations == {TWO: Destination()}


def test_an_add_of_what_is_there_edits_it_and_an_edit_of_what_is_not_adds_it(host: Host, plane: NftablesPlane) -> None:
    plane.apply([service(), add()])
    assert plane.apply([service(scheduler="wrr"), add(weight=5)]) == []
    assert plane.read()[WEB].service.scheduler == "wrr"
    assert plane.apply([Operation(Op.EDIT_DEST, WEB, key=TWO, destination=Destination(weight=2))]) == []
    assert plane.read()[WEB].destinations == {ONE: Destination(weight=5), TWO: Destination(weight=2)}


def test_flows_of_removed_datagram_servers_are_deleted(host: Host, plane: NftablesPlane) -> None:
    """Port 0 is any; a service by mark may be of any protocol; TCP is left alone."""
    mark, every = ServiceKey(4, fwmark=5), ServiceKey(4, 0, "UDP", Address("10.0.0.2"), 0)
    zero = DestinationKey(Address("10.0.1.7"), 0)
    plane.apply([service(), add(), service(DNS), add(DNS), add(DNS, TWO), service(mark), add(mark, zero)])
    plane.apply([service(every), add(every, zero), delete(), delete(DNS)])
    assert host.deleted == [("10.0.1.1", 80, "10.0.0.1", 53)]
    host.deleted.clear()
    plane.apply([add(DNS, TWO, weight=0)])
    assert host.deleted == [], "drained, not removed"
    plane.apply([Operation(Op.DELETE_SERVICE, mark), Operation(Op.DELETE_SERVICE, DNS)])
    assert sorted(host.deleted) == [("10.0.1.2", 80, "10.0.0.1", 53), ("10.0.1.7", 0, "", 0)]


def test_a_flow_is_gone_with_its_server_and_service() -> None:
    def gone(port: int = 53, server_port: int = 80) -> bool:
        flow = Flow(17, Address("10.0.0.1"), port, Address("10.0.1.1"), server_port, b"")
        return module._is_gone(flow, left)

    left = {("10.0.1.1", 80): {("10.0.0.1", 53)}}
    assert gone()
    assert not gone(port=54), "of another service, where the server still is"
    assert not gone(server_port=81)
    left = {("10.0.1.1", 80): {("10.0.0.2", 0), ("10.0.0.1", 0)}}
    assert gone(port=54), "of every port"
    left = {("10.0.1.1", 0): {("", 0)}}
    assert gone(port=54, server_port=9), "by mark"


def test_timeouts_are_not_possible(host: Host, plane: NftablesPlane) -> None:
    assert plane.read_timeouts() == (0, 0, 0)
    plane.set_timeouts(0, 0, 0)
    with pytest.raises(OSError, match="lvs_timeouts take IPVS"):
        plane.set_timeouts(900, 0, 0)


def test_an_nft_that_cannot_is_an_error_at_once(host: Host) -> None:
    host.hates.append("jhash")
    with pytest.raises(OSError, match="nftables cannot balance here: nft hates jhash"):
        NftablesPlane()


def test_a_flush_that_fails_is_an_error(host: Host, plane: NftablesPlane) -> None:
    host.hates.append("delete table")
    with pytest.raises(OSError, match="cannot delete our table"):
        plane.flush()


def test_complaints_in_one_line() -> None:
    text = "warning: something\n/dev/stdin:2:1-5: Error: syntax error, unexpected map\nadd rule\n^^^\n"
    assert module._first_error(text) == "syntax error, unexpected map"
    assert module._first_error("nft: Assertion failed\n") == "nft: Assertion failed"
    assert module._first_error("") == ""
