"""Values as JSON and back, whatever bytes their names are made of."""

import pytest

from fastha.model import codec
from fastha.model.net import Address
from fastha.model.plan import (
    CheckerPlan,
    Checkers,
    Command,
    Connection,
    Forwarding,
    Method,
    Notifies,
    RealServer,
    RunnerPlan,
    TcpCheck,
    VirtualAddress,
    VirtualServer,
    VrrpInstance,
    VrrpPlan,
)

ODD = b"caf\xe9\xff \xe2\x82\xac".decode("utf-8", "surrogateescape")


def test_a_plan_comes_back_as_it_was():
    address = VirtualAddress(address=Address("10.0.0.1"), prefixlen=24, dev="eth0")
    instance = VrrpInstance(
        name="a", interface="eth0", virtual_router_id=1, auth_pass=b"\x00\xff", addresses=(address,)
    )
    plan = VrrpPlan(instances=(instance,), interface_delays={"eth0": (1, 2)})
    assert codec.decode(VrrpPlan, codec.encode(plan)) == plan


def test_bytes_that_are_not_utf8_come_back_as_they_were():
    notifies = Notifies(kind="INSTANCE", name=ODD, commands={ODD: Command(argv=(f"/bin/{ODD}", "x"))})
    plan = RunnerPlan(router_id="plain €", notifies=(notifies,))
    data = codec.encode(plan)
    assert data.decode("utf-8")
    assert codec.decode(RunnerPlan, data) == plan
    assert codec.decode(RunnerPlan, memoryview(data)) == plan


@pytest.mark.parametrize("forwarding", Forwarding)
def test_what_is_as_by_default_need_not_travel(forwarding):
    checks = Checkers(tcp=(TcpCheck(alpha=True, connection=Connection(address=Address("10.0.0.2"), port=80)),))
    servers = [
        RealServer(address=Address("10.0.0.2"), port=80, method=Method(forwarding=forwarding), checkers=checks),
        RealServer(address=Address("10.0.0.3"), port=80, weight=0),
    ]
    service = VirtualServer(name="x", address=Address("10.0.0.1"), port=80, real_servers=tuple(servers))
    plan = CheckerPlan(virtual_servers=(service,), lvs_timeouts=(0, 0, 1))
    data = codec.encode(plan, sparse=True)
    assert len(data) < len(codec.encode(plan)) / 3
    found = codec.decode(CheckerPlan, data)
    assert found == plan
    one, other = found.virtual_servers[0].real_servers
    assert other.checkers is RealServer.__dataclass_fields__["checkers"].default, "shared by all"
    assert (one.method is other.method) == (forwarding is Forwarding.NAT)


def test_text_that_is_not_utf8_travels_sparsely_too():
    notifies = Notifies(kind="INSTANCE", name=ODD, commands={ODD: Command(argv=(f"/bin/{ODD}", "x"))})
    plan = RunnerPlan(router_id="plain €", notifies=(notifies,))
    assert codec.decode(RunnerPlan, codec.encode(plan, sparse=True)) == plan


def test_what_is_something_else_is_a_value_error():
    with pytest.raises(ValueError, match="RunnerPlan"):
        codec.decode(RunnerPlan, b'{"notifies": 3}')
    with pytest.raises(TypeError):
        codec.encode(object())
