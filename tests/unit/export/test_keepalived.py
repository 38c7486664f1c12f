"""keepalived's dump formats, from made-up states."""

import orjson
import pytest

from fastha.export.keepalived import checker, definitions, routes, stats, vrrp, words
from fastha.model.net import Address
from fastha.model.plan import (
    AuthType,
    CheckerPlan,
    Checkers,
    Command,
    Connection,
    MadeLink,
    Notifies,
    Plan,
    RealServer,
    RunnerPlan,
    TcpCheck,
    Track,
    TrackProcess,
    TrackScript,
    VirtualAddress,
    VirtualServer,
    VrrpInstance,
    VrrpPlan,
)
from fastha.model.routes import Nexthop, Route, RouteMode, Rule
from fastha.model.snapshot import (
    CheckerSnapshot,
    CheckSnapshot,
    InstanceSnapshot,
    LinkSnapshot,
    RealServerSnapshot,
    RunnerSnapshot,
    ScriptSnapshot,
    TrackedProcessSnapshot,
    VirtualServerSnapshot,
    VrrpSnapshot,
)
from fastha.model.units import MS, S

VIP = VirtualAddress(address=Address("10.9.0.100"), prefixlen=24, dev="v0", label="v0:1")
COUNTS = {name: number for number, name in enumerate(stats.JSON_COUNTERS)}
PLAN = Plan(
    vrrp=VrrpPlan(
        instances=(
            VrrpInstance(
                name="A",
                interface="v0",
                virtual_router_id=51,
                adver_int=500 * MS,
                version=3,
                addresses=(VIP,),
                track_interfaces=(Track(name="v0", weight=5), Track(name="v1", weight=3)),
                track_scripts=(Track(name="chk", weight=5),),
            ),
        )
    ),
    runner=RunnerPlan(
        track_scripts=(TrackScript(name="chk", command=Command(argv=("/bin/true", "it's")), rise=2, fall=3),),
        track_processes=(TrackProcess(name="tp", process=("sleep", "1")),),
        notifies=(
            Notifies(
                kind="INSTANCE",
                name="A",
                commands={"MASTER": Command(argv=("/m", "a b"))},
                generic=Command(argv=("/g",), uid=7, gid=8),
                smtp_alert=True,
            ),
        ),
    ),
)
NOW = VrrpSnapshot(
    instances=(
        InstanceSnapshot(
            name="A",
            interface="v0",
            virtual_router_id=51,
            family=4,
            version=3,
            state="MASTER",
            wanted="MASTER",
            since_wall=1795534296.035641,
            reason="",
            priority=100,
            effective_priority=105,
            adver_int=500 * MS,
            master_adver_int=500 * MS,
            present=("10.9.0.100/24 dev v0",),
            stats=COUNTS,
        ),
    ),
    interfaces={"v0": True, "v1": False},
    links=(
        LinkSnapshot(name="lo", index=1, up=True, mtu=65536, mac="00:00:00:00:00:00", addresses=(Address("::1"),)),
        LinkSnapshot(name="v1", index=2, up=True, mtu=1500, mac="02:00:00:00:00:01", addresses=(Address("10.9.0.1"),)),
    ),
)
RUNNER = RunnerSnapshot(
    scripts=(ScriptSnapshot(name="chk", state="up", result="", last_wall=0, running=True, lateness=0, against=1),),
    processes=(TrackedProcessSnapshot(name="tp", count=2, up=True, terminate_pending=True),),
)


def line(**changes: object) -> VirtualAddress:
    plain: dict[str, object] = {"address": Address("10.9.0.101"), "prefixlen": 32, "dev": "v0"}
    return VirtualAddress(**(plain | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (line(), "10.9.0.101 dev v0 scope global"),
        (line(prefixlen=24), "10.9.0.101/24 dev v0 scope global"),
        (line(broadcast=Address("10.9.0.255"), scope=254), "10.9.0.101 brd 10.9.0.255 dev v0 scope host"),
        (
            line(peer=Address("10.9.0.112"), no_track=True),
            "10.9.0.101 dev v0 scope global peer 10.9.0.112/32 no_track",
        ),
        (line(address=Address("fe80::55"), prefixlen=64), "fe80::55/64 dev v0 scope global preferred_lft forever"),
        (
            line(address=Address("2001:db8::1"), prefixlen=128, preferred_lft=0, nodad=False),
            "2001:db8::1 dev v0 scope global -nodad deprecated",
        ),
        (
            line(address=Address("2001:db8::1"), prefixlen=64, preferred_lft=100, home=True, mngtmpaddr=True),
            "2001:db8::1/64 dev v0 scope global home mngtmpaddr preferred_lft 100",
        ),
    ],
)
def test_addresses_are_written_as_keepalived_writes_them(written, text):
    assert words.address(written, present=False) == text
    assert words.address(written, present=True) == f"{text} set"


def test_json_version_1_is_an_array_and_version_2_an_object():
    array = orjson.loads(stats.render_json(PLAN, NOW, RUNNER, {}, 1))
    whole = orjson.loads(stats.render_json(PLAN, NOW, RUNNER, {}, 2))
    assert whole["vrrp"] == array
    assert (
        whole["track_process"][0]
        | {
            "process": "tp",
            "parameters": "1",
            "current_processes": 2,
            "have_quorum": True,
            "terminate_delay_timer_running": True,
            "fork_delay_timer_running": False,
        }
        == whole["track_process"][0]
    )
    data = array[0]["data"]
    assert data["last_transition"] == 1795534296.035641
    assert data["adver_int"] == 0.5
    assert (data["state"], data["wantstate"], data["vipset"]) == (2, 2, True)
    assert data["script_master"] == "'/m' 'a b'"
    assert data["vips"] == ["10.9.0.100/24 dev v0 scope global label v0:1 set"]
    assert data["track_ifp"] == ["v1"], "its own interface is no tracker"
    assert data["track_script"] == ["'/bin/true' 'it'\\''s'"]
    assert "evips" not in data
    assert array[0]["stats"] == COUNTS


def test_a_password_is_never_dumped():
    secret = VrrpInstance(
        name="A", interface="v0", virtual_router_id=51, auth_type=AuthType.PASS, auth_pass=b"secret\0\0"
    )
    plan = Plan(vrrp=VrrpPlan(instances=(secret,)))
    array = orjson.loads(stats.render_json(plan, NOW, None, {}, 1))
    assert (array[0]["data"]["auth_type"], array[0]["data"]["auth_data"]) == (1, "********")
    assert "secret" not in vrrp.render_data(plan, NOW, None)


def test_statistics_count_from_when_they_were_cleared():
    text = stats.render_stats(NOW, {})
    assert "  Became master: 2\n" in text
    assert "    Invalid HMAC: 15\n" in text
    cleared = {"A": dict(COUNTS) | {"advert_sent": 0}}
    text = stats.render_stats(NOW, cleared)
    assert "    Sent: 1\n" in text
    assert "  Became master: 0\n" in text
    restarted = {"A": {name: count + 1 for name, count in COUNTS.items()}}
    assert stats.render_stats(NOW, restarted) == stats.render_stats(NOW, {})


def test_data_has_what_exporters_look_for():
    text = vrrp.render_data(PLAN, NOW, RUNNER)
    for expected in (
        " VRRP Instance = A\n   VRRP Version = 3\n   State = MASTER\n",
        "   Interface = v0\n",
        "   Virtual Router ID = 51\n",
        "   Virtual IP (1):\n     10.9.0.100/24 dev v0 scope global label v0:1 set\n",
        "   Gratuitous ARP delay = 5\n",
        "   Last transition = 1795534296.035641 (",
        "   Master state transition script = '/m' 'a b', uid:gid 0:0\n",
        "   Generic state transition script = '/g', uid:gid 7:8\n",
        " VRRP Script = chk\n",
        "   Result = 3\n",
        "   Status = GOOD\n",
        "   State = running\n",
        " Name = lo\n   index = 1\n   IPv4 address = (none)\n   IPv6 address = ::1\n   State = UP, RUNNING\n",
        "   IPv6 address = (none)\n   MAC = 02:00:00:00:00:01\n   State = DOWN\n",
        "   MTU = 1500\n   Tracking VRRP instances :\n     A, weight 3\n Name = v0\n   State = UP, RUNNING\n",
    ):
        assert expected in text, expected
    assert vrrp.render_data(PLAN, NOW, None).count("Status = INIT") == 1, "without a runner nothing is made up"


def test_checkers_are_shown_under_their_server():
    check = TcpCheck(connection=Connection(address=Address("10.0.0.5"), port=80, connect_timeout=S), retry=3)
    server = RealServer(address=Address("10.0.0.5"), port=80, weight=4, checkers=Checkers(tcp=(check,)))
    service = VirtualServer(name="[10.0.0.1]:tcp:80", address=Address("10.0.0.1"), port=80, real_servers=(server,))
    plan = Plan(checker=CheckerPlan(virtual_servers=(service,)))
    now = CheckSnapshot(
        kind="TCP_CHECK",
        target="10.0.0.5:80",
        up=False,
        has_run=True,
        result="connection refused",
        since_wall=1.0,
        last_wall=2.0,
        retries_left=1,
        lateness=0,
    )
    real = RealServerSnapshot(
        address=Address("10.0.0.5"),
        port=80,
        alive=False,
        weight=4,
        effective_weight=2,
        programmed=False,
        kernel_weight=None,
        checkers=(now,),
    )
    state = VirtualServerSnapshot(
        name=service.name,
        scheduler="wlc",
        quorum=1,
        hysteresis=0,
        quorum_up=False,
        weight_alive=0,
        programmed=True,
        real_servers=(real,),
    )
    text = checker.render_check(plan, CheckerSnapshot(plane="ipvs", virtual_servers=(state,)))
    assert " VS VIP = 10.0.0.1, VPORT = 80\n" in text
    assert "   RIP = 10.0.0.5, RPORT = 80, WEIGHT = 4 EFF WEIGHT = 2\n" in text
    assert "   num failed checkers = 1\n" in text
    assert " [10.0.0.1]:tcp:80 -> [10.0.0.5]:tcp:80\n   Enabled = yes\n   Up = no\n" in text
    assert "   Retries = 3\n" in text
    assert "   Retries iterations = 2\n" in text
    assert "     Dest = [10.0.0.5]:80\n" in text
    assert "   Keepalive method = TCP_CHECK\n" in text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            {"hops": (Nexthop(via=Address("10.7.7.9"), dev="d0"),), "metric": 7},
            "prepend 10.77.0.0/24 via inet 10.7.7.9 dev d0 proto 18 metric 7",
        ),
        (
            {"kind": 6, "mode": RouteMode.ADD, "tracked": False},
            "add blackhole 10.77.0.0/24 proto 18 no_track",
        ),
        (
            {"hops": (Nexthop(dev="d0"),), "prefsrc": Address("10.7.7.1"), "table": 44, "scope": 253},
            "prepend 10.77.0.0/24 src 10.7.7.1 dev d0 table 44 proto 18 scope 253",
        ),
        (
            {
                "hops": (
                    Nexthop(via=Address("10.7.7.8"), dev="d0", weight=2),
                    Nexthop(via=Address("10.7.7.7"), dev="d0", weight=3),
                ),
            },
            "prepend 10.77.0.0/24 proto 18 nexthop via inet 10.7.7.8 dev d0 weight 2 "
            "nexthop via inet 10.7.7.7 dev d0 weight 3",
        ),
    ],
)
def test_routes_are_written_as_keepalived_writes_them(line, text):
    plain: dict[str, object] = {"text": "", "family": 4, "destination": Address("10.77.0.0"), "prefixlen": 24}
    assert routes.route(Route(**(plain | line))) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            {"source": Address("10.77.0.0"), "source_len": 24, "table": 33, "preference": 16384},
            "from 10.77.0.0/24 priority 16384 tos 0x0 protocol 18 lookup 33",
        ),
        (
            {"destination": Address("10.77.0.0"), "destination_len": 24, "table": 34, "preference": 55, "iif": "d0"},
            "from all to 10.77.0.0/24 priority 55 tos 0x0 iif d0 protocol 18 lookup 34",
        ),
        (
            {"fwmark": 7, "table": 44, "preference": 16383},
            "from all priority 16383 tos 0x0 fwmark 0x7 protocol 18 lookup 44",
        ),
    ],
)
def test_rules_are_written_as_keepalived_writes_them(line, text):
    assert routes.rule(Rule(text="", family=4, **line)) == text


def test_an_interface_of_our_own_making_is_shown_with_its_base():
    made = MadeLink(name="vrrp.51", base="d0", mac="00:00:5e:00:01:33")
    vip = VirtualAddress(address=Address("10.9.0.100"), prefixlen=24, dev="vrrp.51")
    for interface, tail in (("vrrp.51", ""), ("d0", ", xmit base i/f")):
        one = VrrpInstance(name="A", interface=interface, virtual_router_id=51, addresses=(vip,))
        plan = Plan(vrrp=VrrpPlan(instances=(one,), made_links=(made,)))
        text = vrrp.render_data(plan, NOW, None)
        assert f"   Interface = vrrp.51, vmac on d0{tail}\n" in text
        assert "     10.9.0.100/24 dev vrrp.51@d0 scope global\n" in text
        data = orjson.loads(stats.render_json(plan, NOW, None, {}, 1))[0]["data"]
        assert (data["vmac_ifname"], data["ifp_ifname"]) == ("vrrp.51", "vrrp.51")


def test_every_dump_is_headed_by_the_definitions():
    head = definitions.render_parent(PLAN)
    assert head.startswith("------< Global definitions >------\n Network namespace = (default)\n")
    assert vrrp.render_data(PLAN, NOW, RUNNER).startswith(head)
    assert checker.render_check(PLAN, CheckerSnapshot(plane="none")).startswith(head)
