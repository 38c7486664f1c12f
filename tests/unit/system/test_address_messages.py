"""Notifications about addresses are decoded by hand: as pyroute2's codec does it."""

from typing import Any

import pytest

from fastha.model.net import parse_address
from fastha.system.linkmessages import ifaddrmsg
from fastha.system.links import RTM_NEWADDR, _decode_address
from fastha.wire import netlink as wire

ADDRESSES: list[dict[str, Any]] = [
    {"family": 2, "prefixlen": 32, "IFA_ADDRESS": "10.0.0.1", "IFA_LOCAL": "10.0.0.1", "IFA_PROTO": 18},
    {"family": 2, "prefixlen": 24, "IFA_ADDRESS": "10.0.0.9", "IFA_LOCAL": "10.0.0.1", "IFA_LABEL": "eth0:1"},
    {"family": 2, "prefixlen": 30, "flags": 1, "scope": 253, "IFA_ADDRESS": "192.0.2.1", "IFA_LOCAL": "192.0.2.1"},
    {"family": 10, "prefixlen": 64, "scope": 253, "IFA_ADDRESS": "fe80::1", "IFA_FLAGS": 0x380},
    {"family": 10, "prefixlen": 128, "flags": 0x80, "IFA_ADDRESS": "2001:db8::5", "IFA_PROTO": 0},
]


@pytest.mark.parametrize("words", ADDRESSES, ids=lambda words: words["IFA_ADDRESS"])
def test_as_the_codec(words: dict[str, Any]) -> None:
    made: Any = ifaddrmsg()
    for name in ("family", "prefixlen", "flags", "scope"):
        made[name] = words.get(name, 0)
    made["index"] = 70_001
    made["attrs"] = [(name, value) for name, value in words.items() if name.startswith("IFA_")]
    made.encode()
    payload = bytes(made.data[16:])
    codec: Any = ifaddrmsg(wire.frame(RTM_NEWADDR, 0, 0, payload))
    codec.decode()

    index, present = _decode_address(payload)

    assert index == codec["index"]
    assert present.address == parse_address(codec.get_attr("IFA_LOCAL") or codec.get_attr("IFA_ADDRESS"))
    assert (present.prefixlen, present.scope) == (codec["prefixlen"], codec["scope"])
    flags = codec.get_attr("IFA_FLAGS")
    assert present.flags == (codec["flags"] if flags is None else flags)
    assert present.protocol == (codec.get_attr("IFA_PROTO") or 0)
