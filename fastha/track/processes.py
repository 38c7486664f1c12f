"""Which processes count for a vrrp_track_process, and whether they are enough."""

from collections.abc import Sequence

from fastha.model.plan import TrackProcess
from fastha.model.units import Ns

COMM_SIZE = 15
"""Characters the kernel keeps of a process name."""


def is_match(track: TrackProcess, comm: str, argv: Sequence[str]) -> bool:
    """Whether a process is one of those tracked. `comm` is the kernel's name for it, `argv` its command line.

    param_match: `exact` the same parameters, `partial` the first ones are the same, `initial` the same number, of which
    the last may be longer than configured; `none` does not look at them. (A process without command line, a kernel
    thread or a zombie, never matches parameters.)
    """
    name, wanted = track.process[0], tuple(track.process[1:])
    if track.full_command:
        if not argv or argv[0] != name:
            return False
    elif comm != name.rsplit("/", 1)[-1][:COMM_SIZE]:
        return False
    given = tuple(argv[1:])
    if track.param_match == "none":
        return True
    if track.param_match == "exact" or not wanted:
        return given == wanted
    if track.param_match == "partial":
        return given[: len(wanted)] == wanted
    last = len(wanted) - 1
    return len(given) == len(wanted) and given[:last] == wanted[:last] and given[last].startswith(wanted[last])


class Quorum:
    """Counts processes of one vrrp_track_process. Gaining the quorum is believed after fork_delay, losing it after
    terminate_delay; a return meanwhile cancels. The first count is believed at once."""

    def __init__(self, track: TrackProcess) -> None:
        self.track = track
        self.count = 0
        self.up: bool | None = None
        """The result; None: nothing counted yet."""
        self._change_at: Ns | None = None

    def has_quorum(self) -> bool:
        """quorum <= count <= quorum_max."""
        track = self.track
        return self.count >= track.quorum and (track.quorum_max is None or self.count <= track.quorum_max)

    def counted(self, count: int, now: Ns) -> bool | None:
        """There are `count` of them now. The new result when it changed, else None."""
        self.count = count
        has = self.has_quorum()
        if has == self.up:
            self._change_at = None
            return None
        delay = 0 if self.up is None else (self.track.fork_delay if has else self.track.terminate_delay)
        if not delay:
            return self._change(has)
        if self._change_at is None:
            self._change_at = now + delay
        return None

    def deadline(self) -> Ns | None:
        """When `tick` may have a change to tell; None: not before another count."""
        return self._change_at

    def tick(self, now: Ns) -> bool | None:
        """The new result when a delay is over, else None."""
        if self._change_at is None or now < self._change_at:
            return None
        return self._change(self.has_quorum())

    def _change(self, up: bool) -> bool:
        self.up, self._change_at = up, None
        return up
