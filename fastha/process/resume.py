"""What a vrrp process may resume: the instances that were MASTER when the one before it ended, a moment ago.

While their addresses are still in the kernel and no backup has taken over yet (less than the master-down time has
passed), going on as MASTER costs no traffic. The supervisor knows it from `States`; when the supervisor itself was
killed, the orphan leaves a note in the run directory as it is retired.
"""

import os
import time
from typing import Final

import orjson

from fastha.model.units import MS, Ns
from fastha.process.messages import States

_START_UP: Final = 500 * MS
"""What a new process needs until it speaks."""


def resumable(states: States, heard: Ns, now: Ns) -> tuple[str, ...]:
    """The instances of `states` to be resumed by a process started `now`; the one before was known to speak until
    `heard`. When it died is of no matter: a process that hung was silent long before it was killed."""
    away = now - heard + _START_UP
    return tuple(
        name for name, state in states.states.items() if state == "MASTER" and away < states.master_down.get(name, 0)
    )


def silent_at(states: States, heard: Ns) -> Ns | None:
    """When an instance of `states` will have said nothing, since `heard`, for so long that another master is to be
    expected beside its addresses; None: there is no master among them."""
    return min(
        (heard + states.master_down.get(name, 0) for name, state in states.states.items() if state == "MASTER"),
        default=None,
    )


def leave_states(run_dir: str, states: States) -> None:
    """Leave the note for the next supervisor. A note that cannot be written costs a normal election, nothing more."""
    path = _note(run_dir)
    content = {"at": time.monotonic_ns(), "states": states.states, "master_down": states.master_down}
    try:
        with open(f"{path}.new", "wb") as file:
            file.write(orjson.dumps(content))
        os.rename(f"{path}.new", path)
    except OSError:
        return


def take_states(run_dir: str) -> tuple[States, Ns]:
    """The note, and when it was written (CLOCK_MONOTONIC); it is removed. Empty states when there is none."""
    path = _note(run_dir)
    try:
        with open(path, "rb") as file:
            content = orjson.loads(file.read())
        os.unlink(path)
        return States(dict(content["states"]), dict(content["master_down"])), int(content["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return States(), 0


def _note(run_dir: str) -> str:
    return os.path.join(run_dir, "vrrp.states")
