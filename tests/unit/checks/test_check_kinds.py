"""The lives of UDP, DNS, SMTP, PING and FILE checkers (numbers: the reference of keepalived's checker behaviour)."""

from __future__ import annotations

from typing import Any

import pytest

from fastha.checks.actions import Change
from fastha.checks.core import CheckCore
from fastha.checks.life import FileChecker, make, same_parameters
from fastha.checks.recipes import Kind, Report, Verdict
from fastha.checks.words import result_words
from fastha.model.net import Address
from fastha.model.plan import (
    Connection,
    DnsCheck,
    FileCheck,
    HttpCheck,
    PingCheck,
    Regex,
    SmtpCheck,
    UdpCheck,
    Url,
)
from fastha.model.units import S
from tests.check_builders import OK, REFUSED, Lab, Life, connection, http, plan, rs, tcp, told, vs

NONE, UP, DOWN, FIRST_UP, FIRST_DOWN = Change.NONE, Change.UP, Change.DOWN, Change.FIRST_UP, Change.FIRST_DOWN


def check(kind: type[Any], **words: Any) -> Any:
    return kind(**{"delay_loop": 6 * S, "warmup": 0, "connection": connection(), "retry": 1} | words)


def drain(**words: Any) -> FileCheck:
    return FileCheck(**{"track_file": "drain"} | words)


# ------------------------------------------------------------------------------------- retry rules


@pytest.mark.parametrize("kind", [UdpCheck, PingCheck, DnsCheck, SmtpCheck])
def test_5_3_retries(kind: type[Any]) -> None:
    life = Life(check(kind, retry=2))
    assert life.ok() == (FIRST_UP, 6)
    assert [life.bad(), life.bad(), life.bad()] == [(NONE, 1), (NONE, 1), (DOWN, 6)]
    assert life.ok() == (UP, 6)


@pytest.mark.parametrize("kind", [UdpCheck, PingCheck])
def test_5_4_a_failure_while_down_and_not_yet_run_waits_delay_loop(kind: type[Any]) -> None:
    assert Life(check(kind, retry=2), fresh=False, up=False).bad() == (NONE, 6)


def test_5_4_does_not_hold_for_dns() -> None:
    assert Life(check(DnsCheck, retry=2), fresh=False, up=False).bad() == (NONE, 1)


@pytest.mark.parametrize("kind", [UdpCheck, PingCheck, DnsCheck])
def test_2_9_the_first_failure_is_decisive(kind: type[Any]) -> None:
    assert Life(check(kind, retry=3)).bad() == (DOWN, 6)


def test_7_5_smtp_uses_all_retries_in_each_cycle() -> None:
    life = Life(check(SmtpCheck, retry=2))
    assert [life.bad(), life.bad(), life.bad()] == [(NONE, 1), (NONE, 1), (DOWN, 6)]
    assert [life.bad(), life.bad(), life.bad()] == [(NONE, 1), (NONE, 1), (NONE, 6)]
    assert not life.standing, "a failure while down must be seen"
    assert life.ok() == (UP, 6)
    assert life.standing
    assert [life.bad(), life.ok(), life.bad()] == [(NONE, 1), (NONE, 6), (NONE, 1)]


def test_7_5_smtp_without_retries_needs_no_python_while_down() -> None:
    life = Life(check(SmtpCheck, retry=0))
    assert life.bad() == (DOWN, 6)
    assert life.standing
    assert life.checker.retries_left == 0


# ---------------------------------------------------------------------------------- words and mails


@pytest.mark.parametrize(
    ("kind", "up", "down"),
    [
        (UdpCheck, "=> UDP CHECK succeed on service <=", "=> UDP CHECK failed on service <="),
        (PingCheck, "=> ICMP CHECK succeed on service <=", "=> ICMP CHECK failed on service <="),
        (DnsCheck, "=> DNS_CHECK: succeed on service <=", "=> DNS_CHECK: failed on service <="),
        (SmtpCheck, "=> CHECK succeed on service <=", "=> CHECK failed on service : cannot connect <="),
    ],
)
def test_9_6_mails(kind: type[Any], up: str, down: str) -> None:
    life = Life(check(kind, retry=0))
    life.bad()
    life.ok()
    assert [changed.mail for changed in life.changes] == [down, up]


@pytest.mark.parametrize(
    ("verdict", "status", "reason"),
    [
        (Verdict.STATUS, 554, "answer 554"),
        (Verdict.STATUS, 0, "answer without a code"),
        (Verdict.TIMEOUT, 0, "timed out"),
        (Verdict.NO_DATA, 0, "connection closed"),
    ],
)
def test_9_6_smtp_mails_name_the_reason(verdict: Verdict, status: int, reason: str) -> None:
    life = Life(check(SmtpCheck, retry=0))
    life.bad(verdict, status=status)
    assert life.changes[0].mail == f"=> CHECK failed on service : {reason} <="


def test_names() -> None:
    kinds = [UdpCheck, DnsCheck, SmtpCheck, PingCheck]
    names = [make(0, check(kind), up=True, fresh=True, since=0).name for kind in kinds]
    assert names == ["UDP_CHECK", "DNS_CHECK", "SMTP_CHECK", "PING_CHECK"]
    assert [make(0, http(tls=tls), up=True, fresh=True, since=0).name for tls in (False, True)] == [
        "HTTP_GET",
        "SSL_GET",
    ]
    assert make(0, drain(), up=True, fresh=True, since=0).name == "FILE_CHECK"


def test_result_words() -> None:
    page = http()
    wanted = HttpCheck(connection=connection(), urls=(Url(path="/", regex=Regex(pattern="x", no_match=True)),))
    for one, verdict, errno, status, words in (
        (check(UdpCheck), Verdict.SUCCESS, 0, 0, "not refused"),
        (check(UdpCheck), Verdict.REPLY, 0, 0, "another answer than required"),
        (check(DnsCheck), Verdict.SUCCESS, 0, 0, "answered"),
        (check(DnsCheck), Verdict.STATUS, 0, 3, "answer NXDOMAIN"),
        (check(DnsCheck), Verdict.STATUS, 0, 11, "answer RCODE 11"),
        (check(DnsCheck), Verdict.TIMEOUT, 110, 0, "timed out"),
        (check(SmtpCheck), Verdict.STATUS, 0, 554, "answer 554"),
        (check(SmtpCheck), Verdict.STATUS, 0, 0, "answer without a code"),
        (check(SmtpCheck), Verdict.SUCCESS, 0, 250, "greeted"),
        (check(PingCheck), Verdict.SUCCESS, 0, 0, "answered"),
        (page, Verdict.REGEX, 0, 200, "the pattern is not in the body"),
        (wanted, Verdict.REGEX, 0, 200, "the pattern is in the body"),
        (page, Verdict.TLS, 1040, 0, "TLS failed: handshake refused"),
        (page, Verdict.TLS, 0, 0, "TLS failed: the connection ended"),
        (page, Verdict.TLS, 99, 0, "TLS failed: reason 99"),
    ):
        assert result_words(one, verdict, errno, status) == words


# ------------------------------------------------------------------------------------------ recipes


def test_recipes() -> None:
    where = Connection(
        address=Address("10.0.1.1"), port=53, bindto=Address("10.0.0.1"), bind_port=9, bind_if="eth1", fwmark=7,
        connect_timeout=2 * S,
    )  # fmt: skip
    for kind, expected in ((UdpCheck, Kind.UDP), (DnsCheck, Kind.DNS), (SmtpCheck, Kind.SMTP), (PingCheck, Kind.PING)):
        recipe = Life(check(kind, connection=where)).recipe
        assert recipe.kind is expected
        assert (recipe.bindto, recipe.bind_port, recipe.bind_if, recipe.fwmark) == ("10.0.0.1", 9, "eth1", 7)
        assert (recipe.timeout, recipe.port) == (2 * S, 0 if kind is PingCheck else 53)
    assert Life(check(SmtpCheck, helo_name="lvs")).recipe.request == b"HELO lvs\r\n"
    assert Life(check(UdpCheck, payload=b"")).recipe.request == b""
    ping6 = Life(check(PingCheck, connection=Connection(address=Address("fd00::1"), port=1))).recipe
    assert ping6.request[:8] == b"\x80" + bytes(7)
    assert len(ping6.request) == 136


def test_ssl_recipe() -> None:
    url = Url(path="/x", sni="www", tls_compliant=True, regex=Regex(pattern="y"))
    recipe = Life(HttpCheck(connection=connection(), urls=(url,), tls=True)).recipe
    assert (recipe.kind, recipe.sni, recipe.tls_compliant, recipe.regex) == (Kind.SSL, "www", True, url.regex)
    assert recipe.request.startswith(b"GET /x HTTP/1.0\r\n")


# ------------------------------------------------------------------------------------------- reload


def test_11_6_same_parameters() -> None:
    pairs = [
        (check(UdpCheck), check(UdpCheck, payload=b"x", retry=9), True),
        (check(UdpCheck), check(UdpCheck, connection=connection(2)), False),
        (check(UdpCheck), check(PingCheck), False),
        (check(UdpCheck), tcp(), False),
        (check(SmtpCheck), check(SmtpCheck, helo_name="x"), False),
        (check(SmtpCheck), check(SmtpCheck, delay_loop=S), True),
        (check(DnsCheck), check(DnsCheck, type="A"), False),
        (check(DnsCheck), check(DnsCheck, name="a"), False),
        (check(DnsCheck), check(DnsCheck, retry=7), True),
        (http(), http(tls=True), True),
        (drain(), drain(weight=0), True),
        (drain(), drain(track_file="other"), False),
    ]
    for one, other, same in pairs:
        assert same_parameters(one, other) == same_parameters(other, one) == same


# --------------------------------------------------------------------------------------- FILE_CHECK


@pytest.mark.parametrize(
    ("words", "value", "judged"),
    [
        ({"weight": 0}, 0, (False, 0)),
        ({"weight": 0}, -1, (True, 0)),
        ({"weight": 0, "reverse": True}, 0, (True, 0)),
        ({"weight": 0, "reverse": True}, 5, (False, 0)),
        ({"weight": 3}, 2, (False, 6)),
        ({"weight": 3, "reverse": True}, 2, (False, -6)),
        ({"weight": -1}, 2**31 - 1, (False, -(2**31) + 1)),
        ({"weight": 1}, -(2**31), (True, 0)),
        ({"weight": -5}, 2**31 - 1, (True, 0)),
        ({"weight": 5}, 2**31 - 1, (False, 2**31 - 1)),
    ],
)
def test_8_10_judgement(words: dict[str, Any], value: int, judged: tuple[bool, int]) -> None:
    checker = make(0, drain(**words), up=True, fresh=True, since=0)
    assert isinstance(checker, FileChecker)
    assert checker.judge(value) == judged


def test_8_12_never_alpha_has_run_and_orders_nothing() -> None:
    core = CheckCore()
    target, orders = core.add(drain(alpha=True), "one", 0, fresh=True)
    assert orders == []
    assert (core[target].up, core[target].has_run) == (True, True)
    assert core.renew(target, 0, 0) == []
    assert core.suspend(target) == []
    assert core.remove(target) == []
    assert core.file_value(target, 1, 0.0, 0) == []


def lab(*checks: FileCheck, **words: Any) -> Lab:
    bench = Lab(plan(vs(rs(1, *checks, weight=10), rs(2, weight=10), **words)))
    bench.notices.clear()
    return bench


def test_8_10_weights_follow_the_file() -> None:
    bench = lab(drain(weight=2))
    assert bench.weights() == {"10.0.1.1": 10, "10.0.1.2": 10}
    for value, weight in ((3, 16), (-3, 4), (-9, 0), (0, 10)):
        bench.director.file("drain", value, 0.0, bench.now)
        bench.settle()
        assert bench.weights()["10.0.1.1"] == weight
    assert bench.notices == []


def test_8_10_an_unweighted_file_takes_the_server_out_and_brings_it_back() -> None:
    bench = lab(drain(weight=0))
    bench.director.file("drain", 1, 0.0, bench.now)
    bench.settle()
    assert bench.weights() == {"10.0.1.2": 10}
    assert told(bench.notices) == ["RS 10.0.1.1 DOWN"]
    assert any("FILE_CHECK is down: drain is 1" in line for line in bench.lines)
    bench.director.file("drain", 0, 0.0, bench.now)
    bench.settle()
    assert bench.weights() == {"10.0.1.1": 10, "10.0.1.2": 10}
    assert told(bench.notices) == ["RS 10.0.1.1 DOWN", "RS 10.0.1.1 UP"]


def test_two_files_and_quorum() -> None:
    bench = lab(drain(weight=1), drain(track_file="other", weight=-1), quorum=20)
    bench.director.file("drain", 5, 0.0, bench.now)
    bench.director.file("other", 8, 0.0, bench.now)
    bench.settle()
    assert bench.weights()["10.0.1.1"] == 7
    assert told(bench.notices) == ["VS DOWN"]
    bench.director.file("unknown", 8, 0.0, bench.now)
    bench.settle()
    assert bench.weights()["10.0.1.1"] == 7


def test_8_11_a_file_known_before_counts_for_a_new_server() -> None:
    """Also reversed: keepalived takes the first number for what it is not."""
    bench = lab()
    bench.director.file("drain", 0, 0.0, bench.now)
    service = vs(rs(1, weight=10), rs(2, weight=10), rs(3, drain(weight=0, reverse=True)), rs(4, drain(weight=2)))
    bench.director.file("drain", 0, 0.0, bench.now)
    bench.reload(plan(service))
    assert set(bench.weights()) == {"10.0.1.1", "10.0.1.2", "10.0.1.4"}


def test_reload_judges_the_file_anew_and_a_file_no_longer_followed_adds_nothing() -> None:
    bench = lab(drain(weight=2))
    bench.director.file("drain", 3, 0.0, bench.now)
    bench.settle()
    bench.reload(plan(vs(rs(1, drain(weight=4), weight=10), rs(2, weight=10))))
    assert bench.weights()["10.0.1.1"] == 22
    bench.reload(plan(vs(rs(1, drain(weight=4), weight=20), rs(2, weight=10))))
    assert bench.weights()["10.0.1.1"] == 32
    bench.reload(plan(vs(rs(1, drain(weight=0), weight=20), rs(2, weight=10))))
    assert set(bench.weights()) == {"10.0.1.2"}
    bench.reload(plan(vs(rs(1, weight=20), rs(2, weight=10))))
    assert bench.weights()["10.0.1.1"] == 20


def test_a_suspended_check_takes_the_number_when_it_goes_on() -> None:
    bench = lab(drain(weight=2), ha_suspend=True)
    bench.director.file("drain", 3, 0.0, bench.now)
    bench.settle()
    assert bench.weights()["10.0.1.1"] == 10
    bench.director.local_addresses({Address("10.0.0.1"): 1}, bench.now)
    bench.settle()
    assert bench.weights()["10.0.1.1"] == 16


def test_a_file_beside_a_probe() -> None:
    bench = Lab(plan(vs(rs(1, tcp(1), drain(weight=0)), rs(2))))
    bench.run(10)
    bench.director.file("drain", 1, 0.0, bench.now)
    bench.settle()
    bench.state["10.0.1.1"] = REFUSED
    bench.run(60)
    bench.director.file("drain", 0, 0.0, bench.now)
    bench.settle()
    assert set(bench.weights()) == {"10.0.1.2"}
    bench.state["10.0.1.1"] = OK
    bench.run(60)
    assert set(bench.weights()) == {"10.0.1.1", "10.0.1.2"}


def test_all_kinds_in_one_pool_in_virtual_time() -> None:
    kinds = (UdpCheck, DnsCheck, SmtpCheck, PingCheck)
    servers = [rs(number, check(kind, connection=connection(number))) for number, kind in enumerate(kinds, 1)]
    bench = Lab(plan(vs(*servers)))
    bench.run(20)
    assert len(bench.weights()) == 4
    bench.state = {f"10.0.1.{number}": REFUSED for number in range(1, 5)}
    bench.run(60)
    assert sorted(told(bench.notices)) == [*(f"RS 10.0.1.{number} DOWN" for number in range(1, 5)), "VS DOWN", "VS UP"]
    assert bench.weights() == {}


def test_stale_reports_of_files_are_none() -> None:
    core = CheckCore()
    target, _ = core.add(drain(), "one", 0, fresh=True)
    assert core.handle(Report(target, 77, Verdict.SUCCESS, 0, 0, 0, 0), 0) == []
