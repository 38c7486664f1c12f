"""The whole daemon with checks of services: from the file to the server and back, and when the runner dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from fastha.cli.client import DaemonError, ask
from fastha.model import codec
from fastha.model.snapshot import CheckSnapshot, Snapshot
from tests.checker_driver import own_network
from tests.poll import until
from tests.probe_bench import connections
from tests.unit.dialogues.test_hold import grpc_server

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

ROOT = Path(__file__).parents[2]
CONFIG = """
global_defs {{
    lvs_plane none
    share_checks
}}
virtual_server 127.9.0.1 80 {{
    delay_loop 0.3
    delay_before_retry 0.2
    retry 1
    warmup 0
    connect_timeout 2
    protocol TCP
    real_server 127.0.0.1 {redis} {{
        REDIS_CHECK {{
            rise 2
        }}
    }}
    real_server 127.0.0.1 {grpc} {{
        GRPC_CHECK {{
            service shop
        }}
    }}
}}
virtual_server 127.9.0.2 80 {{
    delay_loop 0.3
    delay_before_retry 0.2
    retry 1
    warmup 0
    connect_timeout 2
    protocol TCP
    real_server 127.0.0.1 {redis} {{
        REDIS_CHECK {{
            rise 2
        }}
    }}
}}
"""


class Redis:
    reply = b"+PONG\r\n"
    asked = 0

    def __call__(self, connection: socket.socket) -> None:
        if connection.recv(1000):
            self.asked += 1
            connection.sendall(self.reply)


def snapshot(run_dir: Path) -> Snapshot | None:
    try:
        answer = ask(str(run_dir), {"op": "status"})
    except DaemonError:
        return None
    return codec.decode(Snapshot, orjson.dumps(answer["snapshot"]))


def test_from_the_file_to_the_service_and_back(tmp_path: Path) -> None:
    redis = Redis()
    with own_network(), connections(redis) as server, grpc_server() as (port, servicer):
        servicer.set("shop", 1)
        config, run_dir = tmp_path / "conf", tmp_path / "run"
        config.write_text(CONFIG.format(redis=server.port, grpc=port))
        words = [sys.executable, "-m", "fastha", "-C", "-l", "-G", "-c", str(config), "--run-dir", str(run_dir)]
        with (tmp_path / "log").open("wb") as log:
            daemon = subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT)
        try:

            def checks() -> dict[str, CheckSnapshot]:
                found = snapshot(run_dir)
                if found is None or found.checker is None:
                    return {}
                return {
                    check.kind: check
                    for service in found.checker.virtual_servers
                    for real in service.real_servers
                    for check in real.checkers
                }

            def results() -> dict[str, tuple[bool, str]]:
                return {kind: (check.up, check.result) for kind, check in checks().items()}

            both = {"REDIS_CHECK": (True, "PONG"), "GRPC_CHECK": (True, "SERVING")}
            until(lambda: results() == both, "both to be up", 20)
            servicer.set("shop", 2)
            redis.reply = b"-LOADING Redis is loading the dataset in memory\r\n"
            down = {
                "REDIS_CHECK": (False, "LOADING Redis is loading the dataset in memory"),
                "GRPC_CHECK": (False, "NOT_SERVING"),
            }
            until(lambda: results() == down, "both to be down", 20)
            whole = snapshot(run_dir)
            assert whole is not None
            assert whole.checker is not None
            assert whole.runner is not None
            assert whole.checker.counters["checks_shared"] == 1
            assert whole.runner.counters["check_services"] == 2
            assert sum(whole.runner.service_lateness.counts) > 4
            assert not any(service.real_servers[0].alive for service in whole.checker.virtual_servers)

            runner = next(process.pid for process in whole.processes if process.name == "runner")
            assert runner is not None
            os.kill(runner, signal.SIGKILL)
            servicer.set("shop", 1)
            redis.reply = b"+PONG\r\n"
            until(lambda: results() == both, "both to be up by another runner", 20)
            assert "REDIS_CHECK is down: LOADING" in (tmp_path / "log").read_text()
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(20) == 0
        finally:
            daemon.terminate()  # its children end with it
            daemon.wait(20)
