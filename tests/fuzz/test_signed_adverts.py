"""Strangers' octets where signed adverts are expected: nothing raises, and only what is signed rightly counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastha.model.plan import AuthHmac, AuthType, VrrpInstance
from fastha.vrrp.validate import Outcome, validate
from fastha.wire import ah, trailer
from tests.unit.vrrp.bench import GROUP, HIGHER, Bench, instance

SECRET = b"0123456789abcdef0123456789abcdef"
PASSWORD = b"secret\0\0"
NOW = 1_700_000_000 * 10**9
SIGNED = {
    "AH": instance(auth_type=AuthType.AH, auth_pass=PASSWORD),
    "HMAC v2": instance(auth_hmac=AuthHmac(keys={1: SECRET}, active_key=1, time_window=5)),
    "HMAC v3": instance(version=3, auth_hmac=AuthHmac(keys={1: SECRET}, active_key=1, time_window=5)),
}


def good(bench: Bench, plan: VrrpInstance) -> tuple[bytes, bytes]:
    """(headers in front, message with what follows it)."""
    if plan.auth_hmac is not None:
        payload = bench.advert(200).payload
        return b"", payload + trailer.sign(payload, HIGHER, SECRET, 1, trailer.of_clock(NOW))
    payload = bench.advert(200, message={"auth_type": 2, "auth_data": b""}).payload
    packet = ah.build(HIGHER, GROUP, payload, PASSWORD, sequence=9, ident=1)
    return packet[:44], packet[44:]


@pytest.mark.parametrize("kind", SIGNED)
@given(data=st.data())
def test_any_change_is_refused(kind: str, data: st.DataObject) -> None:
    """One octet is another, or some are missing or more, anywhere."""
    plan = SIGNED[kind]
    bench = Bench(plan).start()
    before, payload = good(bench, plan)
    at = data.draw(st.integers(0, len(payload) - 1))
    octets = data.draw(st.binary(max_size=3))
    changed = payload[:at] + octets + payload[at + data.draw(st.integers(0, 3)) :]
    advert = bench.advert(200, payload=changed, before=before, wall=NOW)
    verdict = validate(advert, bench[0].view(HIGHER))
    assert (verdict.outcome is Outcome.OK) is (changed == payload)


@pytest.mark.parametrize("kind", SIGNED)
@given(before=st.binary(max_size=80), payload=st.binary(max_size=120))
def test_noise_is_refused(kind: str, before: bytes, payload: bytes) -> None:
    plan = SIGNED[kind]
    bench = Bench(plan).start()
    head = bench.advert(200).payload[:8]
    for octets in (payload, head + payload):
        bench.say(bench.advert(200, payload=octets, before=before, wall=NOW))
    assert bench[0].stats["advert_rcvd"] == 0
    assert bench.state == "BACKUP"
