"""What a received advert does to an instance: validation, then the rules of its state (vrrp-wise: RFC 5798 6.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastha.model.net import packed
from fastha.model.units import MS, S
from fastha.vrrp.actions import Tell
from fastha.vrrp.fsm import Heard, State, in_backup, in_master
from fastha.vrrp.instance import LOWERED_OWNER
from fastha.vrrp.priority import OWNER
from fastha.vrrp.validate import Outcome, validate

if TYPE_CHECKING:
    from fastha.model.units import Ns
    from fastha.vrrp.events import AdvertReceived
    from fastha.vrrp.garp import Announcer
    from fastha.vrrp.instance import Instance
    from fastha.vrrp.world import World
    from fastha.wire.vrrp import Header

TWO_OWNERS = "CONFIGURATION ERROR: local instance and {} are both configured as address owner, please resolve"


class Listener:
    """Judges adverts for all instances of a core."""

    def __init__(self, world: World, announcer: Announcer) -> None:
        self._world = world
        self._announcer = announcer

    def heard(self, instance: Instance, advert: AdvertReceived, now: Ns) -> None:
        """INIT and FAULT drop adverts unread; so does a backup during a start delay."""
        if instance.state not in (State.BACKUP, State.MASTER):
            return
        if instance.state is State.BACKUP and self._world.delayed_until is not None:
            return
        verdict = validate(advert, instance.view(advert.source))
        for counter in verdict.counters:
            instance.stats[counter] += 1
        if verdict.outcome is not Outcome.OK or verdict.header is None:
            instance.log_once(verdict.kind, verdict.text)
            return
        if advert.source != instance.master_address:
            instance.logged.clear()
            if instance.state is State.BACKUP:
                before = f"changed from {instance.master_address}" if instance.master_address else "set"
                instance.log("info", f"master {before} to {advert.source}", detail=True)
        instance.log_once(verdict.kind, verdict.text)
        instance.log_once("clock", verdict.warning, "warning")
        if verdict.old_checksum and not instance.old_checksum:
            self._old_checksums(instance, now)
        if instance.state is State.BACKUP:
            self._in_backup(instance, advert, verdict.header, now)
        else:
            self._in_master(instance, advert, verdict.header, now)

    def _old_checksums(self, instance: Instance, now: Ns) -> None:
        """The peer makes checksums as old releases did, and understands no others: so do we from now on."""
        instance.log("info", "Setting unicast VRRPv3 checksum to old version")
        instance.old_checksum = True
        if instance.state is State.MASTER:
            instance.speak(now, shift=0)

    # ------------------------------------------------------------------------------------------- BACKUP

    def _in_backup(self, instance: Instance, advert: AdvertReceived, header: Header, now: Ns) -> None:
        self._restore_owner(instance, advert, header)
        heard = in_backup(
            header.priority,
            instance.effective,
            nopreempt=instance.nopreempt,
            delaying=self._delaying(instance, header.priority, now),
        )
        instance.master_address = advert.source
        if heard is Heard.RESIGNED:
            instance.log("info", "Backup received priority 0 advertisement", detail=True)
            instance.master_priority = 0
            instance.expect_nothing()
            instance.listen(advert.at + instance.skew_time)
        elif heard is Heard.ACCEPTED:
            self._accept(instance, advert, header)
            deadline = advert.at + instance.master_down_interval
            if now - advert.at > instance.master_adver_int:  # we were away: later adverts wait behind this one
                deadline = max(deadline, now + instance.grace)
            instance.listen(deadline)
        else:
            text = f"received lower priority ({header.priority}) advert from {advert.source} - discarding"
            instance.log("info", text)

    def _accept(self, instance: Instance, advert: AdvertReceived, header: Header) -> None:
        """This is the master, alive: its next advert is expected, and its interval (version 3) ours to wait by."""
        instance.wanted = State.BACKUP
        instance.judged_late = False
        instance.master_address, instance.master_priority = advert.source, header.priority
        if instance.plan.version == 3 and instance.master_adver_int != header.interval:
            before, now = instance.master_adver_int // MS, header.interval // MS
            instance.log("info", f"advertisement interval updated from {before}ms to {now}ms by master", detail=True)
            instance.master_adver_int = header.interval
        instance.expected = (advert.payload, advert.source, advert.ttl)

    def _delaying(self, instance: Instance, priority: int, now: Ns) -> bool:
        """Runs preempt_delay: from the first advert of a lower priority to one that is not lower. Its end has to be
        noticed by the core, since the engine takes the master's adverts meanwhile: the timer `preempt`."""
        if not instance.preempt_delay or priority == 0:
            return False
        key = ("preempt", instance.index)
        if priority >= instance.effective:
            if instance.preempt_at is not None:
                instance.log("info", "stop preempt delay", detail=True)
            instance.preempt_at = None
            self._world.timers.cancel(key)
            return False
        if instance.preempt_at is None:
            instance.preempt_at = now + instance.preempt_delay
            self._world.timers.set(key, instance.preempt_at)
            instance.log("info", f"start preempt delay ({instance.preempt_delay / S:.6f})", detail=True)
        return now < instance.preempt_at

    def preempt_delay_over(self, instance: Instance, now: Ns) -> None:
        """The master's adverts are discarded from the next one on, and its timer runs out."""
        if instance.state is State.BACKUP:
            instance.expect_nothing()
            instance.listen(now, shift=0)

    # ------------------------------------------------------------------------------------------- MASTER

    def _in_master(self, instance: Instance, advert: AdvertReceived, header: Header, now: Ns) -> None:
        ours = instance.source
        heard = in_master(header.priority, instance.effective, packed(advert.source), packed(ours) if ours else b"")
        MASTER_RULES[heard](self, instance, advert, header, now)

    def _resigned(self, instance: Instance, _advert: AdvertReceived, _header: Header, now: Ns) -> None:
        """Others that heard priority 0 are told at once that there is a master."""
        instance.log("info", "Master received priority 0 message", detail=True)
        instance.speak(now)

    def _better(self, instance: Instance, advert: AdvertReceived, header: Header, now: Ns) -> None:
        ours, theirs = instance.effective, header.priority
        if theirs > ours:
            text = f"Master received advert from {advert.source} with higher priority {theirs}, ours {ours}"
        else:
            text = (
                f"Master received advert from {advert.source} with same priority {ours} but higher IP address than ours"
            )
        instance.log("info", text)
        if instance.plan.higher_prio_send_advert:
            instance.send()
        self._give_way(instance, advert, header, now)

    def _give_way(self, instance: Instance, advert: AdvertReceived, header: Header, now: Ns) -> None:
        self._accept(instance, advert, header)
        instance.group.yield_to(instance, f"{advert.source} has priority {header.priority}", now, advert.at)

    def _same(self, instance: Instance, advert: AdvertReceived, _header: Header, _now: Ns) -> None:
        instance.log_once("same", f"{advert.source} sends adverts with our priority and our address")

    def _lower(self, instance: Instance, advert: AdvertReceived, header: Header, now: Ns) -> None:
        """Answer, so that it yields, and tell the link again where the addresses are: it may have said otherwise."""
        plan = instance.plan
        tail = "" if plan.lower_prio_no_advert else ", forcing new election"
        theirs, ours = header.priority, instance.effective
        instance.log("info", f"Received advert from {advert.source} with lower priority {theirs}, ours {ours}{tail}")
        if not plan.lower_prio_no_advert:
            instance.speak(now)
        elif instance.ah_sequence:
            instance.speak(now, shift=0)  # its sequences are ahead of ours: ours go on from there
        for member in instance.group.members:
            if member.state is State.MASTER:
                self._announcer.heard_lower(member, now)
        self._world.out.append(Tell("INSTANCE", instance.name, "MASTER_RX_LOWER_PRI", ours))

    # --------------------------------------------------------------------------------- two address owners

    def _owner_yields(self, instance: Instance, advert: AdvertReceived, header: Header, now: Ns) -> None:
        instance.log("error", TWO_OWNERS.format(advert.source))
        self._give_way(instance, advert, header, now)

    def _owner_holds(self, instance: Instance, advert: AdvertReceived, header: Header, now: Ns) -> None:
        """Two more adverts, then 1.2 intervals for the other to give way. Meanwhile it is no better than any other who
        ought to."""
        if instance.rival is not None:
            instance.rival_persists = True
        else:
            instance.log("error", TWO_OWNERS.format(advert.source))
            instance.rival = advert.source
            instance.send()
            if instance.plan.lower_prio_no_advert:
                instance.speak(now)
            longer = max(instance.plan.adver_int, header.interval)
            self._world.timers.set(("conflict", instance.index), now + longer * 12 // 10)
        self._lower(instance, advert, header, now)

    def conflict_over(self, instance: Instance, now: Ns) -> None:
        """The rival had its time."""
        rival, persists = instance.rival, instance.rival_persists
        instance.rival, instance.rival_persists = None, False
        if instance.state is not State.MASTER:
            return
        if not persists:
            instance.log("info", "rogue address owner appears to have stopped advertising")
            return
        instance.log("error", f"{rival} is still advertising as address owner, please resolve - reducing our priority")
        self._rebase(instance, LOWERED_OWNER, now)

    def _restore_owner(self, instance: Instance, advert: AdvertReceived, header: Header) -> None:
        """An owner that was lowered is one again when its rival is gone."""
        if instance.base == instance.plan.priority:
            return
        if header.priority != OWNER or advert.source != instance.master_address:
            self._rebase(instance, instance.plan.priority, advert.at)

    def _rebase(self, instance: Instance, base: int, now: Ns) -> None:
        before, down = instance.effective, instance.master_down_interval
        instance.base = base
        instance.assess()
        instance.move(before, down, now)


Rule = Callable[[Listener, "Instance", "AdvertReceived", "Header", int], None]
MASTER_RULES: dict[Heard, Rule] = {
    Heard.RESIGNED: Listener._resigned,  # noqa: SLF001
    Heard.BETTER: Listener._better,  # noqa: SLF001
    Heard.LOWER: Listener._lower,  # noqa: SLF001
    Heard.SAME: Listener._same,  # noqa: SLF001
    Heard.OWNER_YIELDS: Listener._owner_yields,  # noqa: SLF001
    Heard.OWNER_HOLDS: Listener._owner_holds,  # noqa: SLF001
}
