"""One director of the lab: a real daemon in its own network, and what it says of itself."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import orjson

from fastha.cli.lab import network
from fastha.cli.lab.example import CONFIG_DIR, copy_files
from fastha.model.snapshot import Snapshot

CONTROL: Final = "control.sock"
RUN: Final = Path("/run/lab")
"""Inside the cage."""


def daemon_argv(program: str, run_dir: Path, plane: str | None) -> list[str]:
    """The command line of the daemon: fastha, or C keepalived for comparison."""
    config = f"{CONFIG_DIR}/keepalived.conf"
    if Path(program).name == "keepalived":
        pids = [
            f"--{word}={run_dir}/{name}.pid" for word, name in (("pid", "k"), ("vrrp_pid", "v"), ("checkers_pid", "c"))
        ]
        return [program, "--dont-fork", "--log-console", "--no-syslog", f"--use-file={config}", *pids]
    fastha = [sys.executable, "-m", "fastha"] if program == "fastha" else [program]
    return [*fastha, "-c", config, "--run-dir", str(run_dir), *(["--lvs-plane", plane] if plane else [])]


@dataclass(slots=True)
class Director:
    """A daemon with its files. `program` is `fastha` or a path of another one."""

    name: str
    program: str
    plane: str | None
    log: Path
    process: asyncio.subprocess.Process | None = field(default=None, init=False)
    exists: bool = field(default=True, init=False)
    """The machine has power."""

    @property
    def etc(self) -> Path:
        """What the daemon sees as /etc/keepalived."""
        return RUN / self.name / "etc"

    @property
    def run_dir(self) -> Path:
        return RUN / self.name / "run"

    def furnish(self) -> None:
        """Copy the example's files; ours becomes keepalived.conf."""
        self.run_dir.mkdir(parents=True)
        self.etc.mkdir()
        copy_files(Path(CONFIG_DIR), self.etc)
        (self.etc / f"{self.name}.conf").rename(self.etc / "keepalived.conf")

    async def start(self) -> None:
        """Start the daemon in this director's network, with its own /etc/keepalived."""
        argv = daemon_argv(self.program, self.run_dir, self.plane)
        script = f'mount --bind "{self.etc}" {CONFIG_DIR} && exec "$@"'
        command = network.inside(self.name, ["unshare", "--mount", "sh", "-c", script, "sh", *argv])
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def pids(self) -> list[int]:
        """Every process in this director's network, found there whatever its parent: the daemon and its children."""
        home = os.stat(f"/run/netns/{self.name}").st_ino
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.stat(entry / "ns/net").st_ino == home:
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile
        return found

    async def lose_power(self) -> None:
        """Everything of this director is gone from one moment to the next, its kernel's tables included."""
        network.plugged(self.name, False)
        self.exists = False
        await self.kill()
        network.remove(self.name)

    def gain_power(self) -> None:
        """As after a reboot."""
        network.install(self.name)
        self.exists = True

    async def kill(self) -> None:
        """Nothing of it runs any more; the kernel keeps what it has."""
        for pid in self.pids():
            with_pid(pid, signal.SIGKILL)
        await self.gone()

    def kill_process(self, name: str) -> bool:
        """Kill one process of fastha (`supervisor`, `vrrp`, ...) with SIGKILL; whether there was one."""
        if name == "supervisor":
            found = [self.process.pid] if self.process else []
        else:
            module = f"fastha.process.{name}".encode()
            found = [pid for pid in self.pids() if module in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
        for pid in found:
            with_pid(pid, signal.SIGKILL)
        return bool(found)

    async def stop(self) -> None:
        """An orderly stop."""
        if self.process and self.process.returncode is None:
            self.process.terminate()
            await self.gone()

    async def snapshot(self) -> Snapshot | None:
        """What the daemon says of itself; None when it does not answer."""
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_unix_connection(self.run_dir / CONTROL, limit=1 << 26)
                try:
                    writer.write(b'{"op": "status"}\n')
                    answer = orjson.loads(await reader.readline())
                finally:
                    writer.close()
            return msgspec.convert(answer["snapshot"], Snapshot) if answer.get("ok") else None
        except (OSError, TimeoutError, ValueError):
            return None

    def last_lines(self, count: int = 30) -> list[str]:
        """The end of the daemon's log."""
        return self.log.read_text(errors="replace").splitlines()[-count:] if self.log.exists() else []

    async def gone(self, seconds: float = 10) -> None:
        """Wait for the daemon's end. Raises TimeoutError."""
        if self.process:
            async with asyncio.timeout(seconds):
                await self.process.wait()
            self.process = None

    @property
    def speaks(self) -> bool:
        """It has a control socket to ask; C keepalived has none."""
        return Path(self.program).name != "keepalived"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None


def with_pid(pid: int, number: int) -> None:
    """Signal a process that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
