"""Mails and FIFO lines about virtual and real servers, by fastha and by C keepalived, from the same file and the same
day. Order between services is the checks' phase, so it is the set that is compared, step by step."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.checker_driver import Web, own_network
from tests.mailsink import Relay

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.compat]

QUIET = 2.5
"""Seconds without news after which a step is over."""
CONFIG = """
global_defs {{
    router_id LAB
    enable_script_security
    script_user root
    notify_fifo {dir}/fifo
    notification_email {{
        ops@example.org
    }}
    notification_email_from lb@example.org
    smtp_server 127.0.0.1 2525
    smtp_helo_name lb.example.org
    {words}
}}
virtual_server 10.9.0.100 80 {{
    delay_loop 1
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    quorum 2
    smtp_alert
    real_server 127.0.0.1 8001 {{
        TCP_CHECK {{
            connect_timeout 1
            retry 0
            warmup 0.2
        }}
    }}
    real_server 127.0.0.1 8002 {{
        HTTP_GET {{
            url {{
                path /
                status_code 200
            }}
            connect_timeout 1
            retry 0
            warmup 0.3
        }}
        MISC_CHECK {{
            misc_path "/usr/bin/test ! -e {dir}/flag"
            misc_timeout 2
            retry 0
            warmup 0.1
        }}
    }}
    sorry_server 127.0.0.1 90
}}
virtual_server 10.9.0.101 80 {{
    delay_loop 1
    alpha
    omega
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    smtp_alert
    real_server 127.0.0.1 8001 {{
        TCP_CHECK {{
            connect_timeout 1
            retry 0
            warmup 0.2
        }}
    }}
}}
"""


def live_through(kind: str, directory: Path, words: str) -> list[tuple[str, list[str], list[tuple[str, str, str]]]]:
    """(step, FIFO lines, mails) of a day: start, a server goes, a script fails and passes, the server comes back."""
    directory.mkdir()
    (directory / "conf").write_text(CONFIG.format(dir=directory, words=words))
    os.mkfifo(directory / "fifo")
    reader = os.open(directory / "fifo", os.O_RDWR | os.O_NONBLOCK)
    pids = ["-p", str(directory / "pid"), "-c", str(directory / "cpid")]
    command = ["keepalived", "-C", "-n", "-l", "-G", *pids]
    if kind != "keepalived":
        command = [sys.executable, "-m", "fastha", "-C", "-l", "-G", "--run-dir", str(directory / "run")]
    steps = []
    with own_network():
        relay, web, page = Relay(), Web(8001), Web(8002)
        with (directory / "log").open("wb") as log:
            daemon = subprocess.Popen([*command, "-f", str(directory / "conf")], stdout=log, stderr=log)

        def take(step: str, known: bytes = b"") -> None:
            said, since = known, time.monotonic()
            while time.monotonic() - since < QUIET:
                before = (len(said), len(relay.mails))
                try:
                    said += os.read(reader, 65536)
                except BlockingIOError:
                    time.sleep(0.05)
                if (len(said), len(relay.mails)) != before:
                    since = time.monotonic()
            mails, relay.mails = sorted(relay.mails), []
            steps.append((step, sorted(said.decode().replace("\0", "").splitlines()), mails))

        days: list[tuple[str, Callable[[], object]]] = [
            ("8001 gone", web.close),
            ("script fails", (directory / "flag").touch),
            ("script passes", (directory / "flag").unlink),
            ("8001 back", web.reopen),
        ]
        try:
            deadline = time.monotonic() + 30
            first = b""
            while not first:
                assert time.monotonic() < deadline, (directory / "log").read_text()
                assert daemon.poll() is None, (directory / "log").read_text()
                time.sleep(0.05)
                try:
                    first = os.read(reader, 65536)
                except BlockingIOError:
                    continue
            take("start", first)
            for step, act in days:
                act()
                take(step)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(20) == 0
            take("stop")
        finally:
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait()
            for each in (web, page, relay):
                each.close()
            os.close(reader)
    return steps


@pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")
@pytest.mark.usefixtures("ipvs")
def test_the_same_mails_and_lines_from_both(tmp_path: Path) -> None:
    jobs = [
        (kind, words) for words in ("", "rs_init_notifies", "no_checker_emails") for kind in ("keepalived", "fastha")
    ]
    with ThreadPoolExecutor(len(jobs)) as pool:
        done = dict(
            zip(jobs, pool.map(lambda job: live_through(job[0], tmp_path / "-".join(job), job[1]), jobs), strict=True)
        )
    for words in ("", "rs_init_notifies", "no_checker_emails"):
        theirs, ours = done["keepalived", words], done["fastha", words]
        for (step, lines, mails), (_, our_lines, our_mails) in zip(theirs, ours, strict=True):
            assert our_lines == lines, f"{words} {step}"
            if step != "stop":  # keepalived ends before its last mails are out
                assert our_mails == mails, f"{words} {step}"
        assert any(mails for _, _, mails in theirs)
