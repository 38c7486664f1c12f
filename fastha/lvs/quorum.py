"""Real servers, their pool, and the arithmetic of weights and quorum.

A server is alive when none of its checkers is down. Its effective weight is the configured one plus what dynamic
scripts add. W, the weight of a pool, is the sum over its alive servers, kept as servers change and never summed again.

    gained   quorum is down and W >= quorum + hysteresis
    lost     quorum is up and (W == 0 or W < quorum - hysteresis)

A sorry server is in use exactly while it exists and quorum is down; the servers stay alive meanwhile. So what the
kernel should have (`lvs.wanted`) follows from this state alone. Every change returns what is to be told, the server
first, then the virtual server.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from fastha.lvs.notices import Notice, quorum_mail, server_notice, service_notice
from fastha.model.plan import Forwarding, RealServer, ServiceEntry, VirtualServer
from fastha.model.table import DestinationKey, ServiceKey
from fastha.model.units import Ns

WEIGHT_MAX: Final = 2147483647
"""The kernel's weight is a signed 32-bit number."""

REMOVING: Final = "=> Removing <="
SHUTTING_DOWN: Final = "=> Shutting down <="


def clamp_weight(weight: int) -> int:
    """The weight that is sent to the kernel and counts in sums."""
    return max(0, min(weight, WEIGHT_MAX))


class GroupKey(NamedTuple):
    """What identifies a virtual server over a group: the group's name and which one of that group's it is."""

    group: str
    sequence: int

    def __str__(self) -> str:
        return f"[{self.group}]:{self.sequence}"


PoolKey = ServiceKey | GroupKey
"""What identifies a virtual server over a reload."""


def _service_key(at: VirtualServer | ServiceEntry, protocol: str) -> ServiceKey:
    if at.fwmark:
        return ServiceKey(at.family, fwmark=at.fwmark)
    assert at.address is not None
    return ServiceKey(at.family, 0, protocol, at.address, at.port)


def service_keys(plan: VirtualServer) -> tuple[ServiceKey, ...]:
    """The kernel's services that a virtual server stands for: one, or one for each entry of its group, or one of each
    family for a group behind a mark."""
    if not plan.group:
        return (_service_key(plan, plan.protocol),)
    if plan.mark:
        families = dict.fromkeys(entry.family for entry in plan.entries)
        return tuple(ServiceKey(family, fwmark=plan.mark) for family in families)
    return tuple(dict.fromkeys(_service_key(entry, plan.protocol) for entry in plan.entries))


def pool_key(plan: VirtualServer) -> PoolKey:
    """The identity of a virtual server."""
    return GroupKey(plan.group, plan.sequence) if plan.group else _service_key(plan, plan.protocol)


def kernel_key(at: ServiceKey, server: RealServer) -> DestinationKey:
    """Under which key a service holds a server: only NAT can change the port, everything else has the service's."""
    return DestinationKey(server.address, server.port if server.method.forwarding is Forwarding.NAT else at.port)


class Server:
    """A real server in its pool."""

    __slots__ = (
        "added",
        "alive",
        "checkers",
        "counted",
        "counted_alive",
        "failed",
        "falls",
        "held",
        "key",
        "plan",
        "pool",
        "ramp",
        "unproven",
        "wishes",
    )

    def __init__(self, pool: "Pool", plan: RealServer, *, alive: bool = False) -> None:
        self.pool = pool
        self.plan = plan
        self.key = DestinationKey(plan.address, plan.port)
        self.alive = alive
        self.failed = 0
        """Checkers that are down."""
        self.counted = 0
        """What the pool's W holds of this server."""
        self.counted_alive = False
        """Whether the pool counts it as alive."""
        self.held = False
        """Its checks are good, but it fell too often: it stays out for a time (flap_damping)."""
        self.falls: tuple[Ns, ...] = ()
        """When it fell, the latest last; only as many as matter."""
        self.unproven = plan.checkers.unproven
        """It waits for the first check that finds it well."""
        self.ramp = 100
        """Percent of its weight that the kernel gets: less than all while it starts slowly."""
        self.wishes: dict[int, int] | None = None
        """Weight asked for by a dynamic script, by checker."""
        self.added: dict[int, int] | None = None
        """What tracked files add to the weight, by checker."""
        self.checkers: tuple[int, ...] = ()
        """Target numbers of its checkers, in the order of the file."""

    @property
    def fit(self) -> bool:
        """Nothing speaks against it."""
        return self.failed == 0 and not self.held and not self.unproven

    @property
    def effective_weight(self) -> int:
        """Configured weight plus what tracked files add and, for each dynamic script, what it asks for beyond the
        configured one."""
        weight = self.plan.weight
        total = weight
        if self.added:
            total += sum(self.added.values())
        if self.wishes:
            total += sum(wish - weight for wish in self.wishes.values())
        return total

    def wish(self, checker: int, weight: int | None) -> None:
        """A dynamic script asks for this weight; None: it no longer asks."""
        if weight is not None:
            if self.wishes is None:
                self.wishes = {}
            self.wishes[checker] = weight
        elif self.wishes:
            self.wishes.pop(checker, None)

    def add(self, checker: int, amount: int) -> None:
        """A tracked file adds this to the weight; 0: nothing (any more)."""
        if amount:
            if self.added is None:
                self.added = {}
            self.added[checker] = amount
        elif self.added:
            self.added.pop(checker, None)


class Draining(NamedTuple):
    """A server that the configuration has no more, and that keeps its connections until `until`."""

    plan: RealServer
    until: Ns


class Pool:
    """A virtual server with its real servers."""

    __slots__ = (
        "_by_address",
        "alive_count",
        "alive_weight",
        "backups_alive",
        "draining",
        "enabled",
        "key",
        "no_checker_emails",
        "plan",
        "primaries",
        "quorum_up",
        "servers",
        "services",
    )

    def __init__(self, plan: VirtualServer, *, no_checker_emails: bool = False) -> None:
        self.key = pool_key(plan)
        self.no_checker_emails = no_checker_emails
        self.servers: dict[DestinationKey, Server] = {}
        self.quorum_up = False
        self.alive_weight = 0
        """W."""
        self.alive_count = 0
        """Servers alive, backups apart."""
        self.backups_alive = 0
        self.draining: dict[DestinationKey, Draining] = {}
        self.enabled = True
        """False while ha_suspend keeps its checkers off."""
        self.set_plan(plan)

    def set_plan(self, plan: VirtualServer) -> None:
        """Take the attributes of a new definition (reload); servers are added and removed one by one."""
        self.plan = plan
        self.services = service_keys(plan)
        self.primaries = sum(not server.backup for server in plan.real_servers)
        """Servers, backups apart."""
        self._by_address: dict[str, list[Server]] | None = None

    @property
    def sorry_in_use(self) -> bool:
        return self.plan.sorry_server is not None and not self.quorum_up and not self.backups_alive

    @property
    def backup_in_use(self) -> bool:
        """Backups serve, beside what is left of the others."""
        return self.backups_alive > 0 and not self.quorum_up

    @property
    def panics(self) -> bool:
        """So few servers are alive that the checks are believed no more, and all of them serve; not while a sorry
        server does."""
        threshold = self.plan.panic_threshold
        if not threshold or self.sorry_in_use or self.backup_in_use:
            return False
        return 100 * self.alive_count < threshold * self.primaries

    def servers_at(self, at: ServiceKey, key: DestinationKey) -> list[Server]:
        """The servers that one of our services holds under `key`: in a group, several ports can come to one."""
        server = self.servers.get(key)
        if not self.plan.group:
            return [server] if server is not None else []
        if self._by_address is None:
            self._by_address = {}
            for each in self:
                self._by_address.setdefault(each.plan.address, []).append(each)
        return [each for each in self._by_address.get(key.address, ()) if kernel_key(at, each.plan) == key]

    def __iter__(self) -> Iterator[Server]:
        return iter(self.servers.values())

    # ---------------------------------------------------------------------------------- membership

    def add(self, server: Server) -> None:
        """Put a server in; quorum is not judged yet."""
        self.servers[server.key] = server
        self._by_address = None
        self.recount(server)

    def remove(self, key: DestinationKey) -> list[Notice]:
        """Take a server out (reload); it is announced when it was in the pool. Quorum is not judged yet."""
        server = self.servers.pop(key)
        self._by_address = None
        self._count(server, 0, alive=False)
        return [self._server_notice(server, "DOWN", REMOVING)] if self._in_pool(server) else []

    def leave(self, until: Ns | None) -> None:
        """Have no servers any more; those that served, and the sorry server if it did, drain `until` then."""
        serving = [server.plan for server in self if server.alive and not self.sorry_in_use]
        if self.sorry_in_use and self.plan.sorry_server is not None:
            serving.append(self.plan.sorry_server)
        if until is not None:
            self.draining |= {DestinationKey(each.address, each.port): Draining(each, until) for each in serving}
        else:
            self.draining = {}
        self.servers = {}
        self.set_plan(replace(self.plan, sorry_server=None, real_servers=()))

    def recount(self, server: Server) -> None:
        """Bring W up to date with a server's state."""
        weight = clamp_weight(server.effective_weight) if server.alive and not server.plan.backup else 0
        self._count(server, weight, alive=server.alive)

    def replan(self, server: Server, plan: RealServer) -> None:
        """Another definition of a server (reload); W and its kin are recounted."""
        self._count(server, 0, alive=False)
        server.plan = plan
        server.unproven = server.unproven and plan.checkers.unproven
        self.recount(server)

    def _count(self, server: Server, weight: int, *, alive: bool) -> None:
        self.alive_weight += weight - server.counted
        if server.plan.backup:
            self.backups_alive += alive - server.counted_alive
        else:
            self.alive_count += alive - server.counted_alive
        server.counted, server.counted_alive = weight, alive

    def _in_pool(self, server: Server) -> bool:
        """Alive, and the kernel should have it (a server replaced by the sorry server is not there)."""
        return server.alive and (server.plan.inhibit_on_failure or not self.sorry_in_use)

    # ------------------------------------------------------------------------------------- changes

    def checker_changed(self, server: Server, *, up: bool, mail: str) -> list[Notice]:
        """One of the server's checkers went up or down."""
        server.failed = max(0, server.failed - 1) if up else server.failed + 1
        alive = server.fit
        if alive == server.alive:
            mail = "" if self.no_checker_emails else mail
            return [self._server_notice(server, "", mail)] if mail and server.plan.smtp_alert else []
        return [*self.set_alive(server, alive, mail), *self.judge()]

    def checker_confirmed(self, server: Server, *, up: bool, mail: str) -> list[Notice]:
        """A checker's first result is what was assumed. A failing one is announced; `mail` is empty for most kinds."""
        state = "" if up else "DOWN"
        mail = "" if self.no_checker_emails else mail  # the server is as it was
        return [self._server_notice(server, state, mail)] if state or (mail and server.plan.smtp_alert) else []

    def set_alive(self, server: Server, alive: bool, mail: str) -> list[Notice]:
        """Set a server's flag and announce it; quorum is judged by the caller."""
        server.alive = alive
        self.recount(server)
        return [self._server_notice(server, "UP" if alive else "DOWN", mail)]

    def weight_changed(self, server: Server) -> list[Notice]:
        """The server's effective weight has changed."""
        self.recount(server)
        return self.judge()

    def judge(self) -> list[Notice]:
        """Gain or lose quorum if it is time."""
        plan, weight = self.plan, self.alive_weight
        if not self.quorum_up and weight >= plan.quorum + plan.hysteresis:
            self.quorum_up = True
            return [service_notice(plan, "UP", quorum_mail(plan, "Gained quorum", weight))]
        if self.quorum_up and (weight == 0 or weight < plan.quorum - plan.hysteresis):
            self.quorum_up = False
            return [service_notice(plan, "DOWN", quorum_mail(plan, "Lost quorum", weight))]
        return []

    def start(self, *, init_notifies: bool = False) -> list[Notice]:
        """Judge for the first time. Without quorum something is announced only when a sorry server takes over."""
        notices = [self._server_notice(server, "UP", "") for server in self if server.alive] if init_notifies else []
        plan, weight = self.plan, self.alive_weight
        if self.judge():
            notices.append(service_notice(plan, "UP", quorum_mail(plan, "Starting with quorum up", weight)))
        elif plan.sorry_server is not None:
            notices.append(service_notice(plan, "DOWN", quorum_mail(plan, "Starting with quorum down", weight)))
        return notices

    def sorry_came(self, *, before: bool) -> list[Notice]:
        """After a reload that lost no quorum: a sorry server that takes over at once is announced, as at the start.
        `before`: one was in use already."""
        if before or not self.sorry_in_use:
            return []
        mail = quorum_mail(self.plan, "Starting with quorum down", self.alive_weight)
        return [service_notice(self.plan, "DOWN", mail)]

    def farewell(self, *, removed: bool, servers: bool = True) -> list[Notice]:
        """The last words: `removed` by a reload are always said, the service's if it had quorum; those of a stop only
        with `omega`, and then the service's in any case. Without `servers` only those about the service
        (lvs_flush_on_stop)."""
        if not removed and not self.plan.omega:
            return []
        mail = REMOVING if removed else SHUTTING_DOWN
        notices = [self._server_notice(server, "DOWN", mail) for server in self if servers and self._in_pool(server)]
        if self.quorum_up or not removed:
            notices.append(service_notice(self.plan, "DOWN", mail))
        return notices

    def _server_notice(self, server: Server, state: str, mail: str) -> Notice:
        return server_notice(self.plan, server.plan, state, alive=server.alive and state != "DOWN", mail=mail)


def pools_by_key(plans: Iterable[VirtualServer]) -> tuple[dict[PoolKey, VirtualServer], list[str]]:
    """Plans by identity; of two that the kernel could not tell apart the first counts, with a line about the other."""
    found: dict[PoolKey, VirtualServer] = {}
    complaints: list[str] = []
    for plan in plans:
        key = pool_key(plan)
        if key in found:
            complaints.append(
                f"virtual server {plan.name}: {found[key].name} is the same service; the second is left out"
            )
        else:
            found[key] = plan
    return found, complaints
