"""What the lab concludes from two plans: who must hold what, which servers must serve, how long things may take."""

from dataclasses import replace

import pytest

from fastha.cli.lab.check import allowance
from fastha.cli.lab.command import acts_of, default_script
from fastha.cli.lab.example import Condition, Example, ExampleError, locate, names, title
from fastha.model.net import Address
from fastha.model.plan import (
    CheckerPlan,
    Checkers,
    Command,
    Connection,
    Plan,
    RealServer,
    RunnerPlan,
    SyncGroup,
    TcpCheck,
    Track,
    TrackFile,
    TrackScript,
    VirtualAddress,
    VirtualServer,
    VrrpInstance,
    VrrpPlan,
)
from fastha.model.units import MS, S

VIP, GATEWAY = Address("192.0.2.10"), Address("10.0.0.1")


def instance(name: str, device: str, address: Address, priority: int) -> VrrpInstance:
    held = VirtualAddress(address=address, prefixlen=24, dev=device)
    return VrrpInstance(name=name, interface=device, virtual_router_id=1, priority=priority, addresses=(held,))


def server(address: str) -> RealServer:
    to = Connection(address=Address(address), port=80, connect_timeout=S)
    check = TcpCheck(connection=to, delay_loop=2 * S, retry=1, delay_before_retry=S)
    return RealServer(address=to.address, port=80, checkers=Checkers(tcp=(check,)))


def plan(priority: int) -> Plan:
    service = VirtualServer(
        name="[192.0.2.10]:tcp:80", address=VIP, port=80, real_servers=(server("10.0.0.21"), server("10.0.0.22"))
    )
    return Plan(
        vrrp=VrrpPlan(
            instances=(instance("front", "eth0", VIP, priority), instance("back", "eth1", GATEWAY, priority)),
            sync_groups=(SyncGroup(name="both", members=("front", "back")),),
        ),
        checker=CheckerPlan(virtual_servers=(service,)),
    )


def tracking(priority: int) -> Plan:
    tracks = {
        "track_scripts": (Track(name="reach", weight=-60),),
        "track_files": (Track(name="maintenance", weight=-60),),
    }
    front = replace(instance("front", "eth0", VIP, priority), **tracks)
    runner = RunnerPlan(
        track_scripts=(TrackScript(name="reach", command=Command(argv=("/x",)), fall=2),),
        track_files=(TrackFile(name="maintenance", path="/etc/keepalived/maintenance"),),
    )
    return Plan(vrrp=VrrpPlan(instances=(front,)), runner=runner)


POOLED = Example("pooled", {"director1": plan(150), "director2": plan(100)})
TRACKED = Example("tracked", {"director1": tracking(150), "director2": tracking(100)})


@pytest.mark.parametrize(
    ("condition", "master"),
    [
        (Condition(), "director1"),
        (Condition(dead={"director1"}), "director2"),
        (Condition(dead={"director1", "director2"}), None),
        (Condition(maintained={"director1"}), "director2"),
        (Condition(severed={"director1"}), "director2"),
        (Condition(severed={"director1", "director2"}), "director1"),
        (Condition(maintained={"director1"}, severed={"director2"}), "director1"),
    ],
)
def test_the_highest_priority_that_lives_must_hold_the_address(condition: Condition, master: str | None) -> None:
    assert TRACKED.masters(condition) == {"front": master}


def test_servers_that_are_down_must_leave_the_pool() -> None:
    service = POOLED.services[0]
    assert POOLED.pool(service, Condition()) == {"10.0.0.21", "10.0.0.22"}
    assert POOLED.pool(service, Condition(down={"web1", "web3"})) == {"10.0.0.22"}


def test_servers_use_the_gateway_that_moves_with_their_service() -> None:
    assert POOLED.routes() == dict.fromkeys(("web1", "web2", "web3"), GATEWAY)


def test_behind_plain_routers_the_client_uses_the_gateway_and_asks_the_servers() -> None:
    assert TRACKED.routes() == {"client": VIP}
    assert [target.label for target in TRACKED.targets()] == ["web1", "web2", "web3"]
    assert [target.label for target in POOLED.targets()] == ["[192.0.2.10]:tcp:80"]


def test_a_failover_may_last_as_long_as_the_formula_and_the_margin() -> None:
    # version 2: three seconds and (256 - 100) / 256 of a second
    assert allowance(POOLED, "failover", 500 * MS).gap == 3 * S + 609_375_000 + 500 * MS


def test_an_ejection_may_last_a_wait_and_every_retry_timing_out() -> None:
    assert POOLED.judgement() == 2 * S + S + (S + S)
    assert allowance(POOLED, "server-down", 0).settle == POOLED.judgement()


def test_acts_that_mean_nothing_to_an_example_are_refused() -> None:
    assert "maintenance" not in default_script(POOLED)
    assert {"maintenance", "path-down"} <= set(default_script(TRACKED))
    for script in ("maintenance", "failover,path-down", "nonsense"):
        with pytest.raises(ExampleError, match=script.rpartition(",")[2]):
            acts_of(script, POOLED)


def test_every_example_has_a_title_and_an_unknown_one_is_told_the_others() -> None:
    assert all(title(name) for name in names())
    with pytest.raises(ExampleError, match="master-backup"):
        locate("no-such-thing")
