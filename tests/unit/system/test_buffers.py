"""Receive buffers: what a process was asked for, and what an instance adds."""

import socket
from collections.abc import Iterator

import pytest

from fastha.system import buffers
from tests.config_machine import read

OPTION = socket.SO_RCVBUF


@pytest.fixture
def pair() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    yield ours
    ours.close()
    theirs.close()
    buffers.ask("monitor", 0)


def test_a_socket_has_what_it_takes_or_more_when_asked(pair: socket.socket) -> None:
    buffers.widen(pair, 20_000, "monitor")
    assert pair.getsockopt(socket.SOL_SOCKET, OPTION) == 40_000, "the kernel doubles it"
    buffers.ask("monitor", 30_000)
    buffers.widen(pair, 20_000, "monitor")
    assert pair.getsockopt(socket.SOL_SOCKET, OPTION) == 60_000
    buffers.widen(pair, 50_000, "monitor")
    assert pair.getsockopt(socket.SOL_SOCKET, OPTION) == 100_000
    buffers.widen(pair, 20_000, "command")
    assert pair.getsockopt(socket.SOL_SOCKET, OPTION) == 40_000


INSTANCE = "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {{\n192.0.2.10/24\n}}\n{}\n}}\n"


@pytest.mark.parametrize(
    ("words", "own", "octets"),
    [
        ("", "", 0),
        ("vrrp_rx_bufs_policy MTU", "", 3 * 1500),
        ("vrrp_rx_bufs_policy MTU\nvrrp_rx_bufs_multiplier 10", "", 10 * 1500),
        ("vrrp_rx_bufs_policy ADVERT", "", 3 * (14 + 20 + 8 + 8 + 4)),
        ("vrrp_rx_bufs_policy 65536", "", 65536),
        ("vrrp_rx_bufs_policy 65536", "kernel_rx_buf_size 70000", 70000),
        ("", "kernel_rx_buf_size 70000", 70000),
    ],
)
def test_what_an_instance_adds(words: str, own: str, octets: int) -> None:
    plan = read(f"global_defs {{\n{words}\n}}\n" + INSTANCE.format(own)).plan
    assert plan is not None
    assert plan.vrrp.instances[0].rx_buffer == octets


def test_words_of_the_processes() -> None:
    plan = read(
        "global_defs {\nvrrp_netlink_cmd_rcv_bufs 1\nvrrp_netlink_monitor_rcv_bufs 2\nlvs_netlink_cmd_rcv_bufs 3\n"
        "lvs_netlink_monitor_rcv_bufs 4\nprocess_monitor_rcv_bufs 5\n}\n"
    ).plan
    assert plan is not None
    assert (plan.vrrp.process.command_buffer, plan.vrrp.process.monitor_buffer) == (1, 2)
    assert (plan.checker.process.command_buffer, plan.checker.process.monitor_buffer) == (3, 4)
    assert plan.runner.process_monitor_buffer == 5
