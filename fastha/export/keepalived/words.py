"""How keepalived writes things in its dumps: flags, times, scripts, addresses."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from fastha.model.net import family_of
from fastha.model.plan import Command, MadeLink, VirtualAddress, VrrpInstance, VrrpPlan
from fastha.model.units import Ns, S

SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
"""rtnetlink's numbers (linux/rtnetlink.h, rt_scope_t)."""


def title(text: str) -> str:
    """The heading of a section."""
    return f"------< {text} >------"


def yes(flag: bool) -> str:
    return "yes" if flag else "no"


def true(flag: bool) -> str:
    return "true" if flag else "false"


def enabled(flag: bool) -> str:
    return "enabled" if flag else "disabled"


def on(flag: bool) -> str:
    return "ON" if flag else "OFF"


def number(time: Ns) -> int | float:
    """Seconds, whole where they are."""
    return time // S if time % S == 0 else time / S


def moment(wall: float) -> str:
    """`1795534296.035641 (Tue Nov 24 15:31:36.035641 2026)`, local time."""
    at = datetime.fromtimestamp(wall, UTC).astimezone()
    micro = f"{round(wall * 1e6) % 1_000_000:06d}"
    return f"{int(wall)}.{micro} ({at:%a %b} {at.day:2d} {at:%H:%M:%S}.{micro} {at:%Y})"


def quoted(words: Iterable[str]) -> str:
    """A command as keepalived shows it: every word in single quotes."""
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)


def script(command: Command) -> str:
    return f"{quoted(command.argv)}, uid:gid {command.uid}:{command.gid}"


def made_link(plan: VrrpPlan, one: VrrpInstance) -> MadeLink | None:
    """The interface that was made for an instance (use_vmac, use_ipvlan); its adverts may leave from the base."""
    made = {link.name: link for link in plan.made_links}
    for name in (one.interface, *(line.dev for line in one.addresses), *(line.dev for line in one.excluded_addresses)):
        if (link := made.get(name)) is not None and one.interface in (link.name, link.base):
            return link
    return None


def addresses(
    one: VrrpInstance, lines: Sequence[VirtualAddress], present: Collection[str], plan: VrrpPlan
) -> Iterator[str]:
    """Lines of virtual addresses of an instance; `present` as in `InstanceSnapshot`."""
    shielded = "" if one.accept or one.owner else " nftable_set"
    bases = {link.name: link.base for link in plan.made_links}
    for line in lines:
        dev = f"{line.dev}@{bases[line.dev]}" if line.dev in bases else line.dev
        here = f"{line.address}/{line.prefixlen} dev {line.dev}" in present
        yield address(line, present=here, dev=dev) + (shielded if here else "")


def address(line: VirtualAddress, *, present: bool, dev: str = "") -> str:
    """A virtual address: what was configured, and ` set` when we have it. `dev` instead of its interface's name."""
    words = []
    host = 32 if family_of(line.address) == 4 else 128
    bare = line.peer is not None or line.prefixlen == host
    words.append(str(line.address) if bare else f"{line.address}/{line.prefixlen}")
    if line.broadcast is not None:
        words += ["brd", str(line.broadcast)]
    words += ["dev", dev or line.dev, "scope", SCOPES.get(line.scope, str(line.scope))]
    if line.label is not None:
        words += ["label", line.label]
    if line.peer is not None:
        words += ["peer", f"{line.peer}/{line.prefixlen}"]
    words += _flags(line)
    if host == 128:
        words += _lifetime(line.preferred_lft)
    if present:
        words.append("set")
    return " ".join(words)


def _flags(line: VirtualAddress) -> list[str]:
    v6 = family_of(line.address) == 6
    flags = {
        "home": line.home,
        "-nodad": v6 and not line.nodad,
        "mngtmpaddr": line.mngtmpaddr,
        "noprefixroute": line.noprefixroute,
        "autojoin": line.autojoin,
        "no_track": line.no_track,
    }
    return [name for name, set_ in flags.items() if set_]


def _lifetime(seconds: int | None) -> list[str]:
    if seconds == 0:
        return ["deprecated"]
    return ["preferred_lft", "forever" if seconds is None else str(seconds)]
