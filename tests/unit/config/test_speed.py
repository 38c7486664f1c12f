"""A fleet's configuration is read in a fraction of a second of processor time."""

import time

from tests.config_machine import read

SERVERS = 10_000
PER_SERVICE = 100
LIMIT = 1.0
"""Seconds of processor time, several times what is needed on an ordinary machine."""
ENTRIES = 15_000
GROUP_LIMIT = 2.5
"""For a pool of as many servers as its group has addresses; it is more when each server looks at each address."""


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


def test_a_group_of_many_addresses_for_many_servers() -> None:
    addresses = [f"10.{number >> 8}.{number & 255}" for number in range(ENTRIES)]
    entries = "".join(f"{address}.1 80\n" for address in addresses)
    servers = "".join(f"real_server {address}.2 {{\n}}\n" for address in addresses)
    service = "virtual_server group g {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n"
    begin = time.process_time()
    loaded = read(f"virtual_server_group g {{\n{entries}}}\n{service}{servers}}}\n")
    took = time.process_time() - begin
    assert loaded.plan is not None
    (pool,) = loaded.plan.checker.virtual_servers
    assert len(pool.entries) == len(pool.real_servers) == ENTRIES
    assert took < GROUP_LIMIT
