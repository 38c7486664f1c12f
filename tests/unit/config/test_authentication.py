"""auth_hmac and AH: keys and what does not fit; the words about unicast and late timers."""

from typing import Any

import pytest

from fastha.model.plan import AuthHmac, AuthType, HmacMode, UnicastChecksum, VrrpInstance
from tests.config_machine import GOOD_INSTANCE, Machine, errors, instance, messages, read

TEXT = "0123456789abcdef0123456789abcdef"
PEER = "unicast_peer {\n192.0.2.2\n}"


def planned(extra: str, machine: Machine | None = None) -> VrrpInstance:
    loaded = instance(extra, machine=machine)
    assert loaded.plan is not None, messages(loaded)
    return loaded.plan.vrrp.instances[0]


def block(*lines: str) -> str:
    return "auth_hmac {\n" + "\n".join(lines) + "\n}"


GOOD = block(f'key 7 "{TEXT}"', "active_key 7")


def test_the_defaults() -> None:
    assert errors(instance(GOOD)) == []
    assert planned(GOOD).auth_hmac == AuthHmac(keys={7: TEXT.encode()}, active_key=7, time_window=5)


@pytest.mark.parametrize(("interval", "window"), [(1, 5), (2, 6), (100, 300), (255, 300)])
def test_the_window_follows_the_interval(interval: int, window: int) -> None:
    hmac = planned(f"advert_int {interval}\n{GOOD}").auth_hmac
    assert hmac is not None
    assert hmac.time_window == window


def test_all_words() -> None:
    lines = (f"key 1 {TEXT}", f"key 2 hex:{'Ab' * 40}", "active_key 2", "time_window 30", "anti_replay monotonic")
    loaded = instance("version 3\n" + block(*lines, "mode permissive"))
    assert errors(loaded) == []
    assert loaded.notes_not_in_effect == []
    assert loaded.plan is not None
    hmac = loaded.plan.vrrp.instances[0].auth_hmac
    assert hmac == AuthHmac(
        keys={1: TEXT.encode(), 2: b"\xab" * 40},
        active_key=2,
        time_window=30,
        monotonic=True,
        mode=HmacMode.PERMISSIVE,
    )


@pytest.mark.parametrize(
    ("contents", "key"),
    [(TEXT.encode() + b"\n", TEXT.encode()), (b"hex:" + b"0f" * 32 + b"\r\n", b"\x0f" * 32)],
)
def test_a_key_may_be_in_a_file(contents: bytes, key: bytes) -> None:
    machine = Machine(files={"/etc/key": contents}, modes={"/etc/key": (0o100600, 0, 0)})
    extra = block("key 7 file:/etc/key", "active_key 7")
    assert errors(instance(extra, machine=machine)) == []
    hmac = planned(extra, machine).auth_hmac
    assert hmac is not None
    assert hmac.keys == {7: key}


def test_a_file_that_others_can_read_is_said_and_used() -> None:
    machine = Machine(files={"/etc/key": TEXT.encode()}, modes={"/etc/key": (0o100640, 0, 0)})
    loaded = instance(block("key 7 file:/etc/key", "active_key 7"), machine=machine)
    assert "can be read by others" in messages(loaded)
    assert loaded.exit_code == 6
    assert planned(block("key 7 file:/etc/key", "active_key 7"), machine).auth_hmac is not None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("key 0 " + TEXT, "outside 1..255"),
        ("key x " + TEXT, "not a whole number"),
        ("key 2 short", "has 32 to 64 bytes, and not 5"),
        (f"key 2 {'x' * 65}", "and not 65"),
        ("key 2 hex:abc", "even number of hexadecimal digits"),
        ("key 2 hex:" + "zz" * 32, "even number of hexadecimal digits"),
        ("key 2 hex:" + "00" * 31, "and not 31"),
        ("key 2 file:/none", "No such file"),
        ("key 2 file:/long", "longer than"),
        ("key 2", "needs a value"),
        (f"key 7 {TEXT}", "there twice"),
        ("time_window 0", "outside 1..300"),
        ("anti_replay none", "unknown mode 'none'"),
        ("mode strict", "unknown mode 'strict'"),
    ],
)
def test_what_is_wrong_is_said_and_ignored(line: str, said: str) -> None:
    machine = Machine(files={"/long": b"x" * 5000})
    loaded = instance(block(f'key 7 "{TEXT}"', line, "active_key 7"), machine=machine)
    assert said in messages(loaded)
    assert loaded.plan is not None
    hmac = loaded.plan.vrrp.instances[0].auth_hmac
    assert hmac is not None
    assert hmac.keys == {7: TEXT.encode()}


@pytest.mark.parametrize(
    ("lines", "said"),
    [((f"key 7 {TEXT}",), "active_key is missing"), ((f"key 7 {TEXT}", "active_key 8"), "active_key 8 is not among")],
)
def test_without_a_key_to_sign_with_there_is_none(lines: tuple[str, ...], said: str) -> None:
    loaded = instance(block(*lines))
    assert said in messages(loaded)
    assert loaded.plan is not None
    assert loaded.plan.vrrp.instances[0].auth_hmac is None


def test_it_takes_the_place_of_the_older_authentication() -> None:
    extra = "authentication {\nauth_type PASS\nauth_pass x\n}\n" + GOOD
    assert "authentication is dropped" in messages(instance(extra))
    plan = planned(extra)
    assert plan.auth_type is AuthType.NONE
    assert plan.auth_hmac is not None


def test_strict_mode_enforces() -> None:
    extra = "strict_mode\n" + block(f"key 7 {TEXT}", "active_key 7", "mode permissive")
    assert "is enforce in strict mode" in messages(instance(extra))
    hmac = planned(extra).auth_hmac
    assert hmac is not None
    assert hmac.mode is HmacMode.ENFORCE


def test_ah() -> None:
    extra = "authentication {\nauth_type AH\nauth_pass secret\n}"
    assert errors(instance(extra)) == []
    plan = planned(extra)
    assert (plan.auth_type, plan.auth_pass) == (AuthType.AH, b"secret\0\0")
    loaded = instance("state MASTER\npriority 150\n" + extra)
    assert "it starts as BACKUP" in messages(loaded)
    six = read(GOOD_INSTANCE.format("version 2\n" + extra).replace("192.0.2.10/24", "fe80::1"))
    assert "AH is for IPv4 only" in messages(six)


@pytest.mark.parametrize(
    ("extra", "field", "value"),
    [
        (f"{PEER}\nold_unicast_checksum", "old_unicast_checksum", UnicastChecksum.OLD),
        (f"{PEER}\nold_unicast_checksum never", "old_unicast_checksum", UnicastChecksum.NEVER_OLD),
        (PEER, "old_unicast_checksum", UnicastChecksum.DETECT),
        (f"{PEER}\nunicast_fault_no_peer", "fault_no_peer", False),
        ("unicast_fault_no_peer", "fault_no_peer", True),
        ("unicast_src_ip 192.0.2.1\nunicast_fault_no_peer", "fault_no_peer", True),
        (f"{PEER}\nunicast_ttl 0", "unicast_ttl", None),
        (f"{PEER}\nunicast_ttl 64", "unicast_ttl", 64),
        ("unicast_peer {\n192.0.2.2 min_ttl 250\n}", "check_unicast_src", True),
        ("nopreempt\ntimer_expired_backup", "timer_expired_backup", 254),
        ("nopreempt\ntimer_expired_backup 100", "timer_expired_backup", 100),
    ],
)
def test_words_that_are_right(extra: str, field: str, value: Any) -> None:
    assert errors(instance(extra)) == []
    assert getattr(planned(extra), field) == value


@pytest.mark.parametrize(
    ("extra", "said", "field", "value"),
    [
        (f"{PEER}\nold_unicast_checksum old", "unknown option 'old'", "old_unicast_checksum", UnicastChecksum.DETECT),
        ("timer_expired_backup 100", "needs nopreempt", "timer_expired_backup", None),
        ("nopreempt\ntimer_expired_backup 255", "outside 1..254", "timer_expired_backup", None),
        ("nopreempt\nthread_timer_expired 9", "is deprecated", "timer_expired_backup", 9),
    ],
)
def test_words_that_are_wrong(extra: str, said: str, field: str, value: Any) -> None:
    loaded = instance(extra)
    assert said in messages(loaded)
    assert getattr(planned(extra), field) == value


def test_bounds_that_nothing_can_keep_leave_the_peer_there() -> None:
    extra = "unicast_peer {\n192.0.2.2 min_ttl 9 max_ttl 5\n}"
    assert "every advert of this peer will be dropped" in messages(instance(extra))
    (peer,) = planned(extra).unicast_peers
    assert (peer.min_ttl, peer.max_ttl) == (9, 5)


def test_the_first_ipv6_address_should_be_link_local() -> None:
    text = GOOD_INSTANCE.format("").replace("192.0.2.10/24", "2001:db8::10/64")
    loaded = read(text)
    assert errors(loaded) == []
    assert any("not link-local" in d.message for d in loaded.diagnostics)
    strict = read(text.replace("interface eth0", "interface eth0\nstrict_mode"))
    assert "not link-local" in messages(strict)
    assert strict.plan is not None
    first = read(text.replace("2001:db8::10/64", "fe80::10\n2001:db8::10/64"))
    assert first.diagnostics == []
