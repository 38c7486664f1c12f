"""One virtual router: its state, and the execution of the steps a transition asks for (`fsm.TRANSITIONS`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastha.model.net import Address
from fastha.model.plan import AuthType, UnicastChecksum
from fastha.model.units import MS
from fastha.vrrp.actions import Give, Send, Tell, WantAddresses
from fastha.vrrp.fsm import TRANSITIONS, Input, State, Step
from fastha.vrrp.guards import AhGuard, guard_of, seal_of
from fastha.vrrp.orders import Datagram, Endpoint, Mode, Order
from fastha.vrrp.priority import OWNER, Assessment, Tracks, assess
from fastha.vrrp.timers import master_down_interval, second_advert, skew_time
from fastha.vrrp.validate import AUTH_FIELD, COUNTERS, MIB_COUNTERS, View
from fastha.wire import vrrp as wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastha.model.plan import VrrpInstance
    from fastha.model.units import Ns
    from fastha.vrrp.garp import Announcer
    from fastha.vrrp.group import Group
    from fastha.vrrp.world import World

MICROSECOND = 1_000
LOWERED_OWNER = 254
"""What an address owner steps down to when a rival owner does not give way."""

Expected = tuple[bytes, Address | None, int]
NOTHING_EXPECTED: Expected = (b"", None, 255)


class Instance:
    """Everything the core knows of one vrrp_instance. Only `take` changes `state`."""

    def __init__(self, index: int, plan: VrrpInstance, world: World, announcer: Announcer, now: Ns) -> None:
        self.index = index
        self.plan = plan
        self.group: Group
        """Set by the core: every instance has one, alone or with others."""
        self.tracks = Tracks()
        self.state = State.INIT
        self.wanted = State.INIT
        self.since = now
        self.reason = "not started"
        self.told: str | None = None
        """The state the world was told last."""
        self.base = plan.priority
        """Configured priority, or what a conflict of owners lowered it to."""
        self.assessment: Assessment
        self.master_adver_int = plan.adver_int
        self.master_address: Address | None = None
        self.master_priority = 0
        self.expected = NOTHING_EXPECTED
        self.judged_late = False
        """A master-down was not believed, because the core looked at it too late; the next one is."""
        self.preempt_at: Ns | None = None
        """preempt_delay ends then; None: it does not run."""
        self.rival: Address | None = None
        """Another address owner whose giving way is being waited for."""
        self.rival_persists = False
        self.guard = guard_of(plan)
        self.old_checksum = plan.old_unicast_checksum is UnicastChecksum.OLD
        """Our own unicast checksums are made as old releases do, since we are told to or a peer does."""
        self.stats = dict.fromkeys(COUNTERS + MIB_COUNTERS, 0)
        self.logged: set[str] = set()
        self._world = world
        self._announcer = announcer
        self._base_time: Ns = 0
        self._spoke_from: Address | None = None
        self._made_of: tuple[object, ...] | None = None
        self._made: tuple[Datagram, ...] = ()
        """Our advert, and of what it was made."""
        world.moved.add(index)
        self._learned = plan.adver_int
        """The interval of the master before the last transition."""
        self._surplus = 0
        """Addresses that did not fit an advert when it was last said."""
        self.assess()

    # ------------------------------------------------------------------------------ what it amounts to

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def effective(self) -> int:
        return self.assessment.effective

    @property
    def skew_time(self) -> Ns:
        return skew_time(self.plan.version, self.timer_priority, self.master_adver_int)

    @property
    def master_down_interval(self) -> Ns:
        return master_down_interval(
            self.plan.version, self.timer_priority, self.master_adver_int, self.plan.down_timer_adverts
        )

    @property
    def grace(self) -> Ns:
        """How long a master is waited for after we were away and may have missed it: an interval and the skew."""
        return self.master_adver_int + self.skew_time

    @property
    def patience(self) -> Ns:
        """How late an advert of ours may be before another router has taken over; 0: timer_expired_backup is off."""
        plan = self.plan
        if plan.timer_expired_backup is None:
            return 0
        return 2 * plan.adver_int + skew_time(plan.version, plan.timer_expired_backup, plan.adver_int)

    @property
    def ah_sequence(self) -> int:
        """The highest AH sequence heard: ours go on from there."""
        return self.guard.sequence if isinstance(self.guard, AhGuard) else 0

    @property
    def timer_priority(self) -> int:
        return OWNER if self.plan.owner else self.effective

    @property
    def nopreempt(self) -> bool:
        """`state MASTER` cancels it, and preempt_delay: the operator wants this one to be master."""
        return self.plan.nopreempt and not self.plan.initial_master

    @property
    def preempt_delay(self) -> Ns:
        return 0 if self.plan.initial_master or self.plan.nopreempt else self.plan.preempt_delay

    @property
    def source(self) -> Address | None:
        return self._world.source_of(self.plan)

    def assess(self) -> None:
        """Reads the trackers again."""
        self.assessment = assess(self.base, self.tracks, self._world.seen)

    def faults(self) -> tuple[str, ...]:
        """Why it cannot be anything but FAULT now, in words; empty: it can."""
        plan, faults = self.plan, self.assessment.faults
        link = self._world.links.get(plan.interface)
        if plan.interface and (link is None or not link.exists):
            missing = f"interface {plan.interface} down"
            faults = faults if missing in faults else (*faults, f"interface {plan.interface} does not exist")
        elif link is not None and not plan.unicast and not link.multicast:
            faults = (*faults, f"interface {plan.interface} does not support multicast")
        if plan.fault_no_peer:
            faults = (*faults, "unicast is wanted and there is no usable peer")
        if not faults and self.source is None:
            faults = (f"no usable source address on {plan.interface}",)
        return faults

    def endpoint(self) -> Endpoint:
        plan = self.plan
        return Endpoint(
            instance=self.index,
            interface=plan.interface or plan.vrf,
            family=plan.family,
            virtual_router_id=plan.virtual_router_id,
            source=self.source,
            group=None if plan.unicast else plan.group,
            peers=tuple(peer.address for peer in plan.unicast_peers),
            ttl=self._ttl(),
            seal=seal_of(plan),
        )

    def _ttl(self) -> int | None:
        """Of adverts sent; None: the kernel's default, which over IPv6 is what keepalived's unicast has."""
        plan = self.plan
        if not plan.unicast or (plan.unicast_ttl is None and plan.family == 4):
            return 255
        return plan.unicast_ttl

    def tell_surplus(self) -> None:
        """When the number of addresses that do not fit our adverts changed: they are there as excluded ones are."""
        surplus = len(self.plan.addresses) - len(self._world.advert_addresses(self.plan))
        if surplus and surplus != self._surplus:
            fit = len(self.plan.addresses) - surplus
            text = f"an advert carries {fit} addresses on this link, {len(self.plan.addresses)} are configured: "
            self.log("warning", f"{text}the other {surplus} are as virtual_ipaddress_excluded")
        self._surplus = surplus

    def view(self, sender: Address) -> View:
        """What `validate` is to know about us, for an advert from `sender`."""
        return View(
            plan=self.plan,
            addresses=frozenset(self._world.advert_addresses(self.plan)),
            is_owner=self.effective == OWNER,
            skip_addresses=(
                self.state is State.BACKUP and self.plan.skip_check_adv_addr and sender == self.master_address
            ),
            guard=self.guard,
        )

    def datagrams(self, priority: int | None = None) -> tuple[Datagram, ...]:
        """Our advert for each destination; empty without a source address. `priority` None: the effective one. What
        was made last is kept: a backup makes it ahead, so that a failover finds it."""
        plan, source = self.plan, self.source
        if priority == 0:  # the source may be what is lost
            source = source or self._spoke_from
        if source is None:
            return ()
        if priority is None:
            priority = self.effective
        link = self._world.links.get(plan.interface)
        made_of = (priority, source, link.mtu if link else 0, self.old_checksum)
        if self._made_of != made_of:
            self._made_of, self._made = made_of, self._make(priority, source)
        return self._made

    def _make(self, priority: int, source: Address) -> tuple[Datagram, ...]:
        plan = self.plan
        message = wire.Message(
            version=plan.version,
            virtual_router_id=plan.virtual_router_id,
            priority=priority,
            interval=plan.adver_int,
            addresses=self._world.advert_addresses(plan),
            auth_type=AUTH_FIELD[plan.auth_type],
            auth_data=(plan.auth_pass or b"") if plan.auth_type is AuthType.PASS else b"",
        )
        return tuple(
            Datagram(
                to,
                wire.build(
                    message,
                    source,
                    plan.group if self.old_checksum and plan.family == 4 else to,
                    checksum_as_v2=plan.v3_checksum_as_v2,
                ),
            )
            for to in [peer.address for peer in plan.unicast_peers] or [plan.group]
        )

    # --------------------------------------------------------------------------------- orders and words

    def idle(self) -> None:
        self._give(Order(instance=self.index, generation=self._next_generation(), mode=Mode.IDLE))

    def speak(self, now: Ns, *, shift: Ns | None = None) -> None:
        """Adverts from now on; with `shift` the one that is due stays due (moved by that much)."""
        self._spoke_from = self.source
        self._give(
            Order(
                instance=self.index,
                generation=self._next_generation(),
                mode=Mode.SPEAK,
                shift=shift,
                datagrams=self.datagrams(),
                interval=self.plan.adver_int,
                first=now,
                second=second_advert(now, self.plan.adver_int),
                patience=self.patience,
                sequence=self.ah_sequence,
            )
        )

    def listen(self, deadline: Ns, *, shift: Ns | None = None) -> None:
        """Wait for the master until `deadline`. While a start delay runs nothing is listened to: the core gives the
        order at its end."""
        if self._world.delayed_until is not None:
            self.idle()
            return
        payload, source, ttl = self.expected
        self._give(
            Order(
                instance=self.index,
                generation=self._next_generation(),
                mode=Mode.LISTEN,
                shift=shift,
                interval=self.master_adver_int,
                deadline=deadline,
                restart=self.master_down_interval,
                grace=self.grace,
                expected=payload if self.guard is None else b"",  # no two of them are alike
                expected_source=source,
                expected_ttl=ttl,
                sequence=self.ah_sequence,
            )
        )

    def expect_nothing(self) -> None:
        """The next advert goes up, whatever it is; the order that says so has to follow."""
        self.expected = NOTHING_EXPECTED

    def send(self, priority: int | None = None, *, counted: bool = True) -> None:
        """Our advert once, now; priority 0 is `counted` or not: over IPv6 keepalived does not send that without a
        source address."""
        if not counted and self.source is None and self.plan.family == 6:
            return
        datagrams = self.datagrams(priority)
        if not datagrams:
            return
        if priority == 0:
            self.stats["pri_zero_sent"] += counted
            if counted:
                self.log("info", "sent 0 priority", detail=True)
        self._world.out.append(Send(self.index, datagrams))

    def tell(self, state: str) -> None:
        self.told = state
        self._world.out.append(Tell("INSTANCE", self.name, state, self.effective))

    def log(self, level: str, text: str, *, detail: bool = False) -> None:
        """`(NAME) text`; `detail`: only with log detail."""
        if not detail or self._world.detail:
            self._world.log(level, f"({self.name}) {text}")

    def log_once(self, kind: str, text: str, level: str = "info") -> None:
        """Until the state or the master changes."""
        if text and kind not in self.logged:
            self.logged.add(kind)
            self.log(level, text)

    def _give(self, order: Order) -> None:
        self._world.out.append(Give(order))

    def _next_generation(self) -> int:
        self._world.generations[self.index] += 1
        return self.generation

    @property
    def generation(self) -> int:
        """Of the order in force."""
        return self._world.generations[self.index]

    def adopt(self, plan: VrrpInstance) -> None:
        """Goes on under a new Plan (reload): what was learned of the master's interval, and of rival owners, is not
        kept; sequences that were heard are."""
        if plan.old_unicast_checksum is not self.plan.old_unicast_checksum:
            self.old_checksum = plan.old_unicast_checksum is UnicastChecksum.OLD
        self.plan, self.base = plan, plan.priority
        self._made_of = None
        self._world.moved.add(self.index)
        self.guard = guard_of(plan, self.guard)
        self.master_adver_int = plan.adver_int
        self.logged.clear()
        self.preempt_at = None
        self._world.timers.cancel(("preempt", self.index))
        self._end_conflict()

    # -------------------------------------------------------------------------------------- transitions

    def take(self, what: Input, now: Ns, reason: str, *, base_time: Ns | None = None) -> bool:
        """Follows the table for `what`; False, and nothing happens, when the table has nothing for it here.

        `base_time`: when listening, the time the master-down timer counts from (an advert's arrival); `expected` is
        then what was set before, else nothing is expected yet.
        """
        transition = TRANSITIONS.get((self.state, what))
        if transition is None:
            return False
        if self.state is State.MASTER and transition.to is not State.MASTER:
            self.stats["release_master"] += 1
        self.state = transition.to
        self._world.moved.add(self.index)
        self.wanted = State.MASTER if what is Input.START_OWNER else transition.to
        self.since, self.reason = now, reason
        self.logged.clear()
        self.preempt_at = None
        self._world.timers.cancel(("preempt", self.index))
        self._end_conflict()
        self.judged_late = False
        if base_time is None:
            self.expected = NOTHING_EXPECTED
            self.master_address, self.master_priority = None, 0
        self._base_time = now if base_time is None else base_time
        self._learned = self.master_adver_int
        if self.state is not State.BACKUP:
            self.master_adver_int = self.plan.adver_int
        if self.state is State.MASTER:
            if self.base != self.plan.priority:
                self.base = self.plan.priority
                self.assess()
                self.log("info", f"Restoring our priority to {self.base} since other address owner has disappeared")
            self.stats["become_master"] += 1
            self.master_address, self.master_priority = self.source, self.effective
        for step in transition.steps:
            STEPS[step](self, now)
        return True

    def _end_conflict(self) -> None:
        self.rival, self.rival_persists = None, False
        self._world.timers.cancel(("conflict", self.index))

    def move(self, effective_before: int, down_before: Ns, now: Ns) -> None:
        """The effective priority changed: the running timer moves by the difference, adverts carry the new one."""
        after = self.effective
        if after == effective_before:
            return
        self.log("info", f"Changing effective priority from {effective_before} to {after}")
        if self.state is State.BACKUP:
            self.expect_nothing()  # what was good enough may not be any more: the next advert is judged anew
            self.listen(now, shift=self.master_down_interval - down_before)
        elif self.state is State.MASTER:
            self.master_priority = after
            self.speak(now, shift=0)
        self._tell_priority()

    def _tell_priority(self) -> None:
        if self.plan.notify_priority_changes and self.state in (State.BACKUP, State.MASTER):
            self._world.out.append(Tell("INSTANCE", self.name, f"{self.state}_PRIORITY", self.effective))

    # --------------------------------------------------------------------------------------------- steps

    def step_log(self, _now: Ns, suffix: str = "") -> None:
        self.log("info", f"Entering {self.state} STATE{suffix}")
        if self.state is State.FAULT:
            self.log("info", f"in FAULT because of: {self.reason}")
        own = self.plan.adver_int
        if self.state is State.MASTER and self._learned != own:
            text = f"changing advert interval from {self._learned // MS}ms to locally configured {own // MS}ms"
            self.log("info", text, detail=True)

    def step_tell_priority(self, _now: Ns) -> None:
        if self.effective != self.plan.priority:
            self.log("info", f"Changing effective priority from {self.plan.priority} to {self.effective}")
            self._tell_priority()

    def step_tell(self, _now: Ns) -> None:
        """After its first word, an instance whose group already is in this state is passed over."""
        if self.told is None or self.group.state != self.state:
            self.tell(self.state.value)

    def step_tell_deleted(self, _now: Ns) -> None:
        if self.plan.notify_deleted:
            self.tell("DELETED")
        elif self.told != State.FAULT:
            self.tell(State.FAULT.value)

    def step_freshen(self, _now: Ns) -> None:
        if self.plan.unicast:
            self._announcer.freshen(self)

    def step_listen(self, _now: Ns, wait: Ns | None = None) -> None:
        self.datagrams()
        base = self._world.delayed_until or self._base_time
        self.listen(base + (self.master_down_interval if wait is None else wait))

    def addresses(self, present: bool) -> None:
        plan = self.plan
        if self._world.detail:
            kinds = {
                "VIPs.": plan.addresses,
                "E-VIPs.": plan.excluded_addresses,
                "Virtual Routes": plan.routes,
                "Virtual Rules": plan.rules,
            }
            for what in kinds if present else reversed(kinds):
                if kinds[what]:
                    self.log("info", f"{'setting' if present else 'removing'} {what}")
        self._world.out.append(WantAddresses(self.index, present))

    def announce(self, now: Ns) -> None:
        self._announcer.became_master(self, now)

    def quiet(self) -> None:
        self._announcer.left(self)


STEPS: dict[Step, Callable[[Instance, Ns], None]] = {
    Step.LOG: Instance.step_log,
    Step.LOG_INIT: lambda i, now: i.step_log(now, " (init)"),
    Step.IDLE: lambda i, _: i.idle(),
    Step.SPEAK: lambda i, now: i.speak(now),
    Step.LISTEN: Instance.step_listen,
    Step.LISTEN_SKEW: lambda i, now: i.step_listen(now, i.skew_time),
    Step.LISTEN_NOW: lambda i, now: i.step_listen(now, MICROSECOND),
    Step.PRIORITY_0: lambda i, _: i.send(0),
    Step.PRIORITY_0_UNCOUNTED: lambda i, _: i.send(0, counted=False),
    Step.PRESENT: lambda i, _: i.addresses(True),
    Step.ABSENT: lambda i, _: i.addresses(False),
    Step.GARP: lambda i, now: i.announce(now),
    Step.QUIET: lambda i, _: i.quiet(),
    Step.FRESHEN: Instance.step_freshen,
    Step.TELL_PRIORITY: Instance.step_tell_priority,
    Step.TELL: Instance.step_tell,
    Step.TELL_STOP: lambda i, _: i.tell("STOP"),
    Step.TELL_DELETED: Instance.step_tell_deleted,
}
