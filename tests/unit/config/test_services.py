"""Checkers that hold a dialogue, and the words of timing that are our own."""

from __future__ import annotations

import pytest

from fastha.model.net import Address
from fastha.model.plan import Connection, RealServer, Service, ServiceCheck
from fastha.model.units import MS, S
from tests.config_machine import Machine, service


def read(inside: str, *, above: str = "", machine: Machine | None = None) -> tuple[RealServer, list[str]]:
    """The real server with these lines, and everything that was said."""
    loaded = service(above, inside, machine=machine)
    assert loaded.plan is not None
    (virtual,) = loaded.plan.checker.virtual_servers
    return virtual.real_servers[0], [each.message for each in loaded.diagnostics]


def test_all_kinds() -> None:
    server, said = read(
        "GRPC_CHECK {\nconnect_port 50051\nservice shop.v1.Cart\nauthority cart\n"
        "tls\ntls_ca /etc/ca.pem\ntls_name a.b\n}\n"
        "MYSQL_CHECK {\n}\n"
        "PGSQL_CHECK {\nuser check\npassword_file /etc/secret\ndatabase shop\ndeadline 2.5\n}\n"
        "REDIS_CHECK {\nbindto 192.0.2.1\nfwmark 7\nretry 3\n}\n"
        'LDAP_CHECK {\nuser "cn=check,dc=example"\n}\n',
        machine=Machine(files={"/etc/secret": b"x", "/etc/ca.pem": b""}, modes={"/etc/secret": (0o100600, 0, 0)}),
    )
    assert said == []
    grpc, mysql, pgsql, redis, ldap = server.checkers.service
    assert grpc == ServiceCheck(
        service=Service.GRPC,
        connection=Connection(address=Address("192.0.2.21"), port=50051),
        name="shop.v1.Cart",
        authority="cart",
        tls=True,
        tls_ca="/etc/ca.pem",
        tls_name="a.b",
    )
    assert (mysql.service, mysql.user, mysql.library) == (Service.MYSQL, None, "")
    assert (pgsql.name, pgsql.user, pgsql.deadline, pgsql.library) == ("shop", "check", 2500 * MS, "pg8000")
    assert (redis.connection.bindto, redis.connection.fwmark, redis.retry) == ("192.0.2.1", 7, 3)
    assert ldap.user == "cn=check,dc=example"


@pytest.mark.parametrize(
    ("inside", "complaint"),
    [
        ("GRPC_CHECK {\n}", "GRPC_CHECK needs the Python package h2, which is not"),
        ("MYSQL_CHECK {\nuser a\n}", "MYSQL_CHECK needs the Python package pymysql"),
        ("PGSQL_CHECK {\nuser a\n}", "PGSQL_CHECK needs the Python package pg8000"),
        ("PGSQL_CHECK {\ntls\n}", "PGSQL_CHECK speaks TLS only with a user; tls is ignored"),
        ("REDIS_CHECK {\ntls_ca /x\n}", "tls_ca without tls; it is ignored"),
        ("REDIS_CHECK {\ntls\ntls_ca /x\n}", "/x is not there; nothing can be checked"),
        ("LDAP_CHECK {\npassword_file /nonexistent\n}", "/nonexistent is not there (yet)"),
    ],
)
def test_what_makes_no_sense_is_said(inside: str, complaint: str) -> None:
    server, said = read(inside, machine=Machine(modules=frozenset()))
    assert any(complaint in each or each.endswith(complaint) for each in said), said
    assert len(server.checkers.service) == 1
    assert server.checkers.service[0].tls == ("is not there; nothing" in complaint)


def test_a_greeting_needs_no_library() -> None:
    _, said = read("MYSQL_CHECK {\n}\nPGSQL_CHECK {\n}\nREDIS_CHECK {\n}", machine=Machine(modules=frozenset()))
    assert said == []


def test_rise_and_jitter_are_inherited_and_deadline_is_not() -> None:
    checks = "TCP_CHECK {\n}\nTCP_CHECK {\nrise 5\njitter 0\ndeadline 1\n}\nPING_CHECK {\n}"
    server, said = read(checks, above="rise 3\njitter 0.5\ndelay_loop 6")
    assert said == []
    one, other = server.checkers.tcp
    assert (one.rise, one.jitter, one.deadline) == (3, 500 * MS, 0)
    assert (other.rise, other.jitter, other.deadline) == (5, 0, S)
    assert server.checkers.ping[0].rise == 3
    server, _ = read("TCP_CHECK {\n}", above="jitter 60\ndelay_loop 6")
    assert server.checkers.tcp[0].jitter == 3 * S, "half of delay_loop at most"
    _, said = read("DNS_CHECK {\ndeadline 3\n}")
    assert "unknown keyword 'deadline'" in said[0]
