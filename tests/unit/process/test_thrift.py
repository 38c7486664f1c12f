"""Equal parts of a decoded Plan are one object afterwards."""

from __future__ import annotations

from fastha.model import codec
from fastha.model.plan import CheckerPlan
from fastha.process.thrift import share
from tests.check_builders import connection, http, misc, plan, rs, tcp, vs


def test_what_servers_have_in_common_is_there_once() -> None:
    whole = plan(
        vs(rs(1, tcp(1), http(1)), rs(2, http(2), misc())), vs(rs(1, http(connection=connection(3, 8080))), last=2)
    )
    data = codec.encode(whole)
    shared = share(codec.decode(CheckerPlan, data))
    assert shared == whole
    first, second = shared.virtual_servers[0].real_servers
    (other,) = shared.virtual_servers[1].real_servers
    one, two, three = (server.checkers.http[0] for server in (first, second, other))
    assert one.urls is two.urls is three.urls
    assert one.delay_loop is two.delay_loop is first.checkers.tcp[0].delay_loop
    assert one.connection.address is first.address is first.checkers.tcp[0].connection.address
    assert three.connection.address == "10.0.1.3", "not that of its server"
