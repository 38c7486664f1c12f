"""What the client saw: requests per server, failures, and gaps, as a whole and since the last mark."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fastha.model.units import Ns

Record = tuple[str, Ns, Ns, str, str]
"""(label, start, end, server, error), see `client.py`."""


@dataclass(slots=True)
class Window:
    """Counts from one moment on, for one target."""

    since: Ns
    last_answer: Ns
    """End of the last answered request, maybe from before `since`: a gap may begin there."""
    longest_gap: Ns = 0
    answered: Counter[str] = field(default_factory=Counter)
    """server -> requests."""
    failed: Counter[str] = field(default_factory=Counter)
    """reason -> requests."""

    def gap(self, now: Ns) -> Ns:
        """The longest time without an answer, the one that is still going on included."""
        return max(self.longest_gap, now - self.last_answer)


@dataclass(slots=True)
class Traffic:
    """Feeds every record to two windows per target: since the start and since the last mark."""

    whole: dict[str, Window] = field(default_factory=dict)
    marked: dict[str, Window] = field(default_factory=dict)

    def restart(self) -> None:
        """Forget everything: the beginning does not count."""
        self.whole.clear()
        self.marked.clear()

    def mark(self, now: Ns) -> None:
        """Begin a new window: from now on, with the gap running since the last answer before."""
        self.marked = {label: Window(now, window.last_answer) for label, window in self.whole.items()}

    def add(self, records: Iterable[Record]) -> None:
        """Take in what the client wrote; records of one call are put in order of their ends."""
        for label, start, end, server, error in sorted(records, key=lambda record: record[2]):
            for windows in (self.whole, self.marked):
                window = windows.setdefault(label, Window(start, start))
                if start < window.since and not server:
                    continue  # a failure of the time before
                if server:
                    window.longest_gap = max(window.longest_gap, end - window.last_answer)
                    window.last_answer = max(window.last_answer, end)
                    window.answered[server] += 1
                else:
                    window.failed[error] += 1
