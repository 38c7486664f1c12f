"""The words that stand inside lines: addresses, peers, tracked things."""

from fastha.config.arguments import (
    UINT,
    AddressArgument,
    Choice,
    Custom,
    Integer,
    InterfaceName,
    Reading,
    Text,
)
from fastha.config.schema.entry import Block, Word

SCOPES = {"global": 0, "universe": 0, "nowhere": 255, "host": 254, "link": 253, "site": 200} | {
    str(n): n for n in range(256)
}


class Scope(Choice):
    """A scope by name or number."""

    def describe(self) -> str:
        return "global|site|link|host|nowhere|0..255"


class Lifetime(Integer):
    """Seconds, or forever."""

    def value(self, r: Reading, text: str, at: int) -> object:
        return None if text == "forever" else Integer.value(self, r, text, at)

    def describe(self) -> str:
        return "forever|SECONDS"


def _unused(r: Reading) -> object:
    return tuple(r.words[1:])


ADDRESS_LINE = Block(
    path="address line",
    words=(
        Word(
            name="dev",
            arguments=InterfaceName(),
            default="the instance's interface; static addresses: default_interface",
            effect="Interface that gets the address.",
            example="192.0.2.10/24 dev eth1",
        ),
        Word(
            name="scope",
            arguments=Scope(SCOPES, what="scope"),
            default="global",
            effect="Scope of an IPv4 address.",
            example="192.0.2.10/24 scope link",
        ),
        *(
            Word(
                name=name,
                arguments=Custom(_unused, "ADDRESS|+|-"),
                default="none",
                effect="Broadcast address; + sets the host bits, - clears them.",
                store="brd",
                example=f"192.0.2.10/24 {name} +",
            )
            for name in ("brd", "broadcast")
        ),
        Word(
            name="label",
            arguments=Text("LABEL", longest=15, refuse=True),
            default="none",
            effect="Label of an IPv4 address, as ifconfig shows it.",
            example="192.0.2.10/24 label eth0:vip",
        ),
        Word(
            name="peer",
            arguments=AddressArgument(strict=True),
            default="none",
            effect="The other end of a point-to-point address.",
            example="192.0.2.10 peer 192.0.2.11",
        ),
        *(
            Word(name=name, default="off", effect=effect, store=store, example=f"2001:db8::10/64 {name}")
            for name, effect, store in (
                ("home", "Marks a home address (mobile IPv6).", ""),
                ("-nodad", "Lets the kernel look for duplicates of this address first.", "dad"),
                ("mngtmpaddr", "The kernel manages temporary addresses from it.", ""),
                ("noprefixroute", "No route for its prefix.", ""),
                ("autojoin", "Joins its multicast group.", ""),
                ("no_track", "Its loss, and that of its interface, has no consequences.", ""),
            )
        ),
        Word(
            name="preferred_lft",
            arguments=Lifetime(0, UINT, "SECONDS"),
            default="forever; 0 for an IPv6 /128",
            effect="How long it is preferred as a source address.",
            example="2001:db8::10/64 preferred_lft forever",
        ),
        Word(
            name="track_group",
            arguments=Text("NAME"),
            default="none",
            effect="Static addresses: the track_group whose instances follow the interface.",
            example="192.0.2.1/24 dev eth0 track_group TG",
        ),
        Word(
            name="use_vmac",
            default="off",
            effect="Puts this address on an interface with the virtual MAC address.",
            example="192.0.2.10/24 dev eth1 use_vmac",
        ),
    ),
)

PEER_LINE = Block(
    path="unicast_peer line",
    words=(
        Word(
            name="min_ttl",
            arguments=Integer(0, 255, "TTL"),
            default="0",
            effect="Adverts of this peer with a lower TTL are dropped.",
            example="192.0.2.2 min_ttl 254",
        ),
        Word(
            name="max_ttl",
            arguments=Integer(0, 255, "TTL"),
            default="255",
            effect="Adverts of this peer with a higher TTL are dropped.",
            example="192.0.2.2 min_ttl 254 max_ttl 255",
        ),
    ),
)

TRACK_LINE = Block(
    path="track line",
    words=(
        Word(
            name="weight",
            arguments=Integer(-254, 254, "WEIGHT"),
            default="the tracked thing's own; 0 for interfaces",
            effect="What its state adds to the priority or takes off; 0: failure means FAULT. Interfaces and scripts: "
            "-253..253.",
            example="chk_haproxy weight -20",
        ),
        Word(
            name="reverse",
            default="the tracked thing's own",
            effect="Turns the meaning round.",
            example="chk_standby weight 10 reverse",
        ),
        Word(
            name="noreverse",
            default="the tracked thing's own",
            effect="Takes the thing's own reverse back.",
            example="chk_standby weight 10 noreverse",
        ),
    ),
)

BLOCKS = (ADDRESS_LINE, PEER_LINE, TRACK_LINE)
