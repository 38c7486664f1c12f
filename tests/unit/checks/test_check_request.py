"""What an HTTP_GET sends, octet by octet, and the recipe around it."""

import pytest

from fastha.checks.recipes import Kind
from fastha.checks.request import REQUEST_LIMIT, http_recipe, http_request, tcp_recipe
from fastha.model.net import Address
from fastha.model.plan import Connection, Url
from fastha.model.units import S
from tests.check_builders import http, tcp

V4 = Connection(address=Address("10.0.1.1"), port=80)
V6 = Connection(address=Address("fd00::1"), port=8080)


@pytest.mark.parametrize(
    ("protocol", "version", "close"),
    [("1.0", b"1.0", b""), ("1.0C", b"1.0", b"Connection: close\r\n"), ("1.1", b"1.1", b"Connection: close\r\n")],
)
def test_6_1_request_octets(protocol: str, version: bytes, close: bytes) -> None:
    assert http_request(Url(path="/x?y=1"), V4, protocol) == (
        b"GET /x?y=1 HTTP/" + version + b"\r\nUser-Agent: KeepAliveClient\r\n" + close + b"Host: 10.0.1.1:80\r\n\r\n"
    )


def test_6_1_request_is_cut() -> None:
    assert len(http_request(Url(path="/" + "x" * 4000), V4, "1.0")) == REQUEST_LIMIT


def test_6_2_host_is_the_virtualhost_verbatim_or_address_and_port() -> None:
    assert b"Host: www.example.org\r\n" in http_request(Url(path="/", virtualhost="www.example.org"), V6, "1.0")
    assert b"Host: [fd00::1]:8080\r\n" in http_request(Url(path="/"), V6, "1.0")


def test_recipes_carry_what_the_engine_needs() -> None:
    check = http(urls=("/a", "/b"))
    recipe = http_recipe(check, 1, close_rst=True)
    assert recipe.kind == Kind.HTTP
    assert recipe.request.startswith(b"GET /b ")
    assert recipe.close_rst
    assert recipe.timeout == 5 * S
    assert recipe.deadline > 2 * recipe.timeout, "a slow drip ends"
    assert tcp_recipe(tcp(3), close_rst=False).address == "10.0.1.3"
