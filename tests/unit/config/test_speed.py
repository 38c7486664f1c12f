"""A fleet's configuration is read in a fraction of a second of processor time."""

import time

from tests.config_machine import read

SERVERS = 10_000
PER_SERVICE = 100
LIMIT = 1.0
"""Seconds of processor time, several times what is needed on an ordinary machine."""


def fleet(servers: int) -> str:
    parts = []
    for service in range(servers // PER_SERVICE):
        parts.append(
            f"virtual_server 10.{service // 250}.{service % 250}.1 80 {{\n    delay_loop 6\n    lvs_sched wlc\n"
            "    lvs_method NAT\n    protocol TCP\n"
        )
        parts += (
            f"    real_server 172.16.{service}.{host} 80 {{\n        weight 1\n        TCP_CHECK {{\n"
            "            connect_timeout 3\n            retry 2\n        }\n    }\n"
            for host in range(1, PER_SERVICE + 1)
        )
        parts.append("}\n")
    return "".join(parts)


def test_ten_thousand_real_servers() -> None:
    text = fleet(SERVERS)
    begin = time.process_time()
    loaded = read(text)
    took = time.process_time() - begin
    assert loaded.exit_code == 0
    assert loaded.plan is not None
    assert sum(len(vs.real_servers) for vs in loaded.plan.checker.virtual_servers) == SERVERS
    assert took < LIMIT
