"""Words about the load balancer as a whole, and fastha's own words about pools."""

import pytest

from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, Drift, FlushOnStop, SyncSettings
from fastha.model.units import MS, S
from tests.config_machine import GOOD_SERVICE, errors, messages, read

INSTANCE = """vrrp_instance VI {{
interface eth0
virtual_router_id 51
priority 100
{}
virtual_ipaddress {{
192.0.2.99/32
}}
}}
"""


def checker(text: str) -> CheckerPlan:
    loaded = read(text)
    assert loaded.plan is not None, messages(loaded)
    return loaded.plan.checker


def sync(line: str, instance: str = "") -> SyncSettings | None:
    defs = f"global_defs {{\nlvs_sync_daemon {line}\n}}\n" if line else ""
    return checker(defs + INSTANCE.format(instance)).sync_daemon


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("eth0", SyncSettings(interface="eth0")),
        ("eth0 VI", SyncSettings(interface="eth0", instance="VI", syncid=51)),
        ("eth0 inst VI id 0", SyncSettings(interface="eth0", instance="VI", syncid=0)),
        ("eth0 id 7 maxlen 1200", SyncSettings(interface="eth0", syncid=7, maxlen=1200)),
        (
            "eth0 inst VI port 9000 ttl 3 group 224.0.0.9",
            SyncSettings(interface="eth0", instance="VI", syncid=51, port=9000, ttl=3, group=Address("224.0.0.9")),
        ),
        ("eth0 inst other", None),
    ],
)
def test_the_sync_daemon(line: str, expected: SyncSettings | None) -> None:
    """12.2, 12.4: the id is that of the instance; an instance that is not there takes all with it."""
    assert sync(line) == expected


def test_the_older_word_in_an_instance() -> None:
    word = "lvs_sync_daemon_interface eth0"
    assert sync("", word) == SyncSettings(interface="eth0", instance="VI", syncid=0)
    assert sync("eth0 id 3", word) == SyncSettings(interface="eth0", syncid=3)
    defs = "global_defs {\nlvs_sync_daemon eth0\n}\n"
    assert "there is a sync daemon already" in messages(read(defs + INSTANCE.format(word)))


def test_without_the_word_there_is_none() -> None:
    assert sync("") is None


@pytest.mark.parametrize(
    ("line", "expected"), [("", FlushOnStop.NO), ("lvs_flush_on_stop", FlushOnStop.ALL), ("lvs_flush_onstop VS", "VS")]
)
def test_flush_on_stop(line: str, expected: str) -> None:
    plan = checker(f"global_defs {{\n{line}\n}}\n" + GOOD_SERVICE.format("", ""))
    assert plan.lvs_flush_on_stop == expected


@pytest.mark.parametrize(("line", "expected"), [("", None), ("net_namespace_ipvs", ""), ("net_namespace_ipvs x", "x")])
def test_the_namespace_of_the_table(line: str, expected: str | None) -> None:
    assert checker(f"{line}\n" + GOOD_SERVICE.format("", "")).net_namespace_ipvs == expected


def test_drift() -> None:
    assert checker(GOOD_SERVICE.format("", "")).lvs_drift is Drift.REPAIR
    plan = checker("global_defs {\nlvs_drift report\n}\n" + GOOD_SERVICE.format("", ""))
    assert plan.lvs_drift is Drift.REPORT
    assert errors(read("global_defs {\nlvs_drift never\n}\n" + GOOD_SERVICE.format("", "")))


def test_words_about_pools_in_trouble() -> None:
    words = "drain_time 60\nslow_start 0.5\npanic_threshold 50\nflap_damping 3 90"
    (service,) = checker(GOOD_SERVICE.format(words, "snmp_name one")).virtual_servers
    assert (service.drain_time, service.slow_start, service.panic_threshold) == (60 * S, 500 * MS, 50)
    assert service.flap_damping == (3, 90 * S)
    assert service.real_servers[0].snmp_name == "one"
    for bad in ("panic_threshold 101", "flap_damping 3", "flap_damping 0 5", "slow_start -1"):
        assert errors(read(GOOD_SERVICE.format(bad, ""))), bad


def test_backups_do_not_count_for_the_quorum() -> None:
    two = GOOD_SERVICE.format("quorum 2", "").rstrip().removesuffix("}") + "real_server 192.0.2.22 80 {\nbackup\n}\n}\n"
    loaded = read(two)
    assert "quorum 2 is more than the weights" in messages(loaded)
    assert [server.backup for server in checker(two).virtual_servers[0].real_servers] == [False, True]
    assert "all real servers are backups" in messages(read(GOOD_SERVICE.format("", "backup")))
