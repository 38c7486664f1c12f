"""Priority arithmetic: what trackers make of a configured priority, and when they mean FAULT (vrrp-wise: weight 0)."""

from dataclasses import dataclass, field, replace

from fastha.model.plan import SyncGroup, Track, VrrpInstance
from fastha.model.snapshot import PriorityTerm

OWNER = 255
DEFAULT_RANGE = (1, 254)
FILE_RANGE = (-254, 253)


@dataclass(slots=True)
class Seen:
    """The tracked things as last told. A name that is missing has not been told yet."""

    interfaces: dict[str, bool] = field(default_factory=dict)
    """Interface -> up, after debounce."""
    scripts: dict[str, bool] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    processes: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tracks:
    """All that an instance tracks, its sync group's trackers included."""

    interfaces: tuple[Track, ...] = ()
    scripts: tuple[Track, ...] = ()
    files: tuple[Track, ...] = ()
    processes: tuple[Track, ...] = ()


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the trackers say now."""

    terms: tuple[PriorityTerm, ...]
    total: int
    """Configured priority and all terms, unlimited."""
    effective: int
    faults: tuple[str, ...]
    """Failed with weight 0, in words."""
    pending: tuple[str, ...]
    """Without a first result, and unweighted or a file, which is read before anything else happens: an instance does
    not start before they have one."""


def tracks_of(plan: VrrpInstance, group: SyncGroup | None, *, group_has_owner: bool = False) -> Tracks:
    """The trackers of an instance, with those of its group.

    Members of a group must not drift apart in priority: without sync_group_tracking_weight their weighted scripts and
    files are dropped, and weights of interfaces and processes count as 0. In a group with an address owner the group's
    own trackers have weight 0, because an owner's priority does not move. About the same thing the group's word
    replaces the member's, unless that one says FAULT (weight 0).
    """
    interfaces = plan.track_interfaces
    if not plan.dont_track_primary:
        # one of our own making is as good as the one underneath
        named = {t.name for t in interfaces} | {""}
        interfaces = (*(Track(name=n) for n in (plan.interface, plan.base) if n not in named), *interfaces)
    own = Tracks(interfaces, plan.track_scripts, plan.track_files, plan.track_processes)
    if group is None:
        return own
    shared = Tracks(
        interfaces=beside(own.interfaces, group.track_interfaces),
        scripts=beside(own.scripts, group.track_scripts),
        files=beside(own.files, group.track_files),
        processes=beside(own.processes, group.track_processes),
    )
    if not group.sync_group_tracking_weight:
        own = Tracks(
            interfaces=unweighted(own.interfaces),
            scripts=tuple(t for t in own.scripts if not t.weight),
            files=tuple(t for t in own.files if not t.weight),
            processes=unweighted(own.processes),
        )
    if group_has_owner:
        shared = Tracks(
            interfaces=unweighted(shared.interfaces),
            scripts=unweighted(shared.scripts),
            files=unweighted(shared.files),
            processes=unweighted(shared.processes),
        )
    return Tracks(
        interfaces=merged(own.interfaces, shared.interfaces),
        scripts=merged(own.scripts, shared.scripts),
        files=merged(own.files, shared.files),
        processes=merged(own.processes, shared.processes),
    )


def unweighted(tracks: tuple[Track, ...]) -> tuple[Track, ...]:
    return tuple(replace(t, weight=0) for t in tracks)


def beside(own: tuple[Track, ...], shared: tuple[Track, ...]) -> tuple[Track, ...]:
    """Those of the group that count for a member."""
    firm = {t.name for t in own if not t.weight}
    return tuple(t for t in shared if t.name not in firm)


def merged(own: tuple[Track, ...], shared: tuple[Track, ...]) -> tuple[Track, ...]:
    """Both, the group's word replacing the member's about the same thing."""
    names = {t.name for t in shared}
    return tuple(t for t in own if t.name not in names) + shared


def switch_term(track: Track, up: bool) -> tuple[int, bool]:
    """(contribution, failed) of a thing that is up or down. A positive weight counts while it is up, a negative one
    while it is down; `reverse` turns the sign: less while up, or more while down. With weight 0 being down is the
    failure, with `reverse` being up."""
    if not track.weight:
        return 0, up is track.reverse
    counts = up if track.weight > 0 else not up
    return ((-track.weight if track.reverse else track.weight) if counts else 0), False


def file_term(track: Track, value: int) -> tuple[int, bool]:
    """(contribution, failed) of a tracked file: value times weight within -254..253, the lowest meaning failed, and
    nothing for the priority; with weight 0 any value but 0 is the failure (with `reverse`: 0 is)."""
    if not track.weight:
        return 0, (value != 0) != track.reverse
    low, high = FILE_RANGE
    product = value * (-track.weight if track.reverse else track.weight)
    product = min(max(product, low), high)
    return (0, True) if product <= low else (product, False)


def assess(base: int, tracks: Tracks, seen: Seen) -> Assessment:
    """Terms, effective priority (1..254; an owner stays 255), faults and what is still unknown."""
    terms = [PriorityTerm(source="configured", value=base)]
    faults: list[str] = []
    pending: list[str] = []

    def take(source: str, term: tuple[int, bool], failure: str) -> None:
        value, failed = term
        terms.append(PriorityTerm(source=source, value=value, failed=failed))
        if failed:
            faults.append(failure)

    def unknown(source: str, track: Track) -> None:
        terms.append(PriorityTerm(source=source, value=0))
        if not track.weight or source.startswith("file "):
            pending.append(source)

    for track in tracks.interfaces:
        up = seen.interfaces.get(track.name, False)
        take(f"interface {track.name}", switch_term(track, up), f"interface {track.name} {'up' if up else 'down'}")
    for kind, watched, known in (
        ("script", tracks.scripts, seen.scripts),
        ("process", tracks.processes, seen.processes),
    ):
        for track in watched:
            source = f"{kind} {track.name}"
            if (good := known.get(track.name)) is None:
                unknown(source, track)
            else:
                take(source, switch_term(track, good), f"{source} {'succeeded' if good else 'failed'}")
    for track in tracks.files:
        source = f"file {track.name}"
        if (value := seen.files.get(track.name)) is None:
            unknown(source, track)
        else:
            take(source, file_term(track, value), f"{source} has {value}")
    total = sum(term.value for term in terms)
    low, high = DEFAULT_RANGE
    effective = OWNER if base == OWNER else min(max(total, low), high)
    return Assessment(tuple(terms), total, effective, tuple(faults), tuple(pending))
