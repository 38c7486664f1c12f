"""The words of all kinds of checkers, from the file to the Plan."""

from __future__ import annotations

import pytest

from fastha.config.load import load
from fastha.model.net import Address
from fastha.model.plan import (
    ClientTls,
    Connection,
    DnsCheck,
    FileCheck,
    PingCheck,
    RealServer,
    Regex,
    SmtpCheck,
    UdpCheck,
)
from fastha.model.units import S
from tests.config_machine import MAIN, Machine, read
from tests.unit.config.test_lvs import messages

RS = Connection(address=Address("192.0.2.21"), port=80)
TIMING = {"delay_loop": 9 * S, "warmup": 9 * S}


def server(checks: str, *, before: str = "", service: str = "", good: bool = True) -> RealServer:
    text = (
        f"{before}\nvirtual_server 192.0.2.10 80 {{\ndelay_loop 9\nlvs_sched rr\nlvs_method NAT\nprotocol TCP\n"
        f"{service}\n"
        f"real_server 192.0.2.21 80 {{\n{checks}\n}}\n}}\n"
    )
    loaded = load(MAIN, Machine({MAIN: text.encode(), "/etc/drain": b"0"}))
    assert (loaded.exit_code == 0) == good, messages(loaded)
    assert loaded.notes_not_in_effect == []
    assert loaded.plan is not None
    return loaded.plan.checker.virtual_servers[0].real_servers[0]


def test_udp() -> None:
    plain, full = server(
        "UDP_CHECK {\n}\n"
        "UDP_CHECK {\npayload 0 1a ff\nrequire_reply 1x X2 3\nmin_reply_length 2\nmax_reply_length 7\nretry 4\n}"
    ).checkers.udp
    assert plain == UdpCheck(connection=RS, **TIMING)
    assert plain.payload is None
    assert (full.payload, full.require_reply, full.retry) == (b"\0\x1a\xff", True, 4)
    assert (full.reply, full.reply_mask) == (b"\x10\x02\x03", b"\xf0\x0f\xff")
    assert (full.min_reply_length, full.max_reply_length) == (2, 7)
    any_reply = server("UDP_CHECK {\nrequire_reply\n}").checkers.udp[0]
    assert (any_reply.require_reply, any_reply.reply) == (True, b"")


def test_dns() -> None:
    plain, full = server("DNS_CHECK {\n}\nDNS_CHECK {\ntype aaaa\nname a.example.\nconnect_port 53\n}").checkers.dns
    assert plain == DnsCheck(connection=RS, retry=3, delay_before_retry=9 * S, **TIMING)
    assert (full.type, full.name, full.connection.port) == ("AAAA", "a.example.", 53)
    assert (plain.type, plain.name) == ("SOA", ".")


def test_dns_names_that_cannot_be_asked_for() -> None:
    for name in ("a..b", "x" * 64, ".".join(["x" * 60] * 5)):
        assert server(f"DNS_CHECK {{\nname {name}\n}}", good=False).checkers.dns[0].name == "."


def test_ping() -> None:
    (check,) = server("PING_CHECK {\nbind_if eth1\nfwmark 3\n}").checkers.ping
    assert check == PingCheck(
        connection=Connection(address=Address("192.0.2.21"), port=80, bind_if="eth1", fwmark=3), **TIMING
    )


def test_smtp_and_its_hosts() -> None:
    (plain,) = server("SMTP_CHECK {\n}").checkers.smtp
    assert plain == SmtpCheck(connection=RS, helo_name="smtpchecker.keepalived.org", **TIMING)
    hosts = "host {\nconnect_ip 192.0.2.31\n}\nhost {\nconnect_port 26\nretry 5\n}"
    checks = server(f"SMTP_CHECK {{\nhelo_name lvs\nconnect_port 25\nretry 2\n{hosts}\n}}").checkers.smtp
    assert [(check.connection.address, check.connection.port, check.retry) for check in checks] == [
        ("192.0.2.21", 25, 2),
        ("192.0.2.31", 25, 2),
        ("192.0.2.21", 26, 5),
    ]
    assert {check.helo_name for check in checks} == {"lvs"}


def test_file() -> None:
    before = "track_file drain {\nfile /etc/drain\nweight 3 reverse\n}"
    checks = server(
        "FILE_CHECK {\ntrack_file drain\n}\nFILE_CHECK {\ntrack_file drain\nweight 0 noreverse\n}", before=before
    ).checkers.file
    assert [(check.weight, check.reverse) for check in checks] == [(3, True), (0, False)]
    assert all(isinstance(check, FileCheck) and check.track_file == "drain" for check in checks)


def test_a_file_that_only_checks_follow_is_watched() -> None:
    text = (
        "track_file drain {\nfile /etc/drain\n}\nvirtual_server 192.0.2.10 80 {\nlvs_sched rr\nlvs_method NAT\n"
        "protocol TCP\nreal_server 192.0.2.21 80 {\nFILE_CHECK {\ntrack_file drain\n}\n}\n}\n"
    )
    loaded = load(MAIN, Machine({MAIN: text.encode(), "/etc/drain": b"0"}))
    assert loaded.plan is not None
    assert [file.name for file in loaded.plan.runner.track_files] == ["drain"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", [None, None]),
        ("enable_sni", ["vs", "url"]),
        ("enable_sni\nvirtualhost checker", ["checker", "url"]),
        ("sni_name other", ["other", "other"]),
        ("sni_name", ["vs", "url"]),
        ("enable_sni false", [None, None]),
    ],
)
def test_6_3_server_names_of_tls(words: str, names: list[str | None]) -> None:
    """A real server's virtualhost is a Host header only."""
    (check,) = server(
        f"virtualhost rs\nSSL_GET {{\n{words}\nurl {{\npath /\n}}\nurl {{\npath /b\nvirtualhost url\n}}\n}}",
        service="virtualhost vs",
    ).checkers.http
    assert [url.sni for url in check.urls] == names
    assert check.tls
    assert (check.retry, check.delay_before_retry) == (1, 3 * S)
    plain = server(f"HTTP_GET {{\n{words}\nurl {{\npath /\n}}\n}}", service="virtualhost vs").checkers.http[0]
    assert (plain.urls[0].sni, plain.tls) == (None, False)


def test_tls_compliant_of_a_url_or_of_all() -> None:
    urls = "url {\npath /\n}\nurl {\npath /b\ntls_compliant\n}"
    for words, expected in (
        ("", [False, True]),
        ("tls_compliant", [True, True]),
        ("tls_compliant false", [False, True]),
    ):
        (check,) = server(f"SSL_GET {{\n{words}\n{urls}\n}}").checkers.http
        assert [url.tls_compliant for url in check.urls] == expected


def test_ssl_block() -> None:
    text = "SSL {\ncertificate /c\nkey /k\npassword p\nca /a\n}\n"
    loaded = load(MAIN, Machine({MAIN: text.encode()}))
    assert loaded.plan is not None
    assert loaded.plan.checker.tls == ClientTls(certificate="/c", key="/k", password="p", ca="/a")


def test_regex() -> None:
    url = "url {{\npath /\n{}\n}}"
    words = (
        'regex "all is (well|good)"\nregex_no_match\nregex_options caseless dotall\nregex_min_offset 5\n'
        "regex_max_offset 50\nregex_stack 1000 9000"
    )
    for kind in ("HTTP_GET", "SSL_GET"):
        (check,) = server(f"{kind} {{\n{url.format(words)}\n{url.format('regex x')}\n}}").checkers.http
        assert [url.regex for url in check.urls] == [
            Regex(
                pattern="all is (well|good)",
                options=("caseless", "dotall"),
                no_match=True,
                min_offset=5,
                max_offset=50,
                stack=(1000, 9000),
            ),
            Regex(pattern="x"),
        ]


def test_a_pattern_that_does_not_compile_is_left_out_and_said() -> None:
    text = 'HTTP_GET {\nurl {\npath /\nregex "all is (well"\n}\n}'
    assert server(text, good=False).checkers.http[0].urls[0].regex is None


def test_link_local_targets_need_an_interface() -> None:
    for kind in ("UDP_CHECK", "DNS_CHECK", "PING_CHECK", "SMTP_CHECK"):
        field = kind.partition("_")[0].lower()
        assert getattr(server(f"{kind} {{\nconnect_ip fe80::1\n}}", good=False).checkers, field) == ()
        assert getattr(server(f"{kind} {{\nconnect_ip fe80::1\nbind_if eth0\n}}").checkers, field)


@pytest.mark.parametrize(("alpha", "unproven"), [("alpha", True), ("", False)])
def test_an_alpha_script_that_cannot_be_run_leaves_a_mark(alpha: str, unproven: bool) -> None:
    found = server(f'MISC_CHECK {{\nmisc_path "/not/there"\n{alpha}\n}}', service="inhibit_on_failure").checkers
    assert (found.misc, found.unproven) == ((), unproven)


def test_an_alpha_script_whose_user_is_unknown_leaves_none() -> None:
    found = server('MISC_CHECK {\nmisc_path "/not/there"\nuser nobody-here\nalpha\n}', good=False).checkers
    assert (found.misc, found.unproven) == ((), False)


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        (r"a\ b", "a b"),
        ("'a \"b\" c'", 'a "b" c'),
        ('a"b c"d', "ab cd"),
        (r"\\d+", r"\d+"),
        (r'"\x41\\."', r"A\."),
        ('""', ""),
    ],
)
def test_a_pattern_has_the_quotes_and_escapes_of_scripts(written: str, pattern: str) -> None:
    (check,) = server(f"HTTP_GET {{\nurl {{\npath /\nregex {written}\n}}\n}}").checkers.http
    assert check.urls[0].regex is not None
    assert check.urls[0].regex.pattern == pattern


def test_a_backslash_that_the_string_takes_is_remarked_on() -> None:
    text = (
        "virtual_server 192.0.2.10 80 {\nreal_server 192.0.2.21 80 {\n"
        "HTTP_GET {\nurl {\npath /\nregex \\d+\n}\n}\n}\n}\n"
    )
    assert [(d.message, d.suggestion) for d in read(text).diagnostics if "backslash" in d.message] == [
        (r"the backslash of '\d' does not reach the pattern", r"write: \\d")
    ]
