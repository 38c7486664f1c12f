"""What the compiled advert engine takes and refuses at its border, and that its stub says the same."""

import ast
import inspect
import time
from dataclasses import replace
from pathlib import Path

import pytest

import fastha._vrrp
from fastha._vrrp import AdvertEngine
from fastha.model.net import Address
from fastha.model.units import MS, S
from fastha.vrrp.orders import Datagram, Endpoint, Mode, Order
from tests.poll import until

GROUP = Address("224.0.0.18")
ENDPOINT = Endpoint(instance=0, interface="e", family=4, virtual_router_id=1, source=Address("10.0.0.1"), group=GROUP)
STUB = Path(fastha._vrrp.__file__).with_name("_vrrp.pyi")


def speak(instance: int = 0, payload: bytes = bytes(8)) -> Order:
    return Order(
        instance=instance, generation=1, mode=Mode.SPEAK, datagrams=(Datagram(GROUP, payload),), interval=S, first=0
    )


def test_the_stub_names_what_there_is() -> None:
    tree = ast.parse(STUB.read_text())
    stub = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    methods = {node.name: node for node in stub.body if isinstance(node, ast.FunctionDef)}
    public = {name for name in vars(AdvertEngine) if not name.startswith("_")}
    assert public == set(methods) - {"__init__"}
    for name, node in methods.items():
        if name == "__init__" or node.decorator_list:
            continue
        wanted = [a.arg for a in node.args.posonlyargs + node.args.args + node.args.kwonlyargs]
        assert list(inspect.signature(getattr(AdvertEngine, name)).parameters) == wanted, name


def test_every_public_method_says_what_it_does() -> None:
    assert all(vars(AdvertEngine)[name].__doc__ for name in vars(AdvertEngine) if not name.startswith("_"))


@pytest.mark.parametrize("instance", [-1, 4, 1 << 40])
def test_an_instance_out_of_range_is_refused(instance: int) -> None:
    engine = AdvertEngine(4, virtual=True)
    with pytest.raises((ValueError, OverflowError)):
        engine.order(speak(instance))
    with pytest.raises((ValueError, OverflowError)):
        engine.counters(instance)
    with pytest.raises((ValueError, OverflowError)):
        engine.unbind(instance)


@pytest.mark.parametrize("instances", [0, -5, 65537])
def test_a_capacity_out_of_range_is_refused(instances: int) -> None:
    with pytest.raises(ValueError, match="instances"):
        AdvertEngine(instances, virtual=True)


@pytest.mark.parametrize("payload", [b"", bytes(7), bytes(4400)])
def test_a_message_of_impossible_length_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="octets"):
        AdvertEngine(4, virtual=True).order(speak(payload=payload))


def test_what_is_no_address_or_listener_is_refused() -> None:
    engine = AdvertEngine(4, virtual=True)
    slot = engine.listen(-1, 4)
    with pytest.raises(ValueError, match="listener"):
        engine.bind(ENDPOINT, 4, -1, 1)
    with pytest.raises(ValueError, match="listener"):
        engine.unlisten(slot + 1)
    engine.unlisten(slot)
    with pytest.raises(ValueError, match="listener"):
        engine.unlisten(slot)
    with pytest.raises(ValueError):  # noqa: PT011 - the words are ipaddress's
        engine.send(0, (Datagram(Address("nonsense"), bytes(8)),))
    with pytest.raises(ValueError, match="frame"):
        engine.frames(-1, [(1, bytes(10))])


def test_sockets_end() -> None:
    engine = AdvertEngine(2, virtual=True)
    engine.listen(-1, 4)
    engine.listen(-1, 6)
    with pytest.raises(ValueError, match="more sockets"):
        engine.listen(-1, 4)


def test_there_is_room_for_more_when_asked_for() -> None:
    engine = AdvertEngine(1, virtual=True)
    slot = engine.listen(-1, 4)
    engine.bind(ENDPOINT, slot, -1, 1)
    engine.order(speak())
    engine.renew(0)
    engine.step(0)
    engine.grow(300)
    engine.grow(10)
    engine.listen(-1, 6)
    engine.bind(replace(ENDPOINT, instance=299, virtual_router_id=2), slot, -1, 1)
    engine.order(speak(299))
    assert sorted(instance for instance, _, _ in engine.step(S)) == [0, 299]
    with pytest.raises(ValueError, match="of 300"):
        engine.order(speak(300))
    with pytest.raises(ValueError, match="instances"):
        engine.grow(65537)


def test_a_running_engine_grows() -> None:
    engine = AdvertEngine(1)
    engine.start()
    try:
        engine.grow(1000)
        engine.bind(replace(ENDPOINT, instance=999), -1, -1, 1)
        engine.renew(time.monotonic_ns())
        engine.order(replace(speak(999), interval=10 * MS))
        until(lambda: engine.counters(999)[0] > 1, "adverts of the new instance")
    finally:
        assert engine.stop()


def test_held_commands_wake_the_engine_in_portions() -> None:
    engine = AdvertEngine(4)
    engine.start()
    try:
        until(lambda: engine.stats()["turns"] > 0, "the first turn")
        before = engine.stats()["turns"]
        engine.hold()
        engine.bind(ENDPOINT, -1, -1, 1)
        for _ in range(1000):
            engine.send(0, (Datagram(GROUP, bytes(8)),))
        engine.go()
        until(lambda: engine.counters(0)[0] == 1000, "all that was held")
        assert engine.stats()["turns"] - before < 100
        engine.hold()
        engine.settle()
    finally:
        assert engine.stop()


def test_a_full_command_ring_is_told() -> None:
    """Nobody steps: 8192 commands fit, then the caller hears of it."""
    engine = AdvertEngine(4, virtual=True)
    for _ in range(8192):
        engine.settle()
    with pytest.raises(TimeoutError):
        engine.settle()
    engine.step(0)
    engine.settle()


def test_only_virtual_engines_step_and_only_others_start() -> None:
    with pytest.raises(RuntimeError):
        AdvertEngine(4).step(0)
    with pytest.raises(RuntimeError):
        AdvertEngine(4, virtual=True).start()


def test_start_and_stop() -> None:
    engine = AdvertEngine(4)
    assert engine.native_id is None
    assert engine.stop()
    engine.start()
    assert engine.native_id
    with pytest.raises(RuntimeError):
        engine.start()
    assert engine.stop()
    assert engine.stats()["turns"] >= 1


def test_nothing_is_sent_for_an_instance_that_is_not_bound() -> None:
    engine = AdvertEngine(4, virtual=True)
    engine.renew(10 * S)
    engine.order(speak())
    assert engine.step(10 * S) == []
    engine.bind(ENDPOINT, engine.listen(-1, 4), -1, 1)
    assert engine.step(11 * S) == [(0, GROUP, bytes(8))]


def test_late_adverts_are_not_made_up_for() -> None:
    engine = AdvertEngine(4, virtual=True)
    engine.bind(ENDPOINT, engine.listen(-1, 4), -1, 1)
    engine.order(speak())
    engine.renew(10 * S)
    assert len(engine.step(10 * S)) == 1
    engine.renew(15 * S)
    assert len(engine.step(15 * S + 1)) == 1
    assert engine.stats()["missed"] == 4
    assert engine.deadline() == 16 * S
    assert engine.lateness().maximum == 4 * S + 1
