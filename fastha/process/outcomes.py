"""What came of the checks that the runner carries out, counted by kind under the names of the engine's counters."""

from typing import Final

from fastha.checks.recipes import Verdict

_NAMES: Final = ("started", "succeeded", "failed", "timed_out", "local_errors")


class Outcomes:
    """`timed_out` is part of `failed`; what could not be run at all is a local error and no failure."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}

    def started(self, kind: str) -> None:
        """A run begins."""
        self._of(kind)["started"] += 1

    def ended(self, kind: str, verdict: Verdict) -> None:
        """And has ended like this."""
        counts = self._of(kind)
        if verdict is Verdict.SUCCESS:
            counts["succeeded"] += 1
        elif verdict is Verdict.LOCAL:
            counts["local_errors"] += 1
        else:
            counts["failed"] += 1
            counts["timed_out"] += verdict is Verdict.TIMEOUT

    def counters(self) -> dict[str, int]:
        """`redis_started`, `misc_failed`, ..."""
        return {f"{kind}_{name}": count for kind, counts in self._counts.items() for name, count in counts.items()}

    def _of(self, kind: str) -> dict[str, int]:
        return self._counts.setdefault(kind, dict.fromkeys(_NAMES, 0))
