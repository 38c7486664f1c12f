"""A Plan that has just been decoded, made smaller: what its servers have in common becomes one object.

The decoder makes a number or a text of its own for each place that has one; with tens of thousands of servers that is
a sixth of what they take.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeVar

from fastha.model.plan import CheckerPlan, HttpCheck, RealServer

T = TypeVar("T")
_TIMING: Final = ("delay_loop", "warmup", "delay_before_retry")
_WHERE: Final = ("address", "port", "connect_timeout", "bindto")


def share(plan: CheckerPlan) -> CheckerPlan:
    """The same plan. To be called before anybody else has seen it: values are replaced by equal ones, in place."""
    known: dict[Any, Any] = {}
    for service in plan.virtual_servers:
        for server in service.real_servers:
            _share(server, ("port",), known)
            # an address is the same in a server and its checks, and rarely elsewhere
            of_server: dict[Any, Any] = {server.address: server.address}
            for check in _checks(server):
                _share(check, _TIMING, known)
                connection = getattr(check, "connection", None)
                if connection is not None:
                    if connection.address in of_server:
                        object.__setattr__(connection, "address", server.address)
                    _share(connection, _WHERE[1:], known)
                if isinstance(check, HttpCheck):
                    _share(check, ("urls",), known)
    return plan


def _checks(server: RealServer) -> Iterator[Any]:
    checkers = server.checkers
    for kind in (checkers.tcp, checkers.http, checkers.udp, checkers.dns, checkers.smtp, checkers.ping, checkers.misc):
        yield from kind


def _share(value: object, names: tuple[str, ...], known: dict[Any, Any]) -> None:
    for name in names:
        part = getattr(value, name)
        first = known.setdefault(part, part)
        if first is not part:
            object.__setattr__(value, name, first)
