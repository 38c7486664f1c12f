"""VRRP, ARP and ND codecs: what is built is read back, and no bytes raise."""

from hypothesis import given
from hypothesis import strategies as st

from fastha.model.net import Address
from fastha.model.units import S
from fastha.wire import arp, ip, ndisc, vrrp
from fastha.wire.checksum import checksum, ones_sum

V4 = st.ip_addresses(v=4).map(lambda a: Address(str(a)))
V6 = st.ip_addresses(v=6).map(lambda a: Address(str(a)))
MACS = st.binary(min_size=6, max_size=6)


@st.composite
def messages(draw: st.DrawFn) -> tuple[vrrp.Message, Address, Address]:
    family, version = draw(st.sampled_from((4, 6))), draw(st.sampled_from((2, 3)))
    addresses = V4 if family == 4 else V6
    authenticated = version == 2 and family == 4
    message = vrrp.Message(
        version=version,
        virtual_router_id=draw(st.integers(0, 255)),
        priority=draw(st.integers(0, 255)),
        interval=draw(st.integers(0, 255)) * S if version == 2 else draw(st.integers(0, 4095)) * vrrp.CENTISECOND,
        addresses=tuple(draw(st.lists(addresses, max_size=20))),
        auth_type=draw(st.integers(0, 255)) if version == 2 else 0,
        auth_data=draw(st.binary(min_size=8, max_size=8)) if authenticated else b"",
    )
    return message, draw(addresses), draw(addresses)


@given(messages(), st.booleans())
def test_round_trip(what: tuple[vrrp.Message, Address, Address], as_v2: bool) -> None:
    message, source, destination = what
    octets = vrrp.build(message, source, destination, checksum_as_v2=as_v2)
    assert vrrp.parse(octets, source, destination, checksum_as_v2=as_v2) == message


@given(st.binary(max_size=600), st.one_of(V4, V6))
def test_no_bytes_raise(octets: bytes, source: Address) -> None:
    found = vrrp.parse(octets, source, source)
    if isinstance(found, vrrp.Message) and found.version == 2:
        assert vrrp.build(found, source, source) == octets
    arp.parse(octets)
    ndisc.parse(octets)
    ip.parse(octets)


@given(messages(), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_octet_is_noticed(what: tuple[vrrp.Message, Address, Address], at: int, by: int) -> None:
    message, source, destination = what
    octets = bytearray(vrrp.build(message, source, destination))
    octets[at % len(octets)] ^= by
    assert vrrp.parse(bytes(octets), source, destination) != message


@given(V4, V4, st.binary(max_size=100), st.integers(0, 255), st.integers(0, 65535))
def test_ipv4_round_trip(source: Address, destination: Address, payload: bytes, ttl: int, ident: int) -> None:
    packet = ip.Ipv4(source, destination, payload, ttl=ttl, ident=ident)
    octets = ip.build(packet)
    assert checksum(octets[:20]) == 0
    assert ip.parse(octets) == (packet, True)


@given(MACS, V4)
def test_arp_round_trip(mac: bytes, address: Address) -> None:
    message = arp.parse(arp.gratuitous(mac, address))
    assert message is not None
    assert (message.sender_mac, message.sender, message.target) == (mac, address, address)


@given(MACS, V6, st.booleans())
def test_neighbour_advertisement_round_trip(mac: bytes, address: Address, router: bool) -> None:
    message = ndisc.parse(ndisc.unsolicited(mac, address, router=router))
    assert message is not None
    assert (message.mac, message.target, message.router) == (mac, address, router)


@given(st.binary(max_size=200))
def test_checksum_is_the_sum_of_16_bit_words(data: bytes) -> None:
    padded = data + bytes(len(data) % 2)
    total = sum(int.from_bytes(padded[i : i + 2]) for i in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert ones_sum(data) == total
    assert checksum(padded + checksum(padded).to_bytes(2)) in (0, 0xFFFF if not any(data) else 0)
