"""What must be true of a healed and quiet cluster; each function gives what is broken, in words."""

from __future__ import annotations

from fastha.model.units import MS, Ns, S
from fastha.vrrp import events
from tests.simulation.cluster import Node, Transition
from tests.simulation.scenario import Router, Story


def masters(story: Story, router: Router) -> list[Node]:
    return [n for n in story.cluster.nodes if n.alive and n.core and n.core.states().get(router.name) == "MASTER"]


def one_master(story: Story) -> list[str]:
    """Exactly one MASTER per (segment, family, VRID)."""
    return [
        f"{router.name}: masters are nodes {[n.number for n in found]}"
        for router in story.routers
        if len(found := masters(story, router)) != 1
    ]


def addresses_follow(story: Story) -> list[str]:
    """An address is present if and only if the instance is MASTER."""
    broken = []
    for node in story.cluster.nodes:
        if node.core is None:
            continue
        for instance in node.core.instances.values():
            for a in instance.plan.addresses:
                has = (a.dev, a.address) in node.present
                if has != (instance.state == "MASTER" and node.alive):
                    broken.append(f"node {node.number} is {instance.state} and has {a.address}: {has}")
    return broken


def best_master(story: Story) -> list[str]:
    """With preemption the highest priority is master, then the highest address. Equal priority does not preempt, so
    there it may be anybody among the best."""
    broken = []
    for router in story.routers:
        if router.words.get("nopreempt") and not router.words.get("initial_master"):
            continue
        effective = {n.number: n.core.instances[0].effective for n in story.cluster.nodes if n.core and n.alive}
        broken += [
            f"{router.name}: node {node.number} is master, priorities are {effective}"
            for node in masters(story, router)
            if effective[node.number] != max(effective.values())
        ]
    return broken


def told_as_is(story: Story) -> list[str]:
    """The last word to the world is the state it is in (members of groups are passed over when the group has told)."""
    broken = []
    for node in story.cluster.nodes:
        if node.core is None or not node.alive or story.grouped:
            continue
        for instance in node.core.instances.values():
            told = [t for t in node.told.get(f"INSTANCE {instance.name}", []) if t in ("MASTER", "BACKUP", "FAULT")]
            if told and told[-1] != instance.state:
                broken.append(f"node {node.number} {instance.name} is {instance.state}, told {told[-1]}")
    return broken


def all_of(story: Story) -> list[str]:
    return [
        *story.cluster.broken,
        *one_master(story),
        *addresses_follow(story),
        *best_master(story),
        *told_as_is(story),
    ]


def takeovers(story: Story, router: Router, since: Ns) -> list[Transition]:
    return [t for t in story.cluster.transitions if t.at >= since and t.instance == router.name and t.state == "MASTER"]


def one_takeover(story: Story, *, orderly: bool) -> list[str]:
    """The master of the first router fails (or leaves in order): exactly one other node takes each of its routers,
    within the time its priority gives."""
    if len(set(story.priorities)) < len(story.priorities):
        return []
    found = masters(story, story.routers[0])
    if len(found) != 1:
        return []
    failed = found[0]
    lost = [r for r in story.routers if masters(story, r) == [failed]]
    since = story.cluster.now
    if orderly:
        failed.tell(events.Shutdown())
    else:
        failed.crash(power=True)
    story.quiet()
    broken = list(story.cluster.broken)
    for router in lost:
        taken = takeovers(story, router, since)
        if len(taken) != 1:
            broken.append(f"{router.name}: after node {failed.number} failed: {taken}")
            continue
        skew = S if router.version == 2 else router.adver_int
        adverts = max(int(str(r.words.get("down_timer_adverts", 3))) for r in story.routers)
        bound = (skew if orderly else adverts * router.adver_int + skew) + 50 * MS
        if story.grouped:
            bound += max((adverts + 1) * r.adver_int + S for r in story.routers)
        if taken[0].at - since > bound:
            broken.append(f"{router.name}: taken over after {(taken[0].at - since) / S:.3f} s")
    return broken
