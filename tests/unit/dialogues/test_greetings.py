"""Octets of the short dialogues: what is said, and what answers mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastha.wire import greetings
from fastha.wire.greetings import Heard

PIECES = (
    lambda data: greetings.mysql_greeting(data or b"\0"),
    lambda data: greetings.mysql_length((data + bytes(4))[:4]),
    lambda data: greetings.pgsql_length((data + bytes(5))[:5]),
    lambda data: greetings.pgsql_answer(b"E", data),
    greetings.redis_reply,
    greetings.ldap_size,
    greetings.ldap_answer,
    lambda data: greetings.grpc_answer(data, "0", ""),
    lambda data: greetings.grpc_answer(b"", data.decode("latin-1"), data.decode("latin-1")),
)
LDAP = bytes.fromhex("300c02010161070a01") + b"\x00" + bytes.fromhex("04000400")


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_understood_and_nothing_else(data: bytes) -> None:
    for read in PIECES:
        try:
            heard = read(data)
        except ValueError:
            continue
        assert heard is None or isinstance(heard, int | Heard)
        if isinstance(heard, Heard):
            assert heard.text.isprintable()


@given(st.binary(max_size=40), st.integers(0, 40))
def test_a_cut_ldap_answer_is_refused(tail: bytes, cut: int) -> None:
    for data in (LDAP[:cut] + tail, LDAP[: min(cut, len(LDAP) - 1)]):
        try:
            assert isinstance(greetings.ldap_answer(data), Heard)
        except ValueError:
            assert data != LDAP


def test_mysql() -> None:
    assert greetings.mysql_length(b"\x05\0\0\0") == 5
    assert greetings.mysql_greeting(b"\x0a8.0.36\0rest") == Heard(True, 0, "greeted by 8.0.36")
    blocked = b"\xff\x69\x04Host '192.0.2.1' is blocked"
    assert greetings.mysql_greeting(blocked) == Heard(False, 1129, "error 1129: Host '192.0.2.1' is blocked")
    assert (
        greetings.mysql_greeting(b"\xff\x10\x04#08004Too many connections").text == "error 1040: Too many connections"
    )
    for bad in (b"\0\0\0\0", b"HTTP", b"\x05\0\0\1"):
        with pytest.raises(ValueError, match="not MySQL"):
            greetings.mysql_length(bad)


def test_pgsql() -> None:
    expected = b"\0\0\0\x33\0\3\0\0user\0ann\0database\0shop\0application_name\0fastha\0\0"
    assert greetings.pgsql_startup("ann", "shop") == bytes((0, 0, 0, len(expected))) + expected[4:]
    assert b"database" not in greetings.pgsql_startup("ann", "")
    assert greetings.pgsql_length(b"R\0\0\0\x08") == 4
    assert greetings.pgsql_answer(b"R", bytes(4)).good
    starting = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
    assert greetings.pgsql_answer(b"E", starting) == Heard(False, 0, "57P03 the database system is starting up")
    nobody = greetings.pgsql_answer(b"E", b'SFATAL\0C28000\0Mrole "x" does not exist\0\0')
    assert nobody.good
    assert nobody.text.startswith("accepts connections (28000 ")
    with pytest.raises(ValueError, match="not PostgreSQL"):
        greetings.pgsql_length(b"HTTP/")


def test_redis() -> None:
    assert greetings.redis_command("AUTH", "ann", "é") == b"*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$2\r\n\xc3\xa9\r\n"
    assert greetings.redis_reply(b"+PONG\r\n") == Heard(True, 0, "PONG")
    assert not greetings.redis_reply(b"-LOADING Redis is loading\r\n").good
    with pytest.raises(ValueError, match="not Redis"):
        greetings.redis_reply(b"HTTP/1.1 400 Bad Request\r\n")


def test_ldap() -> None:
    assert greetings.ldap_bind("", "").hex() == "300c020101600702010304008000"
    long = greetings.ldap_bind("cn=" + "x" * 300, "secret")
    assert long[:4] == b"\x30\x82" + (len(long) - 4).to_bytes(2)
    assert greetings.ldap_size(b"\x30") is None
    assert greetings.ldap_size(LDAP) == len(LDAP)
    assert greetings.ldap_size(long[:4]) == len(long)
    assert greetings.ldap_answer(LDAP) == Heard(True, 0, "bound")
    busy = LDAP.replace(b"\x0a\x01\x00", b"\x0a\x01\x33")
    assert greetings.ldap_answer(busy) == Heard(False, 51, "result 51 busy")


def test_grpc() -> None:
    assert greetings.grpc_request("") == bytes(5)
    assert greetings.grpc_request("shop") == b"\0\0\0\0\x06\x0a\x04shop"
    assert greetings.grpc_request("x" * 200)[5:8] == b"\x0a\xc8\x01"
    assert greetings.grpc_answer(b"\0\0\0\0\x02\x08\x01", "0", "") == Heard(True, 0, "SERVING")
    assert greetings.grpc_answer(b"\0\0\0\0\x02\x08\x02", "0", "") == Heard(False, 0, "NOT_SERVING")
    assert greetings.grpc_answer(bytes(5), "0", "") == Heard(False, 0, "UNKNOWN")
    assert greetings.grpc_answer(b"", "5", "who?") == Heard(False, 5, "grpc-status 5 NOT_FOUND: who?")
    with_more = b"\x12\x02hi\x08\x01\x1d\0\0\0\0"
    assert greetings.grpc_answer(b"\0\0\0\0" + bytes((len(with_more),)) + with_more, "0", "").good
