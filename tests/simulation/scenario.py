"""A seed's story: which cluster, what goes wrong, and how it heals.

`Story(seed)` makes 2-4 nodes with the same instances at different priorities, lets faults happen for a while, heals
everything and waits; then the invariants must hold (`invariants`). Everything random comes from the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from fastha.model.net import Address, Family, parse_address
from fastha.model.plan import AuthHmac, AuthType, SyncGroup, Track, UnicastPeer, VirtualAddress, VrrpInstance, VrrpPlan
from fastha.model.units import MS, US, Ns, S
from fastha.vrrp import events
from fastha.vrrp.core import Core
from fastha.vrrp.engine import ModelEngine
from tests.simulation.cluster import Cluster, Engine, Interface, Node, Weather

SCRIPT, WEIGHTED, FILE, PROCESS = "vital", "weighted", "maintenance", "daemon"
KEYS = {1: b"0123456789abcdef0123456789abcdef", 2: bytes(range(64))}
WINDOW = 5
"""Seconds that auth_hmac bears."""


@dataclass(frozen=True)
class Router:
    """One virtual router of the cluster, as all nodes configure it."""

    name: str
    vrid: int
    segment: int
    family: Family
    version: int
    adver_int: Ns
    unicast: bool
    words: dict[str, object] = field(default_factory=dict)
    tracks: tuple[str, ...] = ()
    signing: str = ""
    """AH, HMAC or nothing."""


class Story:
    def __init__(
        self,
        seed: int,
        make_core: Callable[[VrrpPlan], Core] = Core,
        make_engine: Callable[[], Engine] = ModelEngine,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.cluster = Cluster(self.random, make_core, make_engine)
        self.segments = self.random.choice((1, 1, 2))
        self.size = self.random.choice((2, 2, 3, 3, 4))
        self.routers = self.make_routers()
        self.grouped = len(self.routers) > 1 and self.random.random() < 0.4
        if self.grouped:
            self.routers = [replace(r, words=self.routers[0].words) for r in self.routers]
        self.priorities = self.make_priorities()
        self.startup_delay = self.random.choice((0, 0, 0, 2 * S))
        self.interface_delays = self.random.choice(({}, {}, {"eth0": (300 * MS, 700 * MS)}))
        self.active_key = dict.fromkeys(range(1, self.size + 1), 1)
        """node -> id of the key it signs with."""
        self.log: list[str] = []
        self.healed = False
        for number in range(1, self.size + 1):
            interfaces = {
                f"eth{s}": Interface(Address(f"10.{s}.0.{number}"), Address(f"fe80::{s + 1}:{number}"), s)
                for s in range(self.segments)
            }
            node = Node(self.cluster, number, self.plan(number), interfaces, self.random.randrange(-200, 201))
            node.scripts = {SCRIPT: True, WEIGHTED: True}
            node.files = {FILE: 0}
            node.processes = {PROCESS: True}
            node.clock_error = self.random.randrange(-S, S)
            self.cluster.nodes.append(node)

    # ------------------------------------------------------------------------------------- configuration

    def make_routers(self) -> list[Router]:
        random = self.random
        routers = []
        for number in range(random.choice((1, 1, 2, 3))):
            version = random.choice((2, 3))
            words: dict[str, object] = {}
            if random.random() < 0.2:
                words["notify_priority_changes"] = True
            if random.random() < 0.2:
                words["nopreempt"] = True
            elif random.random() < 0.15:
                words["preempt_delay"] = random.randrange(1, 6) * S
            for word in ("lower_prio_no_advert", "higher_prio_send_advert", "skip_check_adv_addr", "initial_master"):
                if random.random() < 0.1:
                    words[word] = True
            if random.random() < 0.2:
                words["down_timer_adverts"] = random.choice((2, 4, 5))
            if random.random() < 0.2:
                words |= {"garp_interval": random.randrange(1, 50) * MS, "garp_master_refresh": 3 * S}
            family = random.choice((4, 4, 6))
            signing = random.choice(("", "", "AH", "HMAC"))
            if signing == "AH" and (version, family) != (2, 4):
                signing = "HMAC"
            if version == 2 and not signing and random.random() < 0.4:
                words |= {"auth_type": AuthType.PASS, "auth_pass": b"secret\0\0"}
            routers.append(
                Router(
                    name=f"VI_{number}",
                    vrid=random.choice((7, 51)) + number,
                    segment=random.randrange(self.segments),
                    family=family,
                    signing=signing,
                    version=version,
                    adver_int=S if version == 2 else random.choice((100 * MS, 250 * MS, S)),
                    unicast=random.random() < 0.2,
                    words=words,
                    tracks=tuple(t for t in (SCRIPT, WEIGHTED, FILE, PROCESS) if random.random() < 0.4),
                )
            )
        return routers

    def make_priorities(self) -> list[int]:
        """By node; far enough apart that skew decides, or sometimes all equal, or with an address owner."""
        priorities = self.random.sample(range(20, 240, 15), self.size)
        if self.random.random() < 0.12:
            priorities = [100] * self.size
        elif self.random.random() < 0.15:
            priorities[self.random.randrange(self.size)] = 255
        return priorities

    def plan(self, number: int, *, priority: int | None = None, spare: bool = False, other: bool = False) -> VrrpPlan:
        """The configuration of a node. `spare`: with one more address per instance; `other`: without the first router
        if there are several, and the group where there is none or the other way round."""
        routers = self.routers[1:] if other and len(self.routers) > 1 else self.routers
        instances = tuple(self.instance(r, number, priority, spare=spare) for r in routers)
        grouped = self.grouped is not other
        groups = (
            (
                SyncGroup(
                    name="G",
                    members=tuple(r.name for r in routers),
                    sync_group_tracking_weight=self.seed % 3 == 0,
                    track_processes=(Track(name=PROCESS),) if self.seed % 5 == 0 else (),
                ),
            )
            if grouped
            else ()
        )
        return VrrpPlan(
            instances=instances,
            sync_groups=groups,
            startup_delay=self.startup_delay,
            interface_delays=dict(self.interface_delays),
        )

    def instance(self, router: Router, number: int, priority: int | None, *, spare: bool) -> VrrpInstance:
        segment = router.segment
        prefix = f"10.{segment}.9." if router.family == 4 else f"fd00:{segment}::9:"
        addresses = tuple(
            VirtualAddress(address=parse_address(f"{prefix}{router.vrid + i}"), prefixlen=32, dev=f"eth{segment}")
            for i in ((0, 100) if spare else (0,))
        )
        peers: tuple[UnicastPeer, ...] = ()
        if router.unicast:
            low = f"10.{segment}.0." if router.family == 4 else f"fe80::{segment + 1}:"
            others = [n for n in range(1, self.size + 1) if n != number]
            peers = tuple(UnicastPeer(address=Address(f"{low}{n}")) for n in others)
        plan = VrrpInstance(
            name=router.name,
            interface=f"eth{segment}",
            virtual_router_id=router.vrid,
            family=router.family,
            version=router.version,
            adver_int=router.adver_int,
            priority=self.priorities[number - 1] if priority is None else priority,
            group=Address("224.0.0.18" if router.family == 4 else "ff02::12"),
            unicast_peers=peers,
            addresses=addresses,
            track_scripts=tuple(
                Track(name=t, weight=0 if t == SCRIPT else -30) for t in router.tracks if t in (SCRIPT, WEIGHTED)
            ),
            track_files=tuple(Track(name=t, weight=-5) for t in router.tracks if t == FILE),
            track_processes=tuple(Track(name=t) for t in router.tracks if t == PROCESS),
        )
        plan = replace(plan, **router.words)  # type: ignore[arg-type]
        if router.signing == "AH":
            return replace(plan, auth_type=AuthType.AH, auth_pass=b"secret\0\0")
        if router.signing == "HMAC":
            hmac = AuthHmac(keys=KEYS, active_key=self.active_key[number], time_window=WINDOW)
            return replace(plan, auth_type=AuthType.NONE, auth_pass=None, auth_hmac=hmac)
        return plan

    @property
    def slowest(self) -> Ns:
        return max(r.adver_int for r in self.routers)

    # -------------------------------------------------------------------------------------------- faults

    def run(self, trouble: Ns = 150 * S) -> None:
        """Start, trouble, healing, quiet."""
        for node in self.cluster.nodes:
            self.cluster.later(self.random.randrange(0, 3 * S), lambda n=node: n.boot())
        self.cluster.run(self.random.randrange(1, 8) * S)
        end = self.cluster.now + trouble
        while self.cluster.now < end:
            self.fault()
            self.cluster.run(self.random.choice((MS, 50 * MS, S, 4 * S)) + self.random.randrange(S))
        self.heal()
        self.quiet()

    def fault(self) -> None:
        node = self.random.choice(self.cluster.nodes)
        fault = self.random.choice(FAULTS)
        self.log.append(f"{self.cluster.now / S:.3f} node {node.number} {fault.__name__}")
        fault(self, node)

    def storm(self, _: Node) -> None:
        random = self.random
        weather = self.cluster.weather
        weather.loss, weather.duplicate = random.choice((0.0, 0.05, 0.3)), random.choice((0.0, 0.1))
        weather.delay = (20 * US, random.choice((100 * US, 5 * MS, 80 * MS)))
        self.cluster.later(random.randrange(S, 6 * S), self.calm)

    def calm(self) -> None:
        parts = self.cluster.weather.parts
        self.cluster.weather = Weather(parts=parts)

    def partition(self, _: Node) -> None:
        self.cluster.weather.parts = {n.number: self.random.randrange(2) for n in self.cluster.nodes}
        self.cluster.later(self.random.randrange(S, 8 * S), self.cluster.weather.parts.clear)

    def pause_all(self, node: Node) -> None:
        """The machine stands still (a snapshot, a stopped process)."""
        self.pause(node, core=True, engine=True)

    def pause_core(self, node: Node) -> None:
        """Python hangs while the engine's thread goes on."""
        self.pause(node, core=True, engine=False)

    def pause(self, node: Node, *, core: bool, engine: bool) -> None:
        if not node.alive or node.core_paused or node.engine_paused:
            return
        node.pause(core=core, engine=engine, deaf=self.random.random() < 0.5)
        life = node.life
        length = self.random.choice((50 * MS, 500 * MS, 2 * S, 6 * S))
        self.cluster.later(length, lambda: node.go_on() if life == node.life else None)

    def crash(self, node: Node) -> None:
        """The process dies, and a new one resumes or begins afresh."""
        if not node.alive:
            return
        resume = self.random.random() < 0.5
        node.crash()
        life = node.life
        delay = self.random.randrange(50 * MS, 4 * S)
        self.cluster.later(delay, lambda: node.boot(resume=resume) if life == node.life else None)

    def power_off(self, node: Node) -> None:
        if node.core is None:
            return
        node.crash(power=True)
        life = node.life
        delay = self.random.randrange(S, 8 * S)
        self.cluster.later(delay, lambda: node.boot() if life == node.life else None)

    def stop(self, node: Node) -> None:
        """Left in order, and started again."""
        if not node.alive:
            return
        node.tell(events.Shutdown())
        life = node.life
        delay = self.random.randrange(S, 8 * S)
        self.cluster.later(delay, lambda: node.boot() if life == node.life else None)

    def link(self, node: Node) -> None:
        name = self.random.choice(sorted(node.interfaces))
        interface = node.interfaces[name]
        interface.up = not interface.up
        node.tell(events.LinkChanged(name, exists=True, up=interface.up))
        if not interface.up:
            self.cluster.later(self.random.randrange(10 * MS, 5 * S), lambda: self.link_up(node, name))

    def link_up(self, node: Node, name: str) -> None:
        node.interfaces[name].up = True
        node.tell(events.LinkChanged(name, exists=True, up=True))

    def source(self, node: Node) -> None:
        """The interface loses its address, and gets it back."""
        name = self.random.choice(sorted(node.interfaces))
        node.interfaces[name].has_source = False
        node.tell_interface(name)
        self.cluster.later(self.random.randrange(10 * MS, 3 * S), lambda: self.source_back(node, name))

    def source_back(self, node: Node, name: str) -> None:
        node.interfaces[name].has_source = True
        node.tell_interface(name)

    def script(self, node: Node) -> None:
        name = self.random.choice((SCRIPT, WEIGHTED))
        node.scripts[name] = not node.scripts[name]
        node.tell(events.ScriptResult(name, node.scripts[name]))

    def file(self, node: Node) -> None:
        node.files[FILE] = self.random.choice((0, 1, 10, 100))
        node.tell(events.FileValue(FILE, node.files[FILE]))

    def process(self, node: Node) -> None:
        """A tracked process goes and comes, a moment later perhaps."""
        node.processes[PROCESS] = not node.processes[PROCESS]
        node.tell(events.ProcessQuorum(PROCESS, node.processes[PROCESS]))
        if self.random.random() < 0.5:
            self.cluster.later(self.random.randrange(MS, 2 * S), lambda: self.unless_healed(self.process, node))

    def flap(self, node: Node) -> None:
        """Every tracker of a node, again and again within a few seconds."""
        for _ in range(self.random.randrange(4, 12)):
            what = self.random.choice((self.script, self.file, self.process, self.link))
            self.cluster.later(self.random.randrange(4 * S), lambda what=what: self.unless_healed(what, node))

    def unless_healed(self, fault: Callable[[Node], None], node: Node) -> None:
        if not self.healed:
            fault(node)

    def address_taken(self, node: Node) -> None:
        if node.present:
            interface, address = self.random.choice(sorted(node.present))
            node.present.discard((interface, address))
            node.tell(events.AddressGone(interface, address, prefixlen=32))

    def netlink(self, node: Node) -> None:
        node.netlink_errors = self.random.choice((0.0, 0.5))

    def rotate(self, node: Node) -> None:
        """Another of the known keys signs."""
        self.active_key[node.number] = self.random.choice(sorted(KEYS))
        node.plan = self.plan(node.number)
        node.tell(events.Reload(node.plan))

    def clock(self, node: Node) -> None:
        """The wall clock is set, perhaps by more than signatures bear."""
        node.clock_error = self.random.choice((0, self.random.randrange(-WINDOW * S, WINDOW * S), -100 * S, 100 * S))

    def reload(self, node: Node) -> None:
        priority = self.random.choice((None, self.random.randrange(1, 255)))
        node.plan = self.plan(
            node.number,
            priority=priority,
            spare=self.random.random() < 0.5,
            other=self.random.random() < 0.3,
        )
        node.tell(events.Reload(node.plan))

    # ------------------------------------------------------------------------------------------- healing

    def heal(self) -> None:
        cluster = self.cluster
        self.healed = True
        self.log.append(f"{cluster.now / S:.3f} healing")
        cluster.weather = Weather()
        for node in cluster.nodes:
            node.netlink_errors = 0.0
            node.clock_error = self.random.randrange(-S, S)
            node.plan = self.plan(node.number)
            node.scripts = dict.fromkeys(node.scripts, True)
            node.files = dict.fromkeys(node.files, 0)
            node.processes = dict.fromkeys(node.processes, True)
            for interface in node.interfaces.values():
                interface.up = interface.has_source = True
            if node.core is None or node.finished:
                node.boot()
            else:
                node.go_on()
                for name in node.interfaces:
                    node.tell_interface(name)
                node.tell(events.Reload(node.plan))
                for script in node.scripts:
                    node.tell(events.ScriptResult(script, up=True))
                for process in node.processes:
                    node.tell(events.ProcessQuorum(process, up=True))
                for file in node.files:
                    node.tell(events.FileValue(file, 0))
        cluster.run(9 * S)  # what was still to happen from the faults has happened
        cluster.weather = Weather()

    def quiet(self) -> None:
        """Long enough for every election, preempt_delay included, and what it entails."""
        self.cluster.run(12 * self.slowest + 8 * S)


FAULTS: tuple[Callable[[Story, Node], None], ...] = (
    Story.storm,
    Story.partition,
    Story.pause_all,
    Story.pause_core,
    Story.crash,
    Story.power_off,
    Story.stop,
    Story.link,
    Story.source,
    Story.script,
    Story.file,
    Story.process,
    Story.flap,
    Story.address_taken,
    Story.netlink,
    Story.rotate,
    Story.clock,
    Story.reload,
)
