"""What is said of a reload, and what an orphan says."""

import os
from dataclasses import replace

from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, Plan, RealServer, VirtualServer, VrrpInstance, VrrpPlan
from fastha.process.changes import changes
from fastha.system.log import write_if_ready


def plan(*names: str, priority: int = 100, servers: int = 2) -> Plan:
    instances = tuple(VrrpInstance(name=name, interface="lo", virtual_router_id=1, priority=priority) for name in names)
    real = tuple(RealServer(address=Address(f"10.0.0.{n}"), port=80) for n in range(1, servers + 1))
    service = VirtualServer(name="v", address=Address("10.1.0.1"), port=80, real_servers=real)
    return Plan(vrrp=VrrpPlan(instances=instances), checker=CheckerPlan(virtual_servers=(service,)))


def test_counts_and_names():
    assert changes(plan("a"), plan("a")) == []
    assert changes(plan("a", "b"), plan("b", "c", priority=90)) == [
        "instances: 1 added (c), 1 removed (a), 1 changed (b)",
    ]
    assert changes(plan("a"), plan("a", servers=10)) == [
        "virtual servers: 1 changed (v)",
        "real servers: 8 added (v 10.0.0.3:80, v 10.0.0.4:80, v 10.0.0.5:80, v 10.0.0.6:80, v 10.0.0.7:80, ...)",
    ]
    assert changes(plan("a"), replace(plan("a"), checker=CheckerPlan()))[0] == "virtual servers: 1 removed (v)"


def test_a_full_pipe_delays_nobody():
    reader, writer = os.pipe()
    try:
        written = 0
        while write_if_ready("fastha_vrrp", 1, "warning", "going on\nalone " + "x" * 9000, writer):
            written += 1
            assert written < 1000
        assert written > 1
        assert b"fastha_vrrp[1] warning: going on | alone xxx" in os.read(reader, 200)
    finally:
        os.close(reader)
        os.close(writer)
