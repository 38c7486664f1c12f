"""The Internet checksum (RFC 1071) and its pseudo headers: the plain twin of what the engine computes in C."""

from fastha.model.net import Address, packed


def ones_sum(data: bytes) -> int:
    """The one's complement sum of 16-bit words, 0..65535; an odd byte at the end counts as the high one.

    2**16 is 1 modulo 65535, so the sum of the words is the whole number modulo 65535; only the two zeros of one's
    complement need telling apart.
    """
    number = int.from_bytes(data + bytes(len(data) % 2))
    return (number % 0xFFFF or 0xFFFF) if number else 0


def checksum(data: bytes) -> int:
    """The Internet checksum of `data`, whose checksum field holds 0. Over data with a right checksum it is 0."""
    return ~ones_sum(data) & 0xFFFF


def pseudo_header(source: Address, destination: Address, protocol: int, length: int) -> bytes:
    """What IPv4 (RFC 793) or IPv6 (RFC 8200 8.1) puts before the message for its checksum; `length` in bytes."""
    addresses = packed(source) + packed(destination)
    if len(addresses) == 8:
        return addresses + bytes((0, protocol)) + length.to_bytes(2)
    return addresses + length.to_bytes(4) + bytes((0, 0, 0, protocol))
