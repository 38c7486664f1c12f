"""What one side of a duel did otherwise than the other."""

from __future__ import annotations

from tests.netns.duel import Case, Story

COUNTED_BY_TIME = {"advert_sent"}
"""The daemons do not start at the same moment."""
BY_MOMENT = {"last_transition", "auth_data", "master_priority"}
"""By the clock; hidden since 2.4; a master's is its own."""
DIFFERS = {
    "spoiled_version_2": {"advert_rcvd", "auth_failure", "packet_len_err"},
    "nothing_changes_for_a_backup": {"advert_rcvd"},
    "a_backup_unlearns_the_interval": {"advert_rcvd"},
}
"""Counters that differ by design: keepalived looks for the password at the end of Ethernet padding, or knows none; the
peer speaks until the last case is ready."""


VERSIONED = {"vroutes"}
"""keepalived 2.3 names the device that the kernel has chosen for a route."""


def differences(case: Case, theirs: Story, ours: Story) -> list[str]:
    """In what one side did otherwise than the other; the first of each kind."""
    if theirs.failure:
        return [theirs.failure]
    found = [
        first_difference(kind, ours.texts(kind), theirs.texts(kind))
        for kind in ("fifo", "announce", "look")
        if ours.texts(kind) != theirs.texts(kind)
    ]
    if (mine := distinct(ours.texts("advert"))) != (yours := distinct(theirs.texts("advert"))):
        found.append(first_difference("advert", mine, yours))
    if case.timing is not None and not found:
        found += [
            f"{text}: {mine:.3f} s, keepalived {yours:.3f} s"
            for (text, mine), (_, yours) in zip(ours.delays("fifo"), theirs.delays("fifo"), strict=True)
            if abs(mine - yours) >= case.timing
        ]
    passed_over = COUNTED_BY_TIME | DIFFERS.get(case.name, set())
    found += [
        f"{name}: {ours.stats[name]}, keepalived {count}"
        for name, count in theirs.stats.items()
        if name not in passed_over and ours.stats[name] != count
    ]
    if list(ours.data) != list(theirs.data):
        found.append(f"keys of the JSON dump: {list(ours.data)}, keepalived {list(theirs.data)}")
    found += [
        f"{name} in the JSON dump: {ours.data.get(name)}, keepalived {value}"
        for name, value in theirs.data.items()
        if name not in BY_MOMENT | VERSIONED and ours.data.get(name) != value
    ]
    return found


def first_difference(kind: str, ours: list[str], theirs: list[str]) -> str:
    at = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return f"{kind} {at}: {ours[at : at + 1]}, keepalived {theirs[at : at + 1]} ({len(ours)} and {len(theirs)})"


def distinct(lines: list[str]) -> list[str]:
    """Without repetitions and marks: how many adverts are between two marks is a matter of phase."""
    lines = [line for line in lines if not line.startswith("--")]
    return [line for at, line in enumerate(lines) if not at or line != lines[at - 1]]
