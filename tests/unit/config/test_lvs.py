"""virtual_server, real_server and the checkers: defaults, inheritance, and the rules of validation."""

from typing import Any

import pytest

from fastha.lvs.quorum import service_keys
from fastha.model.plan import Forwarding, PlaneChoice, RealServer, TunnelType, VirtualServer
from fastha.model.units import MS, S
from tests.config_machine import GOOD_SERVICE, Machine, errors, messages, read, service


def planned(extra: str = "", server: str = "", before: str = "", machine: Machine | None = None) -> VirtualServer:
    loaded = service(extra, server, before=before, machine=machine)
    assert loaded.plan is not None, messages(loaded)
    return loaded.plan.checker.virtual_servers[0]


def pool(text: str) -> list[VirtualServer]:
    loaded = read(text)
    assert loaded.plan is not None
    return list(loaded.plan.checker.virtual_servers)


def real(extra: str = "", server: str = "") -> RealServer:
    return planned(extra, server).real_servers[0]


def test_a_plain_service() -> None:
    loaded = service("", "TCP_CHECK {\n}")
    assert loaded.exit_code == 0
    assert loaded.needs_checker
    vs = planned("", "TCP_CHECK {\n}")
    assert (vs.name, vs.family, vs.scheduler, vs.quorum, vs.hysteresis) == ("[192.0.2.10]:tcp:80", 4, "rr", 1, 0)
    rs = vs.real_servers[0]
    assert (rs.address, rs.port, rs.weight, rs.method.forwarding) == ("192.0.2.21", 80, 1, Forwarding.NAT)
    (check,) = rs.checkers.tcp
    assert (check.delay_loop, check.warmup, check.retry, check.delay_before_retry) == (60 * S, 60 * S, 1, S)
    where = check.connection
    assert (where.address, where.port, where.connect_timeout) == ("192.0.2.21", 80, 5 * S)


@pytest.mark.parametrize(
    ("vs", "rs", "check", "expected"),
    [
        ("delay_loop 6", "", "", (6 * S, 6 * S, 1, S, False)),
        ("delay_loop 6", "delay_loop 7", "", (7 * S, 7 * S, 1, S, False)),
        ("delay_loop 6", "delay_loop 7", "delay_loop 8", (8 * S, 8 * S, 1, S, False)),
        ("warmup 2\nretry 3\ndelay_before_retry 4\nalpha", "", "", (60 * S, 2 * S, 3, 4 * S, True)),
        ("alpha", "alpha false", "", (60 * S, 60 * S, 1, S, False)),
        ("retry 3", "", "retry 0", (60 * S, 60 * S, 0, S, False)),
        ("warmup 0", "", "", (60 * S, 0, 1, S, False)),
    ],
)
def test_timing_is_inherited(vs: str, rs: str, check: str, expected: tuple[Any, ...]) -> None:
    (got,) = real(vs, f"{rs}\nTCP_CHECK {{\n{check}\n}}").checkers.tcp
    assert (got.delay_loop, got.warmup, got.retry, got.delay_before_retry, got.alpha) == expected


def test_each_kind_has_its_own_defaults() -> None:
    machine = Machine()
    machine.program("/usr/bin/check")
    checks = (
        planned(
            "delay_loop 9",
            'HTTP_GET {\nurl {\npath /\n}\n}\nMISC_CHECK {\nmisc_path "/usr/bin/check 192.0.2.21"\n}',
            machine=machine,
        )
        .real_servers[0]
        .checkers
    )
    assert (checks.http[0].retry, checks.http[0].delay_before_retry) == (1, 3 * S)
    assert (checks.misc[0].retry, checks.misc[0].timeout) == (0, 9 * S)
    assert checks.misc[0].command.argv == ("/usr/bin/check", "192.0.2.21")


def test_connection_options() -> None:
    check = real(
        "connect_timeout 2",
        "TCP_CHECK {\nconnect_ip 192.0.2.99\nconnect_port 8080\nbindto 192.0.2.1\nbind_port 99\nbind_if eth1\n"
        "fwmark 7\n}",
    ).checkers.tcp[0]
    where = check.connection
    assert (where.address, where.port, where.bindto, where.bind_port) == ("192.0.2.99", 8080, "192.0.2.1", 99)
    assert (where.bind_if, where.fwmark, where.connect_timeout) == ("eth1", 7, 2 * S)


def test_http_urls() -> None:
    digest = "9b3a0c85a887a256d6939da88aabd8cd"
    check = real(
        "virtualhost vs.example",
        f"HTTP_GET {{\nvirtualhost check.example\nurl {{\npath /a\nstatus_code 200 301-302\nstatus_code 404\n"
        f"digest {digest}\n}}\nurl {{\npath /b\nvirtualhost url.example\n}}\n}}",
    ).checkers.http[0]
    one, two = check.urls
    assert one.status_codes == ((200, 200), (301, 302), (404, 404))
    assert (one.digest, one.virtualhost) == (bytes.fromhex(digest), "check.example")
    assert (two.status_codes, two.digest, two.virtualhost) == (((200, 299),), None, "url.example")


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("HTTP_GET {\n}", "has no url"),
        ("HTTP_GET {\nurl {\nstatus_code 200\n}\n}", "a url without a path"),
        ("HTTP_GET {\nurl {\npath /\ndigest 1234\n}\n}", "has 4"),
        ("HTTP_GET {\nurl {\npath /\nstatus_code 99\n}\n}", "'99' is no status code"),
        ("HTTP_GET {\nnb_get_retry 3\nurl {\npath /\n}\n}", "deprecated"),
        ("TCP_CHECK {\nnb_get_retry 3\n}", "unknown keyword 'nb_get_retry'"),
        ("TCP_CHECK {\nconnect_port 0\n}", "outside 1..65535"),
        ("TCP_CHECK {\nbindto 2001:db8::1\n}", "of another family"),
        ("MISC_CHECK {\n}", "has no misc_path"),
        ("FILE_CHECK {\ntrack_file f\n}", "not defined before"),
        ("FILE_CHECK {\n}", "has no track_file"),
        ("BFD_CHECK {\nname b\n}", "not defined before"),
        ("UDP_CHECK {\nmin_reply_length 9\nmax_reply_length 3\n}", "is above max_reply_length"),
        ("weight abc", "not a whole number"),
        ("retry 0", "outside 1.."),
    ],
)
def test_bad_servers_and_checkers(server: str, said: str) -> None:
    loaded = service("", server)
    assert said in messages(loaded)
    assert loaded.exit_code == 5


def test_a_check_that_is_not_there_yet_is_said_to_be_none() -> None:
    loaded = service("", "BFD_CHECK {\nname one\n}")
    assert "the server counts as up" in loaded.notes_not_in_effect[0]


@pytest.mark.parametrize(
    ("change", "said", "field", "value"),
    [
        (("protocol TCP", ""), "no protocol", "protocol", "UDP"),
        (("lvs_sched rr", ""), "no scheduler", "scheduler", "wlc"),
        (("lvs_sched rr", "lvs_sched RR"), "case matters", "scheduler", "wlc"),
        (("lvs_method NAT", ""), "no forwarding method", "protocol", "TCP"),
        (("lvs_method NAT", "lvs_method dr"), "unknown forwarding method", "protocol", "TCP"),
        (("10 80", "10"), "port 0 needs persistence", "persistence_timeout", 360),
        (("lvs_sched rr", "lvs_sched rr\nops"), "ops is for UDP", "flags", 0),
        (("lvs_sched rr", "lvs_sched rr\nquorum 5"), "more than the weights", "quorum", 1),
        (("lvs_sched rr", "lvs_sched rr\nhysteresis 5"), "not below quorum", "hysteresis", 0),
        (("lvs_sched rr", "lvs_sched rr\npersistence_timeout 0"), "outside 1..2678400", "persistence_timeout", 0),
    ],
)
def test_services_are_put_right_and_it_is_said(change: tuple[str, str], said: str, field: str, value: Any) -> None:
    text = GOOD_SERVICE.format("", "").replace(*change)
    loaded = read(text)
    assert said in messages(loaded) + "".join(d.suggestion for d in loaded.diagnostics)
    assert loaded.exit_code == 5
    assert getattr(pool(text)[0], field) == value


@pytest.mark.parametrize(
    ("extra", "field", "value"),
    [
        ("persistence_timeout", "persistence_timeout", 360),
        ("persistence_timeout 50", "persistence_timeout", 50),
        ("persistence_granularity 255.255.255.0", "persistence_granularity", 0xFFFFFF00),
        ("persistence_granularity 255.255.255.0", "persistence_timeout", 360),
        ("persistence_engine sip", "persistence_engine", "sip"),
        ("lvs_sched mh\nmh-port\nmh-fallback", "flags", 0x18),
        ("flag-1\nflag-2\nflag-3", "flags", 0x38),
        ("protocol udp\nops", "flags", 4),
        ("omega", "omega", True),
        ("ha_suspend", "ha_suspend", True),
        ("smtp_alert", "smtp_alert", True),
    ],
)
def test_service_words(extra: str, field: str, value: Any) -> None:
    assert service(extra).exit_code == 0
    assert getattr(planned(extra), field) == value


def test_direct_routing_cannot_change_ports() -> None:
    text = GOOD_SERVICE.format("", "").replace("NAT", "DR").replace("21 80", "21 81")
    assert "DR cannot change the port" in messages(read(text))
    assert pool(text)[0].real_servers[0].port == 80
    assert pool(text.replace("DR", "NAT"))[0].real_servers[0].port == 81
    assert pool(text.replace("21 81", "21"))[0].real_servers[0].port == 80


def test_servers_that_are_there_twice_or_of_another_family() -> None:
    twice = GOOD_SERVICE.format("real_server 192.0.2.21 80 {\n weight 7\n}\n", "")
    assert "is there twice" in messages(read(twice))
    assert [s.weight for s in pool(twice)[0].real_servers] == [7]
    other = GOOD_SERVICE.format("real_server 2001:db8::1 80 {\n}\n", "")
    assert "is not IPv4" in messages(read(other))
    assert len(pool(other)[0].real_servers) == 1
    tunnelled = other.replace("8::1 80 {\n", "8::1 80 {\nlvs_method TUN\n")
    assert len(pool(tunnelled)[0].real_servers) == 2


def test_a_service_without_servers_is_left_out() -> None:
    text = "virtual_server 192.0.2.10 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n}\n"
    assert "no real servers" in messages(read(text))
    assert pool(text) == []


def test_services_by_mark() -> None:
    text = "virtual_server fwmark 7 {\nlvs_sched rr\nlvs_method DR\nreal_server 192.0.2.21 {\n}\n}\n"
    assert read(text).exit_code == 0
    (vs,) = pool(text)
    assert (vs.name, vs.fwmark, vs.protocol, vs.address, vs.real_servers[0].port) == ("FWM 7", 7, "NONE", None, 0)
    assert "a firewall mark has no protocol" in messages(read(text.replace("lvs_sched", "protocol TCP\nlvs_sched")))
    assert "has a port; it is cleared" in messages(read(text.replace("21 {", "21 80 {")))
    six = text.replace("192.0.2.21", "2001:db8::1")
    assert pool(six)[0].family == 6


def test_a_group_is_one_pool_with_a_service_for_each_entry() -> None:
    group = "virtual_server_group g {\n192.0.2.10 80\n192.0.2.12-13 81\n198.51.100.0/31 82\nfwmark 9\n}\n"
    text = group + GOOD_SERVICE.format("", "").replace("192.0.2.10 80", "group g")
    loaded = read(text)
    assert errors(loaded) == []
    (vs,) = pool(text)
    assert (vs.name, vs.group, vs.sequence, vs.address, vs.fwmark) == ("[g]:0", "g", 0, None, 0)
    assert [str(key) for key in service_keys(vs)] == [
        "tcp [192.0.2.10]:80",
        "tcp [192.0.2.12]:81",
        "tcp [192.0.2.13]:81",
        "tcp [198.51.100.0]:82",
        "tcp [198.51.100.1]:82",
        "FWM 9",
    ]
    assert "there is no virtual_server_group" in messages(
        read(text.replace("group g\n", "group h\n").replace("group g {", "group h {", 1))
    )


def test_what_is_wrong_with_a_group_is_said_once() -> None:
    group = "virtual_server_group g {\n192.0.2.10-19 80\n}\n"
    loaded = read(group + GOOD_SERVICE.format("", "").replace("192.0.2.10 80", "group g").replace("lvs_sched rr", ""))
    assert errors(loaded) == ["5:1 virtual server [g]:0: no scheduler (lvs_sched); wlc is used"]


def test_ranges_carry_into_the_next_octets() -> None:
    group = "virtual_server_group g {\n192.0.2.254-192.0.3.1 80\n2001:db8::fffe-2001:db8::1:1 80\n}\n"
    body = GOOD_SERVICE.format("lvs_method TUN", "").replace("192.0.2.10 80", "group g")
    (vs,) = pool(group + body)
    assert [entry.address for entry in vs.entries] == [
        "192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1",
        "2001:db8::fffe", "2001:db8::ffff", "2001:db8::1:0", "2001:db8::1:1",
    ]  # fmt: skip


def test_virtual_servers_of_one_group_are_numbered() -> None:
    group = "virtual_server_group g {\n192.0.2.10 80\n}\n"
    one = GOOD_SERVICE.format("", "").replace("192.0.2.10 80", "group g")
    first, second, third = pool(group + one + one.replace("TCP", "UDP") + one)
    assert [vs.name for vs in (first, second, third)] == ["[g]:0", "[g]:1", "[g]:2"]
    assert service_keys(first) == service_keys(third) != service_keys(second)


def test_a_group_of_both_families_takes_tunnels() -> None:
    group = "virtual_server_group g {\n192.0.2.10 80\n2001:db8::10 80\nfwmark 7 inet6\n}\n"
    text = group + GOOD_SERVICE.format("", "").replace("192.0.2.10 80", "group g")
    assert "can serve both families through TUN only" in messages(read(text))
    (vs,) = pool(group + GOOD_SERVICE.format("lvs_method TUN", "").replace("192.0.2.10 80", "group g"))
    assert [key.family for key in service_keys(vs)] == [4, 6, 6]


def test_a_group_does_not_rewrite_ports() -> None:
    """Servers keep what is written; without a port they are checked at the port of the group, if it has but one."""
    group = "virtual_server_group g {\n192.0.2.10-11 8080\n}\n"
    body = GOOD_SERVICE.format("", "TCP_CHECK {\n}").replace("192.0.2.10 80", "group g").replace("21 80", "21")
    (server,) = pool(group + body)[0].real_servers
    assert (server.port, server.checkers.tcp[0].connection.port) == (0, 8080)
    (server,) = pool(group + body.replace("21 {", "21 81 {"))[0].real_servers
    assert (server.port, server.checkers.tcp[0].connection.port) == (81, 81)


def test_ha_suspend_is_not_for_a_group_with_a_mark() -> None:
    group = "virtual_server_group g {\n192.0.2.10 80\nfwmark 7\n}\n"
    text = group + GOOD_SERVICE.format("ha_suspend", "").replace("192.0.2.10 80", "group g")
    assert "ha_suspend needs an address" in messages(read(text))
    assert not pool(text)[0].ha_suspend
    assert pool(text.replace("fwmark 7\n", ""))[0].ha_suspend


def test_two_services_of_one_identity_are_one() -> None:
    first = GOOD_SERVICE.format("quorum 1", "")
    second = GOOD_SERVICE.format("lvs_sched wrr", "weight 7").replace("21 80", "22 80")
    assert read(first + second).exit_code == 0
    (vs,) = pool(first + second + second)
    assert (vs.scheduler, [server.address for server in vs.real_servers]) == ("rr", ["192.0.2.21", "192.0.2.22"])
    assert len(pool(first + second.replace("TCP", "UDP"))) == 2


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("192.0.2.9-3 80", "does not end after its start"),
        ("192.0.2.1/24 80", "host bits"),
        ("192.0.2.0/33 80", "no prefix length"),
        ("192.0.2.0 99999", "outside 0..65535"),
        ("fwmark 7 inet9", "unknown family"),
        ("10.0.0.0/8 80", "more than 4096 addresses"),
    ],
)
def test_bad_entries_of_groups(entry: str, said: str) -> None:
    text = f"virtual_server_group g {{\n{entry}\n192.0.2.1 80\n}}\n" + GOOD_SERVICE.format("", "").replace(
        "192.0.2.10 80", "group g"
    )
    assert said in messages(read(text))


def test_tunnels() -> None:
    method = planned("lvs_method TUN type gue port 6080 csum").real_servers[0].method
    assert (method.forwarding, method.tunnel, method.tunnel_port, method.tunnel_flags) == (
        Forwarding.TUN,
        TunnelType.GUE,
        6080,
        1,
    )
    for bad in ("type gue", "type gre port 5", "csum", "type gre remcsum", "type foo", "foo"):
        loaded = service(f"lvs_method TUN {bad}")
        assert "tunnel options are dropped" in messages(loaded), bad
        assert planned(f"lvs_method TUN {bad}").real_servers[0].method.forwarding is Forwarding.TUN


def test_a_sorry_server_without_a_port_may_be_a_real_server_without_one() -> None:
    text = GOOD_SERVICE.format("sorry_server 192.0.2.21", "").replace("192.0.2.21 80 {", "192.0.2.21 {")
    (vs,) = pool(text)
    assert vs.sorry_server is not None
    assert (vs.sorry_server.address, vs.sorry_server.port) == (vs.real_servers[0].address, vs.real_servers[0].port)


def test_sorry_servers() -> None:
    vs = planned("sorry_server 192.0.2.99 8080\nsorry_server_inhibit")
    assert vs.sorry_server is not None
    assert (vs.sorry_server.address, vs.sorry_server.port, vs.sorry_server_inhibit) == ("192.0.2.99", 8080, True)
    loaded = service("inhibit_on_failure\nsorry_server 192.0.2.21 80")
    assert "takes over its inhibit setting" in messages(loaded)


def test_the_sum_of_weights_bounds_quorum_but_never_to_zero() -> None:
    vs = planned("quorum 3", "weight 0")
    assert (vs.quorum, vs.hysteresis) == (1, 0)


def test_global_words_of_the_checker() -> None:
    loaded = read("global_defs {\nlvs_plane nftables\nchecker_close rst\nlvs_timeouts tcp 900 udp 30\nlvs_flush\n}\n")
    assert loaded.exit_code == 0
    assert loaded.plan is not None
    checker = loaded.plan.checker
    assert (checker.lvs_plane, checker.close_rst) == (PlaneChoice.NFTABLES, True)
    assert (checker.lvs_timeouts, checker.lvs_flush) == ((900, 0, 30), True)


@pytest.mark.parametrize(
    ("header", "method", "port"), [("192.0.2.10 80", "DR", 80), ("fwmark 7", "TUN", 0), ("192.0.2.10 80", "NAT", 8080)]
)
def test_scripts_are_found_whatever_becomes_of_the_port(header: str, method: str, port: int) -> None:
    machine = Machine()
    machine.program("/usr/bin/tell")
    loaded = read(
        f"virtual_server {header} {{\nlvs_sched rr\nlvs_method {method}\nprotocol TCP\n"
        "real_server 192.0.2.21 8080 {\nnotify_down /usr/bin/tell\n}\n}\n",
        machine=machine,
    )
    assert loaded.plan is not None
    (rs,) = loaded.plan.runner.notifies
    assert rs.name.startswith(f"[192.0.2.21]:{'none' if 'fwmark' in header else 'tcp'}:{port} ")


MARK = "virtual_server fwmark 7 {{\nlvs_sched rr\nlvs_method {}\n{}\nreal_server {} 80 {{\n}}\n}}\n"


def test_the_family_of_a_mark_may_come_from_the_granularity() -> None:
    (vs,) = pool(MARK.format("NAT", "persistence_granularity 64", "2001:db8::1"))
    assert (vs.family, vs.persistence_granularity) == (6, 64)
    assert "is not IPv6" in messages(read(MARK.format("NAT", "persistence_granularity 64", "192.0.2.1")))
    (vs,) = pool(MARK.format("TUN", "persistence_granularity 64", "192.0.2.1"))
    assert (vs.family, vs.persistence_granularity) == (6, 64)
    loaded = read(MARK.format("TUN", "persistence_granularity 64\nip_family inet", "192.0.2.1"))
    assert "not that of persistence_granularity" in messages(loaded)
    (vs,) = pool(MARK.format("TUN", "ip_family inet\npersistence_granularity 64", "192.0.2.1"))
    assert (vs.family, vs.persistence_granularity) == (4, 0xFFFFFFFF)


@pytest.mark.parametrize("words", ["persistence_granularity 64", "persistence_granularity 255.0.0.0", "ip_family inet"])
def test_words_of_one_family_and_a_group_of_both(words: str) -> None:
    group = "virtual_server_group g {\n192.0.2.1 80\n2001:db8::1 80\n}\n"
    loaded = read(group + MARK.format("TUN", words, "192.0.2.9").replace("fwmark 7", "group g"))
    assert "its group has both families; it is dropped" in messages(loaded)
    assert loaded.plan is None or not loaded.plan.checker.virtual_servers


def test_notifies_carry_keepalived_s_names() -> None:
    machine = Machine()
    machine.program("/usr/bin/tell")
    loaded = service(
        'quorum_up "/usr/bin/tell up"',
        "notify_down /usr/bin/tell",
        machine=machine,
        before="global_defs { smtp_alert }",
    )
    assert loaded.plan is not None
    vs, rs = loaded.plan.runner.notifies
    assert (vs.kind, vs.name, list(vs.commands)) == ("VS", "[192.0.2.10]:tcp:80", ["QUORUM_UP"])
    assert (rs.kind, rs.name, list(rs.commands)) == ("RS", "[192.0.2.21]:tcp:80 [192.0.2.10]:tcp:80", ["DOWN"])
    assert vs.commands["QUORUM_UP"].argv == ("/usr/bin/tell", "up")


@pytest.mark.parametrize("text", ["5s", "abc", "-1", "0", "1e3", ""])
def test_bad_times_are_not_used(text: str) -> None:
    loaded = service(f'delay_loop "{text}"', "TCP_CHECK {\n}")
    assert loaded.exit_code == 5
    assert real(f'delay_loop "{text}"', "TCP_CHECK {\n}").checkers.tcp[0].delay_loop == 60 * S


def test_times_have_six_decimals() -> None:
    assert real("delay_loop .5", "TCP_CHECK {\n}").checkers.tcp[0].delay_loop == 500 * MS
    loaded = service("delay_loop 0.1234567", "TCP_CHECK {\n}")
    assert "more than 6 decimals" in messages(loaded)
    assert real("delay_loop 0.1234567", "TCP_CHECK {\n}").checkers.tcp[0].delay_loop == 123_457_000


@pytest.mark.parametrize(
    ("written", "port", "checked"),
    [("192.0.2.21 8081", 80, 8081), ("192.0.2.21", 80, 80)],
)
def test_checks_go_to_the_port_as_written(written: str, port: int, checked: int) -> None:
    """Seen on the wire: keepalived takes the port for the check before it puts the server's own right."""
    text = GOOD_SERVICE.format("lvs_method DR", "TCP_CHECK {\n}").replace("192.0.2.21 80", written)
    (server,) = pool(text)[0].real_servers
    assert (server.port, server.checkers.tcp[0].connection.port) == (port, checked)


def test_a_marked_server_is_checked_at_its_port() -> None:
    text = GOOD_SERVICE.format("lvs_method DR", "TCP_CHECK {\n}").replace("192.0.2.10 80", "fwmark 7")
    (server,) = pool(text.replace("192.0.2.21 80", "192.0.2.21 8084"))[0].real_servers
    assert (server.port, server.checkers.tcp[0].connection.port) == (0, 8084)
