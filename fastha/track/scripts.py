"""When a script's runs make its result: rise and fall."""


class ScriptCounter:
    """Counts runs of one vrrp_script. The first run decides at once; after that up takes `rise` successes in a row, and
    down `fall` failures in a row. (vrrp_script's own words; both at least 1.)"""

    def __init__(self, rise: int = 1, fall: int = 1) -> None:
        self.rise, self.fall = max(rise, 1), max(fall, 1)
        self.up: bool | None = None
        """The result; None: it has not run."""
        self.against = 0
        """Runs in a row that contradict the result."""

    def result(self, success: bool) -> bool | None:
        """A run ended. The new result when it changed, else None."""
        if success == self.up:
            self.against = 0
            return None
        self.against += 1
        needed = 1 if self.up is None else (self.rise if success else self.fall)
        if self.against < needed:
            return None
        self.up, self.against = success, 0
        return success
