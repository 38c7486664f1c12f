"""The lab at work: machines, daemons, servers, client; what can be done to them, and what is seen of them."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import orjson

from fastha.cli.lab import network
from fastha.cli.lab.director import RUN, Director
from fastha.cli.lab.example import WEB_PORT, Condition, Example
from fastha.cli.lab.network import DIRECTORS, SERVERS
from fastha.cli.lab.traffic import Traffic
from fastha.model.snapshot import Snapshot

POLL: Final = 0.1
PROCESSES: Final = ("supervisor", "vrrp", "checker", "runner")

Act = Callable[[], Awaitable[str]]
"""Does something to the lab and says what; may raise ActError."""


@dataclass(frozen=True, slots=True)
class View:
    """What is to be seen at one moment."""

    addresses: dict[str, set[str]]
    """director -> the virtual addresses its kernel has."""
    snapshots: dict[str, Snapshot | None]
    """director -> what its daemon says of itself; None when it does not answer."""


class ActError(Exception):
    """This cannot be done to the lab as it stands."""


class Lab:
    """One running example. Everything it makes ends with the cage it runs in."""

    def __init__(
        self, example: Example, programs: tuple[str, str], plane: str | None, rate: float, logs: Path | None
    ) -> None:
        self.example = example
        self.rate = rate
        self.logs = logs or RUN
        self.traffic = Traffic()
        self.condition = Condition()
        self.told: list[str] = []
        """What was done, for the display."""
        self.directors = {
            name: Director(name, program, plane, self.logs / f"{name}.log")
            for name, program in zip(DIRECTORS, programs, strict=True)
        }
        self.servers: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.acts: dict[str, Act] = {
            "failover": self.failover,
            "handover": self.handover,
            "crash": self.crash,
            "server-down": self.server_down,
            "heal": self.heal,
        }
        for name in PROCESSES:
            self.acts[f"kill-{name}"] = partial(self.kill_one, name)
        if example.maintenance_file:
            self.acts["maintenance"] = self.maintenance
        if example.watches_path:
            self.acts["path-down"] = self.path_down

    # ------------------------------------------------------------------------------- start

    async def start(self) -> None:
        """Build the network and start everyone. Raises RuntimeError, OSError."""
        RUN.mkdir(exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        network.build()
        network.default_routes(self.example.routes())
        for name in SERVERS:
            await self._start_server(name)
        for director in self.directors.values():
            director.furnish()
            await director.start()
        targets = [f"{t.label}={t.address}:{t.port}" for t in self.example.targets()]
        client = await self._program("client", "client", str(self.rate), *targets, stdout=asyncio.subprocess.PIPE)
        task = asyncio.create_task(self._read(client))
        self._tasks.add(task)

    async def _program(
        self, machine: str, module: str, *words: str, stdout: int = asyncio.subprocess.DEVNULL
    ) -> asyncio.subprocess.Process:
        """Start a program of this package on `machine`."""
        argv = network.inside(machine, [sys.executable, "-m", f"fastha.cli.lab.{module}", *words])
        with (self.logs / f"{machine}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=log, start_new_session=True
            )

    async def _start_server(self, name: str) -> None:
        self.servers[name] = await self._program(name, "web", name, SERVERS[name], str(WEB_PORT))

    async def _read(self, client: asyncio.subprocess.Process) -> None:
        assert client.stdout
        while line := await client.stdout.readline():
            self.traffic.add(orjson.loads(line))

    # -------------------------------------------------------------------------------- sight

    async def look(self) -> View:
        """What is true right now, as the kernels and the daemons say."""
        there = [director for director in self.directors.values() if director.exists]
        running = [director for director in there if director.speaks and director.name not in self.condition.dead]
        found = await asyncio.gather(*(asyncio.to_thread(network.addresses, director.name) for director in there))
        told = await asyncio.gather(*(director.snapshot() for director in running))
        virtual = {a.address for i in self.example.instances for a in i.addresses}
        return View(
            {director.name: held & virtual for director, held in zip(there, found, strict=True)},
            {director.name: snapshot for director, snapshot in zip(running, told, strict=True)},
        )

    def master(self, view: View) -> str | None:
        """The director that acts: who holds the first instance's address."""
        address = self.example.instances[0].addresses[0].address
        return next((name for name, held in view.addresses.items() if address in held), None)

    # ------------------------------------------------------------------------------ mishaps

    async def _master(self) -> Director:
        name = self.master(await self.look())
        if name is None:
            raise ActError("nobody holds the address right now; heal first")
        return self.directors[name]

    def _last_one(self, name: str) -> None:
        if self.condition.dead - {name}:
            raise ActError("the other director is gone already; heal first")

    async def failover(self) -> str:
        """The acting director loses its power."""
        director = await self._master()
        self._last_one(director.name)
        self.condition.dead.add(director.name)
        await director.lose_power()
        return f"{director.name} loses its power"

    async def handover(self) -> str:
        """The acting director's daemon is stopped in order (SIGTERM)."""
        director = await self._master()
        self._last_one(director.name)
        await director.stop()
        self.condition.dead.add(director.name)
        return f"the daemon of {director.name} is stopped in order"

    async def crash(self) -> str:
        """Every process of the acting director's daemon is killed; it is started again at once."""
        director = await self._master()
        await director.kill()
        await director.start()
        return f"every process of {director.name}'s daemon is killed, and it is started again"

    async def kill_one(self, name: str) -> str:
        """One process of the acting director's daemon is killed. Its supervisor, or here we, start it again."""
        director = await self._master()
        if not director.kill_process(name):
            raise ActError(f"{director.name} has no {name} process")
        if name == "supervisor":
            await director.gone()
            await director.start()
        return f"the {name} process of {director.name} is killed"

    async def server_down(self) -> str:
        """The first server that still works ends."""
        name = next((name for name in SERVERS if name not in self.condition.down), None)
        if name is None:
            raise ActError("every server is down already; heal first")
        self.condition.down.add(name)
        self.servers[name].kill()
        await self.servers[name].wait()
        return f"{name} is killed"

    async def maintenance(self) -> str:
        """The acting director's maintenance file gets a 1."""
        director = await self._master()
        self._maintain(director, 1)
        self.condition.maintained.add(director.name)
        return f"the maintenance file of {director.name} says 1"

    def _maintain(self, director: Director, value: int) -> None:
        assert self.example.maintenance_file
        (director.etc / Path(self.example.maintenance_file).name).write_text(f"{value}\n")

    async def path_down(self) -> str:
        """The network behind the acting director is lost; its link stays up."""
        director = await self._master()
        self.condition.severed.add(director.name)
        network.switched(director.name, "back", False)
        return f"{director.name} no longer reaches the network behind it"

    async def heal(self) -> str:
        """Everything that is broken comes back."""
        mended = sorted(self.condition.dead | self.condition.down | self.condition.severed | self.condition.maintained)
        for name in self.condition.down:
            await self._start_server(name)
        for name in self.condition.severed - self.condition.dead:
            network.switched(name, "back", True)
        for name in self.condition.maintained:
            self._maintain(self.directors[name], 0)
        for name in self.condition.dead:
            director = self.directors[name]
            if not director.exists:
                director.gain_power()
            await director.start()
        self.condition = Condition()
        return f"{', '.join(mended)} back" if mended else "nothing to heal"

    async def act(self, name: str) -> None:
        """Do one of `acts` and tell about it; a new window of the traffic begins right before. Raises ActError."""
        self.traffic.mark(time.monotonic_ns())
        self.told.append(await self.acts[name]())
