"""pyroute2's codec without pyroute2: quick to import, and in nobody's way."""

import subprocess
import sys

PROGRAM = """
import sys
import fastha.process.vrrp, fastha.process.checker
from fastha.system.links import Network
network = Network(frozenset(), lambda interface, address: False)
network.read()
assert network.interfaces, "links are decoded"
assert not [name for name in sys.modules if name.split(".")[0] == "pyroute2"], "nothing imports the package later"
import pyroute2
from pyroute2 import IPRoute
assert pyroute2.netlink.rtnl.ifinfmsg.ifinfmsg.__name__ == "ifinfmsg"
"""


def test_the_package_is_not_imported_and_still_can_be():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
