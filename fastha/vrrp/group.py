"""Instances that change state together: a sync group, or one instance on its own (a group without a name).

Every state change of an instance goes through its group, so "members never disagree" has one home. Rules of a group:
MASTER only when every member wants it; one member's BACKUP or FAULT is everybody's; FAULT ends when no member has a
reason left and none waits for a first tracker result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastha.vrrp.actions import Tell
from fastha.vrrp.fsm import Input, State
from fastha.vrrp.priority import OWNER
from fastha.vrrp.timers import minimum_skew

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastha.model.plan import SyncGroup
    from fastha.model.units import Ns
    from fastha.vrrp.instance import Instance
    from fastha.vrrp.world import World

Move = tuple["Instance", Input, str]

NOT_ALL_MASTER = "its sync group is not all master"
BEGIN = {
    State.INIT: (Input.START, "started"),
    State.BACKUP: (Input.PULLED_BACKUP, ""),
    State.MASTER: (Input.PULLED_BACKUP, NOT_ALL_MASTER),
    State.FAULT: (Input.CLEAR, "no reason for FAULT left"),
}
"""What brings a member to BACKUP when its group begins."""


class Group:
    def __init__(self, plan: SyncGroup | None, members: list[Instance], world: World) -> None:
        self.plan = plan
        self.members = members
        self.state: State | None = None
        """The state all members are in, once they have one together; None for an instance on its own."""
        self.known: State | None = None
        """The state the world takes it to be in: a reload judges `state` anew, and this says what is news."""
        self._world = world
        for member in members:
            member.group = self

    # --------------------------------------------------------------------------------- joint transitions

    def start(self, now: Ns, resume: frozenset[str] = frozenset()) -> None:
        """Members that are in INIT begin, unless a tracker that decides about FAULT has no result yet. Others, which a
        reload put beside them, fall in with them."""
        reasons = {m: m.faults() for m in self.members}
        pending = [name for m in self.members for name in m.assessment.pending]
        if any(reasons.values()):
            self._fault(reasons, now)
        elif all(m.name in resume for m in self.members):
            self._move(State.MASTER, [(m, Input.RESUME, "was master before a restart") for m in self.members], now)
        elif pending:
            self._hold(pending, now)
        elif all(m.effective == OWNER and m.state is State.INIT for m in self.members):
            for member in self.members:
                member.take(Input.START_OWNER, now, "address owner")
        else:
            self._move(State.BACKUP, [(m, *BEGIN[m.state]) for m in self.members], now)

    def settle(self, now: Ns, watching: Sequence[Instance] = ()) -> None:
        """After trackers or interfaces changed: to FAULT, out of it, or on from INIT. `watching` saw the change, in
        that order: the first that has a reason pulls the others into FAULT, the last pulls them out, as in keepalived.
        """
        if any(m.state is State.INIT for m in self.members):
            self.start(now)
            return
        reasons = {m: m.faults() for m in self.members}
        pending = [name for m in self.members for name in m.assessment.pending]
        if any(reasons.values()):
            self._fault({m: reasons[m] for m in dict.fromkeys((*watching, *self.members)) if m in reasons}, now)
        elif not pending:
            last = next((m for m in reversed(watching) if m in reasons), self.members[0])
            clear = BEGIN[State.FAULT]
            self._move(State.BACKUP, [(last, *clear), *((m, *clear) for m in self.members if m is not last)], now)
        elif any(m.state is State.FAULT for m in self.members):
            # a reload put a running member beside one that has to wait for a result
            self._move(State.FAULT, [(m, Input.PULLED_FAULT, waiting_for(pending)) for m in self.members], now)

    def timeout(self, member: Instance, now: Ns) -> None:
        """The master of a member is down. The group follows when it is so for everybody; until then the member keeps
        its wish and waits on, and any advert that arrives has to be looked at."""
        member.log("info", "Receive advertisement timeout", detail=True)
        member.wanted = State.MASTER
        if not all(m.wanted is State.MASTER for m in self.members):
            member.reason = "no adverts from a master, waiting for its sync group"
            member.expect_nothing()
            member.listen(now + member.master_down_interval)
            return
        others = [(m, Input.TIMEOUT, "the sync group becomes master") for m in self.members if m is not member]
        self._move(State.MASTER, [(member, Input.TIMEOUT, "no adverts from a master"), *others], now)

    def yield_to(self, member: Instance, reason: str, now: Ns, arrival: Ns | None) -> None:
        """A member heard a better master, whose advert came at `arrival`; or there must be one (None)."""
        if not member.take(Input.OUTRANKED, now, reason, base_time=arrival):
            return
        self._move(State.BACKUP, self._pull(member, Input.PULLED_BACKUP, "became backup"), now, moved=True)

    def address_lost(self, member: Instance, reason: str, now: Ns) -> None:
        """A virtual address of a member was taken away: all step back for a moment. Nothing is told about the group
        (only about its members), as in keepalived."""
        moves = [(member, Input.ADDRESS_LOST, reason), *self._pull(member, Input.PULLED_LOST, "lost an address")]
        self._move(State.BACKUP, moves, now, told=False)

    def after_reload(self, now: Ns) -> None:
        """Members that came together by a reload agree: masters whose group is not all master step back, to return soon
        if nobody else speaks. Whoever moves is told of, even into the state that the group was in; a group that goes on
        as MASTER is no news under whatever name."""
        self.state = None
        masters = [m for m in self.members if m.state is State.MASTER]
        self.settle(now)
        states = {m.state for m in self.members}
        if len(states) == 1 and State.INIT not in states:
            self._enter(state := states.pop(), told=state is not State.MASTER)
        elif State.MASTER in states:
            self._move(State.BACKUP, [(m, Input.PULLED_BACKUP, NOT_ALL_MASTER) for m in masters], now)
        for member in masters:
            if member.state is State.BACKUP:
                wait = member.plan.adver_int + minimum_skew(member.plan.version, member.plan.adver_int)
                member.listen(now + wait)

    # --------------------------------------------------------------------------------------------- parts

    def _hold(self, pending: list[str], now: Ns) -> None:
        reason = waiting_for(pending)
        for member in self.members:
            if member.reason != reason:
                member.take(Input.HOLD, now, reason)

    def _fault(self, reasons: dict[Instance, tuple[str, ...]], now: Ns) -> None:
        """The first that has a reason goes, and pulls the others, whatever reasons they have."""
        first = next(m for m, own in reasons.items() if own)
        moves: list[Move] = []
        for member in (first, *(m for m in self.members if m is not first)):
            reason = ", ".join(reasons[member]) or f"sync group: {first.name} has {', '.join(reasons[first])}"
            if member.state is State.FAULT:
                member.reason = reason
            elif member.state is State.INIT:
                moves.append((member, Input.START_FAULT, reason))
            else:
                moves.append((member, Input.FAULT if member is first else Input.PULLED_FAULT, reason))
        self._move(State.FAULT, moves, now)

    def _pull(self, cause: Instance, what: Input, did: str) -> list[Move]:
        return [(m, what, f"sync group: {cause.name} {did}") for m in self.members if m is not cause]

    def _move(self, state: State, moves: Iterable[Move], now: Ns, *, moved: bool = False, told: bool = True) -> None:
        """Takes the moves; `moved`: one was taken before. The group follows its members, and is told after them."""
        say = self.plan is not None and self.state is not state
        for member, what, reason in moves:
            if moved and say and self.plan:
                self._world.log("info", f"VRRP_Group({self.plan.name}) Syncing instances to {state} state")
                say = False
            moved = member.take(what, now, reason) or moved
        if moved:
            self._enter(state, told=told)

    def _enter(self, state: State, *, told: bool = True) -> None:
        if self.plan is None or self.state is state:
            return
        self.state = state
        if told and self.known is not state:
            self._world.out.append(Tell("GROUP", self.plan.name, state.value, 0))
        self.known = state


def waiting_for(pending: list[str]) -> str:
    return f"waiting for the first result of {', '.join(dict.fromkeys(pending))}"
