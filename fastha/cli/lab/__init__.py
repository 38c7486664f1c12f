"""`fastha lab`: a client, two directors and three web servers in network namespaces, and what breaks.

cage.py      namespaces that the kernel cleans up
network.py   the wires
example.py   what a configuration says to the lab, and what must come of each mishap
director.py  one daemon
lab.py       everything running, and what can be done to it
check.py     judging it
view.py      showing it
show.py      the loop: keys, scripts, time
web.py, client.py   the two small programs; traffic.py adds up what the client saw
"""


def main(argv: list[str] | None = None) -> int:
    """The command `fastha lab`; its exit code. (The small programs of this package need none of what it imports.)"""
    from fastha.cli.lab.command import main as command  # noqa: PLC0415

    return command(argv)
