"""fastha's own words for checks of the probe engine, from the file to the Plan and to the octets of a request."""

from __future__ import annotations

import pytest

from fastha.checks.life import same_parameters
from fastha.checks.recipes import Kind
from fastha.checks.request import http_recipe, http_request, smtp_recipe, tcp_recipe
from fastha.config.load import load
from fastha.model import codec
from fastha.model.net import Address
from fastha.model.plan import (
    CheckerPlan,
    Checkers,
    Connection,
    HttpCheck,
    Proxy,
    Regex,
    ServerTls,
    StartTls,
    Step,
    TcpCheck,
    Url,
)
from tests.config_machine import MAIN, Machine

RS = Connection(address=Address("192.0.2.21"), port=80)


def read(checks: str) -> tuple[Checkers, list[str]]:
    """The checkers of a real server, and what is said of them."""
    text = (
        "virtual_server 192.0.2.10 80 {\ndelay_loop 9\nlvs_sched rr\nlvs_method NAT\nprotocol TCP\n"
        f"real_server 192.0.2.21 80 {{\n{checks}\n}}\n}}\n"
    )
    loaded = load(MAIN, Machine({MAIN: text.encode(), "/etc/ca.pem": b"-"}))
    assert loaded.plan is not None
    plan = loaded.plan.checker
    assert codec.decode(CheckerPlan, codec.encode(plan, sparse=True)) == plan
    return plan.virtual_servers[0].real_servers[0].checkers, [each.message for each in loaded.diagnostics]


def tcp(words: str) -> TcpCheck:
    checkers, said = read(f"TCP_CHECK {{\n{words}\n}}")
    assert said == []
    return checkers.tcp[0]


def http(words: str, *, tls: bool = False) -> HttpCheck:
    checkers, said = read(f"{'SSL' if tls else 'HTTP'}_GET {{\n{words}\n}}")
    assert said == []
    return checkers.http[0]


def complaint(block: str) -> str:
    """What is wrong with it, in one message."""
    _, (said,) = read(block)
    return said


def test_nothing_said_is_nothing_changed() -> None:
    check = tcp("")
    assert (check.close_rst, check.proxy, check.half_open, check.talk, check.tls) == (
        None,
        Proxy.NONE,
        False,
        (),
        False,
    )
    recipe = tcp_recipe(check, close_rst=True)
    assert (recipe.kind, recipe.close_rst, recipe.steps, recipe.tls) == (Kind.TCP, True, (), False)
    assert not tcp_recipe(check, close_rst=False).close_rst


@pytest.mark.parametrize(("word", "ends"), [("fin", False), ("rst", True)])
def test_close(word: str, ends: bool) -> None:
    blocks = ("TCP_CHECK {\nclose END\n}", "SMTP_CHECK {\nclose END\n}", "HTTP_GET {\nclose END\nurl {\npath /\n}\n}")
    checkers, said = read("\n".join(blocks).replace("END", word))
    assert said == []
    for everywhere in (False, True):
        assert tcp_recipe(checkers.tcp[0], close_rst=everywhere).close_rst is ends
        assert smtp_recipe(checkers.smtp[0], close_rst=everywhere).close_rst is ends
        assert http_recipe(checkers.http[0], 0, close_rst=everywhere).close_rst is ends


@pytest.mark.parametrize(
    ("words", "proxy"),
    [("1", Proxy.V1), ("2", Proxy.V2), ("2 own", Proxy.V2), ("1 local", Proxy.V1_LOCAL), ("2 local", Proxy.V2_LOCAL)],
)
def test_proxy_protocol(words: str, proxy: Proxy) -> None:
    assert tcp(f"proxy_protocol {words}").proxy is proxy
    assert tcp_recipe(tcp(f"proxy_protocol {words}"), close_rst=False).proxy is proxy


def test_a_dialogue_in_the_order_of_its_lines() -> None:
    check = tcp(
        'send "PING \\x41\\t\\\\\\r\\n"\nexpect "+PONG (1.0)"\nsend_hex 0 ff\nexpect_hex 0a\nexpect_regex "^a|b#"\n'
    )
    assert check.talk == (
        Step(send=b"PING A\t\\\r\n"),
        Step(expect=Regex(pattern=r"\x2bPONG\x20\x281\x2e0\x29")),
        Step(send=b"\0\xff"),
        Step(expect=Regex(pattern=r"\x0a")),
        Step(expect=Regex(pattern="^a|b#")),
    )
    recipe = tcp_recipe(check, close_rst=False)
    assert (recipe.steps, recipe.tls_after) == (check.talk, None)


def test_tls_of_a_dialogue() -> None:
    check = tcp("tls\ntls_ca /etc/ca.pem\ntls_name mail.example.net\ntls_days_left 14\ntls_resume\nsend hello")
    assert check.judge == ServerTls(ca="/etc/ca.pem", name="mail.example.net", days_left=14, resume=True)
    assert check.sni == "mail.example.net"
    recipe = tcp_recipe(check, close_rst=False)
    assert (recipe.tls_after, recipe.tls, recipe.steps) == (0, True, (Step(send=b"hello"),))
    check = tcp("starttls smtp\nsni_name mx\ntls_ca system\nsend hello")
    assert (check.starttls, check.sni, check.judge.name) == (StartTls.SMTP, "mx", "mx")
    recipe = tcp_recipe(check, close_rst=False)
    assert recipe.tls_after == 5
    assert recipe.steps[5:] == (Step(send=b"hello"),)
    assert tcp("tls\ntls_ca system\ntls_name 192.0.2.1").sni is None, "an address is no name to send"


def test_certificates_of_pages() -> None:
    url = "url {\npath /\n}"
    assert http(f"tls_ca /etc/ca.pem\ntls_name a.b\n{url}", tls=True).judge == ServerTls(ca="/etc/ca.pem", name="a.b")
    check = http(f"tls_ca system\nsni_name a.b\n{url}", tls=True)
    assert (check.judge.name, check.urls[0].sni) == ("a.b", "a.b")
    check = http(f"tls_ca system\ntls_name a.b\nsni_name c.d\n{url}", tls=True)
    assert (check.judge.name, check.urls[0].sni) == ("a.b", "c.d")
    assert http(f"tls_days_left 0\n{url}", tls=True).judge == ServerTls(days_left=0)
    assert http(url, tls=True).judge == ServerTls()


def test_requests() -> None:
    check = http(
        'header "Accept: a, b"\nheader "X-One: 1"\nkeepalive\nurl {\npath /a\n}\n'
        'url {\npath /b\nmethod POST\nheader "x-one:  2 "\nheader "Host: h"\nbody "{\\"a\\": 1}"\n}'.replace(
            '\\"', "\\x22"
        )
    )
    start = b"HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: keep-alive\r\nHost: "
    one, other = (http_recipe(check, url, close_rst=False) for url in (0, 1))
    assert one.keepalive
    assert other.keepalive
    assert one.request == b"GET /a " + start + b"192.0.2.21:80\r\nAccept: a, b\r\nX-One: 1\r\n\r\n"
    assert other.request == (
        b"POST /b " + start + b'h\r\nAccept: a, b\r\nx-one: 2\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    )
    assert http_recipe(http("keepalive\nurl {\npath /\nmethod HEAD\n}"), 0, close_rst=False).bodiless


def test_own_requests_are_not_cut() -> None:
    url = Url(path="/", headers=(("X", "y" * 4000),), body=b"z" * 3000)
    assert http_request(url, RS, "1.0").endswith(b"Content-Length: 3000\r\n\r\n" + b"z" * 3000)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("TCP_CHECK {\nclose now\n}", "unknown end 'now'"),
        ("TCP_CHECK {\nproxy_protocol 3\n}", "'3' is not 1 or 2"),
        ('TCP_CHECK {\nsend "\\q"\n}', r"'\q' is none of \r"),
        ('TCP_CHECK {\nexpect ""\n}', "nothing to wait for"),
        ("TCP_CHECK {\nsend_hex xy\n}", "'xy' is not hexadecimal"),
        ("TCP_CHECK {\nexpect_regex (\n}", "the pattern is of no use: missing closing parenthesis"),
        ("TCP_CHECK {\nstarttls gopher\n}", "unknown protocol 'gopher'"),
        ("TCP_CHECK {\ntls_ca system\n}", "tls_ca without tls or starttls"),
        ("TCP_CHECK {\ntls\ntls_ca system\n}", "tls_ca without tls_name: a certificate for any name will do"),
        ("TCP_CHECK {\ntls\ntls_name a\ntls_ca /nowhere\n}", "tls_ca /nowhere: No such file or directory"),
        ("TCP_CHECK {\nhalf_open\nsend a\n}", "half_open makes no connection for send or expect"),
        ("TCP_CHECK {\nhalf_open\nproxy_protocol 1\n}", "half_open makes no connection for proxy_protocol"),
        ("TCP_CHECK {\nhalf_open\ntls\n}", "half_open makes no connection for tls"),
        ("HTTP_GET {\nurl {\npath /\nmethod G(T\n}\n}", "'G(T' is no HTTP method"),
        ("HTTP_GET {\nheader Accept\nurl {\npath /\n}\n}", "a header is 'Name: value'"),
        ("HTTP_GET {\nheader Accept: a\nurl {\npath /\n}\n}", "a header is one word"),
        ('HTTP_GET {\nheader "Content-Length: 4"\nurl {\npath /\n}\n}', "'Content-Length' follows from the body"),
        (
            "HTTP_GET {\nkeepalive\nhttp_protocol 1.0\nurl {\npath /\n}\n}",
            "with keepalive requests are made in HTTP/1.1",
        ),
    ],
)
def test_what_is_wrong_is_said(block: str, message: str) -> None:
    assert message in complaint(block)


def test_a_bad_header_cannot_add_lines() -> None:
    """The words of a file have no line ends, and the escapes of texts do not count here."""
    check = http('header "X: a\\r\\nY: b"\nurl {\npath /\n}')
    assert check.urls[0].headers == (("X", "a\\r\\nY: b"),)


def test_what_a_reload_keeps() -> None:
    """State is kept when the same is probed in the same way; how a connection ends changes nothing."""
    plain = tcp("")
    for words in ("send a", "tls", "starttls imap", "proxy_protocol 1", "tls\ntls_days_left 3"):
        assert not same_parameters(plain, tcp(words)), words
    for words in ("close rst", "half_open"):
        assert same_parameters(plain, tcp(words)), words
    page = http("url {\npath /\n}")
    assert same_parameters(page, http("keepalive\nurl {\npath /\n}"))
    for words in (
        'header "A: b"\nurl {\npath /\n}',
        "url {\npath /\nmethod HEAD\n}",
        "proxy_protocol 2\nurl {\npath /\n}",
    ):
        assert not same_parameters(page, http(words)), words
