"""Timeouts of IPVS and the synchronisation of its connections, beside the table."""

import errno
from pathlib import Path
from typing import Any

import pytest

from fastha.model.net import Address
from fastha.model.plan import SyncSettings
from fastha.model.table import ServiceKey, SyncDaemon
from fastha.model.units import S
from fastha.process.ipvsextras import CHECK_EVERY, IpvsExtras
from fastha.process.programmer import JournalFile, Programmer

OWN = (900, 120, 300)
FOLLOWING = SyncSettings(interface="eth0", instance="VI", syncid=51)
BOTH = SyncSettings(interface="eth0")


class Kernel:
    """Timeouts and halves, as the kernel keeps them: what is not given is filled in."""

    name = "ipvs"
    note = ""
    slow = False

    def __init__(self) -> None:
        self.timeouts = OWN
        self.running: dict[bool, SyncDaemon] = {}
        self.calls: list[str] = []
        self.interfaces = {"eth0", "eth1"}

    def read(self) -> dict[ServiceKey, Any]:
        return {}

    def read_one(self, at: ServiceKey) -> None: ...

    def disturbed(self) -> bool:
        return False

    def apply(self, operations: list[Any]) -> list[Any]:
        return []

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def read_timeouts(self) -> tuple[int, int, int]:
        return self.timeouts

    def set_timeouts(self, tcp: int, tcpfin: int, udp: int) -> None:
        if tcp == 666:
            raise OSError(errno.EPERM, "no")
        self.timeouts = (tcp, tcpfin, udp)

    def read_daemons(self) -> list[SyncDaemon]:
        return list(self.running.values())

    def start_daemon(self, daemon: SyncDaemon) -> None:
        assert daemon.master not in self.running
        if daemon.interface not in self.interfaces:
            raise OSError(errno.ENODEV, "No such device")
        self.calls.append(f"start {'master' if daemon.master else 'backup'}")
        self.running[daemon.master] = SyncDaemon(
            master=daemon.master,
            interface=daemon.interface,
            syncid=daemon.syncid,
            maxlen=1460,
            group=daemon.group or Address("224.0.0.81"),
            port=daemon.port or 8848,
            ttl=daemon.ttl or 1,
        )

    def stop_daemon(self, daemon: SyncDaemon) -> None:
        self.calls.append(f"stop {'master' if daemon.master else 'backup'}")
        if self.running.pop(daemon.master, None) is None:
            raise OSError(errno.ESRCH, "No such process")

    def said(self) -> list[str]:
        calls, self.calls = self.calls, []
        return calls


class Bench:
    def __init__(self, run_dir: Path, kernel: Kernel) -> None:
        self.kernel = kernel
        self.log: list[str] = []
        self.journal = JournalFile(str(run_dir))
        self.journal.read()
        self.extras = IpvsExtras(kernel, self.journal, lambda level, text, cause: self.log.append(f"{level} {text}"))


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def bench(tmp_path: Path, kernel: Kernel) -> Bench:
    return Bench(tmp_path, kernel)


def test_an_instance_is_followed(bench: Bench, kernel: Kernel) -> None:
    """12.2: backup at the start; a takeover stops one half, then starts the other."""
    bench.extras.configure(FOLLOWING, 0)
    assert kernel.said() == [], "the state may be MASTER: nothing is torn down before it is known"
    bench.extras.follow({}, 0)
    assert kernel.said() == ["start backup"]
    bench.extras.follow({"VI": "MASTER", "other": "BACKUP"}, 0)
    assert kernel.said() == ["stop backup", "start master"]
    assert bench.extras.halves == ("master",)
    bench.extras.follow({"other": "MASTER"}, 0)
    bench.extras.follow({"VI": "MASTER"}, 0)
    assert kernel.said() == []
    bench.extras.follow({"VI": "FAULT"}, 0)
    assert kernel.said() == ["stop master", "start backup"]
    bench.extras.release(0)
    assert kernel.said() == ["stop backup"]
    assert not bench.journal.journal.sync


def test_without_an_instance_both_halves_run(bench: Bench, kernel: Kernel) -> None:
    """12.1; but what runs as wanted is neither stopped nor started again."""
    bench.extras.configure(BOTH, 0)
    assert sorted(kernel.running) == [False, True]
    kernel.said()
    bench.extras.configure(BOTH, 0)
    assert kernel.said() == []


def test_a_restart_while_master_disturbs_nothing(tmp_path: Path, bench: Bench, kernel: Kernel) -> None:
    bench.extras.configure(FOLLOWING, 0)
    bench.extras.follow({"VI": "MASTER"}, 0)
    kernel.said()
    after = Bench(tmp_path, kernel)
    after.extras.configure(FOLLOWING, 0)
    after.extras.follow({"VI": "MASTER"}, 0)
    assert kernel.said() == []


def test_what_a_crash_left_goes_when_it_is_configured_no_more(tmp_path: Path, bench: Bench, kernel: Kernel) -> None:
    bench.extras.configure(BOTH, 0)
    kernel.said()
    after = Bench(tmp_path, kernel)
    after.extras.configure(None, 0)
    assert sorted(kernel.said()) == ["stop backup", "stop master"]
    assert not Path(after.journal.path).exists()


def test_the_daemons_of_others_are_left_alone(bench: Bench, kernel: Kernel) -> None:
    kernel.running[True] = SyncDaemon(master=True, interface="eth7")
    bench.extras.configure(None, 0)
    bench.extras.release(0)
    assert kernel.said() == []


@pytest.mark.parametrize("change", [{"syncid": 52}, {"maxlen": 900}, {"port": 9000}, {"interface": "eth1"}, {"ttl": 3}])
def test_changed_settings_are_in_force_at_once(bench: Bench, kernel: Kernel, change: dict[str, Any]) -> None:
    """12.3: keepalived is right again after the next transition only."""
    bench.extras.configure(FOLLOWING, 0)
    bench.extras.follow({"VI": "MASTER"}, 0)
    kernel.said()
    changed = SyncSettings(**{"interface": "eth0", "instance": "VI", "syncid": 51, **change})
    bench.extras.configure(changed, 0)
    assert kernel.said() == ["stop master", "start master"]


def test_an_interface_that_comes_later(bench: Bench, kernel: Kernel) -> None:
    kernel.interfaces.clear()
    bench.extras.configure(BOTH, 0)
    assert any("cannot start the master half on eth0, id 0: No such device" in line for line in bench.log)
    kernel.interfaces.add("eth0")
    bench.extras.tick(S)
    assert not kernel.running
    bench.extras.tick(3 * S)
    assert sorted(kernel.running) == [False, True]


def test_what_others_stop_is_started_again(bench: Bench, kernel: Kernel) -> None:
    bench.extras.configure(BOTH, 0)
    kernel.running.clear()
    bench.extras.tick(CHECK_EVERY - 1)
    assert not kernel.running
    bench.extras.tick(CHECK_EVERY)
    assert sorted(kernel.running) == [False, True]


def test_timeouts_are_put_back_after_a_crash(tmp_path: Path, bench: Bench, kernel: Kernel) -> None:
    """10.12: what was there before the first change, whoever made it."""
    bench.extras.set_timeouts((111, 0, 33))
    assert kernel.timeouts == (111, 120, 33)
    after = Bench(tmp_path, kernel)
    after.extras.set_timeouts((0, 22, 0))
    assert kernel.timeouts == (900, 22, 300)
    after.extras.release(0)
    assert kernel.timeouts == OWN
    assert not Path(after.journal.path).exists()


def test_timeouts_of_a_crash_are_put_back_though_not_configured_any_more(
    tmp_path: Path, bench: Bench, kernel: Kernel
) -> None:
    bench.extras.set_timeouts((111, 0, 33))
    Bench(tmp_path, kernel).extras.set_timeouts((0, 0, 0))
    assert kernel.timeouts == OWN


def test_refused_timeouts_are_told(bench: Bench, kernel: Kernel) -> None:
    bench.extras.set_timeouts((666, 0, 0))
    assert bench.log == ["error lvs_timeouts: no"]
    bench.extras.set_timeouts((0, 0, 0))
    assert kernel.timeouts == OWN


def test_the_journal_keeps_services_and_settings_apart(tmp_path: Path, bench: Bench, kernel: Kernel) -> None:
    bench.extras.set_timeouts((111, 0, 0))
    programmer = Programmer(kernel, bench.journal, lambda level, text, cause: None)
    programmer.release(0)
    assert bench.journal.journal.timeouts == OWN
    assert Bench(tmp_path, kernel).journal.journal.timeouts == OWN
