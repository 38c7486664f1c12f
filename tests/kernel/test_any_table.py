"""Any table to any other through both planes: after each step the kernel, read by a plane that has just been opened,
has what was wanted. Seeded; the seed is in the test's name."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastha.lvs.reconcile import reconcile, settled_method, settled_service
from fastha.model.net import Address
from fastha.model.plan import Forwarding, Method, TunnelType
from fastha.model.table import Destination, DestinationKey, Entry, Plane, Service, ServiceKey, Table
from fastha.system.ipvs import IpvsPlane
from fastha.system.nftables import NftablesPlane
from tests.kernel.bed import Bed

pytestmark = [pytest.mark.kernel]

if os.geteuid() != 0 or not shutil.which("ip"):
    pytest.skip("network namespaces need root and iproute2", allow_module_level=True)

PLANES: dict[str, Callable[[], Plane]] = {"ipvs": IpvsPlane, "nftables": NftablesPlane}
BOTH = [pytest.param("ipvs", marks=pytest.mark.ipvs), pytest.param("nftables", marks=pytest.mark.netns)]
STEPS = 25

SERVICES = (
    ServiceKey(4, 0, "TCP", Address("10.0.0.1"), 80),
    ServiceKey(4, 0, "UDP", Address("10.0.0.1"), 80),
    ServiceKey(4, 0, "SCTP", Address("10.0.0.2"), 9),
    ServiceKey(6, 0, "TCP", Address("2001:db8::1"), 443),
    ServiceKey(6, 0, "UDP", Address("2001:db8::ffff"), 53),
    ServiceKey(4, 0, "TCP", Address("10.0.0.1"), 0),
    ServiceKey(6, 0, "UDP", Address("2001:db8::1"), 0),
    ServiceKey(4, fwmark=1),
    ServiceKey(6, fwmark=1),
    ServiceKey(4, fwmark=0xFFFFFFFF),
)
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sh", "mh", "dh", "fo", "ovf", "lblc", "lblcr", "sed", "nq")
WEIGHTS = (0, 1, 1, 2, 3, 100, 65535)


class Tables:
    """Random tables of the things a plane can do."""

    def __init__(self, seed: int, plane: str) -> None:
        self._random = random.Random(seed)
        self._ipvs = plane == "ipvs"

    def table(self) -> Table:
        chosen = self._random.sample(SERVICES, self._random.randint(0, 6))
        return {at: Entry(self._service(at), self._servers(at)) for at in chosen}

    def variant(self, table: Table) -> Table:
        """The same with one service changed a little: what happens all day."""
        new = {at: Entry(entry.service, dict(entry.destinations)) for at, entry in table.items()}
        if new:
            at = self._random.choice(list(new))
            servers = new[at].destinations
            for key in [key for key in servers if self._random.random() < 0.3]:
                del servers[key]
            servers.update((key, each) for key, each in self._servers(at).items() if self._random.random() < 0.3)
        return new

    def _service(self, at: ServiceKey) -> Service:
        pick = self._random.choice
        # A service of every port must be persistent for IPVS.
        every = not at.port and not at.fwmark
        timeout = pick((60, 3600)) if every or self._random.random() < 0.4 else 0
        netmask = pick((0xFFFFFFFF, 0xFFFFFF00)) if at.family == 4 else pick((128, 64, 56))
        return settled_service(
            Service(scheduler=pick(SCHEDULERS), flags=pick((0, 0x8, 0x10, 0x18)), timeout=timeout, netmask=netmask)
        )

    def _servers(self, at: ServiceKey) -> dict[DestinationKey, Destination]:
        network = "10.1.0." if at.family == 4 else "fd00::"
        servers = {}
        for host in self._random.sample(range(1, 12), self._random.randint(0, 8)):
            port = self._random.choice((0, 8080, 8080, 8081))
            attributes = self._ipvs_attributes() if self._ipvs else {}
            weight = self._random.choice(WEIGHTS)
            servers[DestinationKey(Address(f"{network}{host}"), port)] = Destination(weight=weight, **attributes)
        return servers

    def _ipvs_attributes(self) -> dict[str, Any]:
        upper = self._random.choice((0, 0, 1000))
        method = Method(
            forwarding=self._random.choice(list(Forwarding)),
            tunnel=self._random.choice(list(TunnelType)),
            tunnel_port=6080,
            tunnel_flags=self._random.choice((0, 1)),
        )
        return {"uthreshold": upper, "lthreshold": upper // 2, "method": settled_method(method)}


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    made = Bed()
    try:
        made.make()
        yield made
    finally:
        made.destroy()


def contents(table: Table) -> dict[ServiceKey, tuple[Service, dict[DestinationKey, Destination]]]:
    return {at: (settled_service(entry.service), entry.destinations) for at, entry in table.items()}


@pytest.mark.parametrize("plane", BOTH)
@pytest.mark.parametrize("seed", range(4))
def test_any_table_to_any_other(bed: Bed, plane: str, seed: int) -> None:
    tables = Tables(seed, plane)
    with bed.inside("director"):
        working = PLANES[plane]()
        try:
            working.flush()
            wanted: Table = {}
            for step in range(STEPS):
                before = working.read()
                wanted = tables.variant(wanted) if step % 3 else tables.table()
                refusals = working.apply(reconcile(before, wanted, ours=before))
                assert [refusal.text for refusal in refusals] == []
                fresh = PLANES[plane]()
                try:
                    found = fresh.read()
                finally:
                    fresh.close()
                assert contents(found) == contents(wanted)
                assert reconcile(found, wanted, ours=found) == []
        finally:
            working.flush()
            working.close()
