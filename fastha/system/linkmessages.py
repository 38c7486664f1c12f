"""pyroute2's codec of link and address messages, without the rest of pyroute2.

The package's own `__init__` imports everything it has (databases, netfilter, ...), which is a third of the start of a
process that has to be quick. The two modules need only its `netlink` part: they are imported under a package that is
there for that moment, with the same path. Afterwards the interpreter knows nothing of it, so that a later
`import pyroute2` works as usual, with modules of its own.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

__all__ = ["ifaddrmsg", "ifinfmsg"]


@contextmanager
def _bare_package(name: str) -> Iterator[None]:
    """Let modules of the package `name` be imported without its `__init__`, when that has not run already."""
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        yield
        return
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package
    try:
        yield
    finally:
        for loaded in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            del sys.modules[loaded]


with _bare_package("pyroute2"):
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
