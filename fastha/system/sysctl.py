"""Settings of the kernel under /proc/sys, of the network namespace of the caller."""

from collections.abc import Iterable

_ROOT = "/proc/sys/"


def read_numbers(names: Iterable[str]) -> dict[str, int]:
    """Name, as sysctl(8) has it -> value; a setting that is not there, not readable or no number is left out."""
    found: dict[str, int] = {}
    for name in names:
        try:
            with open(_ROOT + name.replace(".", "/")) as file:
                found[name] = int(file.read())
        except (OSError, ValueError):
            continue
    return found
