"""Which plane is taken, with planes made up here that can or cannot be had."""

import errno
from collections.abc import Callable

import pytest

from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, Forwarding, Method, PlaneChoice, RealServer, VirtualServer
from fastha.model.table import Op, Operation, Service, ServiceKey
from fastha.system import plane as module
from fastha.system.plane import NonePlane, obstacles, open_plane

DR = Method(forwarding=Forwarding.DR)
NO_IPVS = FileNotFoundError(errno.ENOENT, "this kernel has no IPVS")
NO_NFT = FileNotFoundError(errno.ENOENT, "there is no 'nft' program")


class Made:
    """A plane that can be had."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.note = ""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what this host has: an error for what it lacks."""

    def opener(name: str, error: OSError | None) -> Callable[[], Made]:
        def open_it() -> Made:
            if error is not None:
                raise error
            return Made(name)

        return open_it

    def has(*, ipvs: OSError | None = None, nftables: OSError | None = None) -> None:
        monkeypatch.setattr(module, "IpvsPlane", opener("ipvs", ipvs))
        monkeypatch.setattr(module, "NftablesPlane", opener("nftables", nftables))

    return has


def virtual_server(name: str = "[10.0.0.1]:tcp:80", scheduler: str = "rr", **attributes: object) -> VirtualServer:
    server = RealServer(address=Address("10.0.1.1"), port=80)
    filled = {"address": Address("10.0.0.1"), "port": 80, "real_servers": (server,), **attributes}
    return VirtualServer(name=name, scheduler=scheduler, **filled)  # type: ignore[arg-type]


def plan(*servers: VirtualServer) -> CheckerPlan:
    return CheckerPlan(virtual_servers=servers)


def test_auto_takes_ipvs_where_there_is_one(host: Callable[..., None]) -> None:
    host()
    made = open_plane(PlaneChoice.AUTO, plan(virtual_server()))
    assert (made.name, made.note) == ("ipvs", "")


def test_auto_falls_back_with_one_loud_line(host: Callable[..., None]) -> None:
    host(ipvs=NO_IPVS)
    made = open_plane(
        PlaneChoice.AUTO,
        plan(virtual_server(), virtual_server(scheduler="wlc"), virtual_server(scheduler="wlc")),
    )
    assert made.name == "nftables"
    assert "\n" not in made.note
    for words in ("no IPVS (ENOENT: this kernel has no IPVS)", "NAT", "wlc becomes in turn by weight (2 services)"):
        assert words in made.note


SORRY = RealServer(address=Address("10.0.1.9"), port=80, method=DR)
IMPOSSIBLE = {
    "DR": virtual_server(real_servers=(RealServer(address=Address("10.0.1.1"), port=80, method=DR),)),
    "a sorry server by DR": virtual_server(sorry_server=SORRY),
    "TUN": virtual_server(
        real_servers=(RealServer(address=Address("10.0.1.1"), port=80, method=Method(forwarding=Forwarding.TUN)),)
    ),
    "thresholds": virtual_server(real_servers=(RealServer(address=Address("10.0.1.1"), port=80, uthreshold=5),)),
    "one packet": virtual_server(protocol="UDP", flags=0x4),
    "an engine": virtual_server(protocol="UDP", persistence_timeout=60, persistence_engine="sip"),
    "a scheduler nobody knows": virtual_server(scheduler="magic"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_auto_ends_when_nftables_cannot_stand_in(host: Callable[..., None], what: str) -> None:
    host(ipvs=NO_IPVS)
    with pytest.raises(OSError, match="cannot stand in") as caught:
        open_plane(PlaneChoice.AUTO, plan(virtual_server("[10.0.0.2]:tcp:80"), IMPOSSIBLE[what]))
    assert caught.value.errno == errno.ENOENT
    assert caught.value.strerror is not None
    assert "[10.0.0.1]:tcp:80: " in caught.value.strerror


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_nftables_by_name_says_what_it_cannot_do(host: Callable[..., None], what: str) -> None:
    host()
    made = open_plane(PlaneChoice.NFTABLES, plan(IMPOSSIBLE[what], IMPOSSIBLE[what]))
    assert made.name == "nftables"
    assert "not possible: [10.0.0.1]:tcp:80: " in made.note
    assert "and 1 more" in made.note


def test_an_engine_without_persistence_is_no_obstacle() -> None:
    assert [*obstacles([virtual_server(persistence_engine="sip")])] == []


def test_without_either_both_are_named(host: Callable[..., None]) -> None:
    host(ipvs=NO_IPVS, nftables=NO_NFT)
    with pytest.raises(OSError, match=r"this kernel has no IPVS; and nftables .* no 'nft' program"):
        open_plane(PlaneChoice.AUTO, plan(virtual_server()))


def test_ipvs_by_name_is_ipvs_or_nothing(host: Callable[..., None]) -> None:
    host(ipvs=PermissionError(errno.EPERM, "IPVS may not be programmed"))
    with pytest.raises(PermissionError):
        open_plane(PlaneChoice.IPVS, plan(virtual_server()))


def test_none_programs_nothing_and_says_so(host: Callable[..., None]) -> None:
    host(ipvs=NO_IPVS, nftables=NO_NFT)
    made = open_plane(PlaneChoice.NONE, plan(virtual_server()))
    assert isinstance(made, NonePlane)
    assert made.name == "none"
    assert "not programmed" in made.note
    assert made.apply([Operation(Op.ADD_SERVICE, ServiceKey(4, fwmark=5), Service())]) == []
    assert made.read() == {}
    made.set_timeouts(1, 2, 3)
    assert made.read_timeouts() == (0, 0, 0)
    made.flush()
    made.close()
