"""Which readings a reload takes, and which child gets what."""

from types import SimpleNamespace

import pytest

from fastha.config.diagnostics import Diagnostic, Severity
from fastha.model import codec
from fastha.model.net import Address
from fastha.model.plan import (
    CheckerPlan,
    Checkers,
    Command,
    Fifo,
    MiscCheck,
    Plan,
    PlaneChoice,
    RealServer,
    RunnerPlan,
    SupervisorPlan,
    VirtualServer,
    VrrpInstance,
    VrrpPlan,
)
from fastha.model.units import S
from fastha.process.configure import ConfigurationFile, unchangeable
from fastha.process.parts import parts_of
from tests.config_machine import Machine, read


def reading(*messages: str, plan: Plan | None = None, severity=Severity.ERROR):
    found = [Diagnostic(severity=severity, message=text, file="f", line=3, column=1) for text in messages]
    return SimpleNamespace(plan=plan, diagnostics=found, exit_code=0, notes_not_in_effect=[], canonical="")


def refusal(then, before=None):
    """What a reload says of the reading `then`, with `before` in force."""
    file = ConfigurationFile(lambda: then, lambda _level, _text: None)
    if before is not None:
        file.adopt(before)
    return file.refusal(then)


def test_a_good_file_is_taken_and_notes_do_not_count():
    assert refusal(reading(plan=Plan())) == ""
    assert refusal(reading("pending", plan=Plan(), severity=Severity.NOTE)) == ""


def test_new_errors_are_refused_and_old_ones_are_not():
    old = reading("unknown keyword 'x'")
    assert refusal(reading("unknown keyword 'x'", plan=Plan()), old) == ""
    assert refusal(reading("unknown keyword 'x'", "bad weight", "bad port", plan=Plan()), old) == (
        "f:3:1: bad weight (and 1 more)"
    )


def test_a_file_that_gives_no_plan_is_refused_whatever_it_says():
    assert refusal(reading("cannot read f"), reading("cannot read f")) == "f:3:1: cannot read f"
    assert refusal(reading()) != ""


def test_advice_stops_no_reload():
    config = """vrrp_sync_group G {
        group { VI_1 }
    }
    vrrp_instance VI_1 {
        interface eth0
        virtual_router_id 1
        virtual_ipaddress { 10.0.0.1 }
    }"""
    found = read(config)
    assert [each.message for each in found.diagnostics if each.advice], "a group of one is found"
    assert found.plan is not None
    assert refusal(found) == ""


def test_what_a_reload_does_not_follow():
    old = SupervisorPlan(instance="a")
    assert unchangeable(old, SupervisorPlan(instance="b", net_namespace="n")) == ["net_namespace", "instance"]
    assert unchangeable(old, SupervisorPlan(instance="a", child_wait_time=9 * S)) == []


VRRP = VrrpPlan(instances=(VrrpInstance(name="VI_1", interface="eth0", virtual_router_id=1),))
SERVICE = VirtualServer(name="v", address=Address("10.0.0.1"), port=80)
MISC = VirtualServer(
    name="v",
    real_servers=(
        RealServer(
            address=Address("10.0.0.2"),
            port=80,
            checkers=Checkers(misc=(MiscCheck(command=Command(argv=("/bin/true",)), timeout=S),)),
        ),
    ),
)
FIFO = RunnerPlan(fifos=(Fifo(path="/f", kinds=("VS",)),))


@pytest.mark.parametrize(
    ("plan", "children"),
    [
        (Plan(), set()),
        (Plan(runner=FIFO), set()),
        (Plan(vrrp=VRRP), {"vrrp"}),
        (Plan(vrrp=VRRP, runner=FIFO), {"vrrp", "runner"}),
        (Plan(checker=CheckerPlan(virtual_servers=(SERVICE,))), {"checker"}),
        (Plan(checker=CheckerPlan(virtual_servers=(MISC,))), {"checker", "runner"}),
    ],
)
def test_only_the_children_that_are_needed(plan, children):
    assert set(parts_of(plan, vrrp=True, checker=True, plane=None)) == children


def test_options_leave_children_out_and_override_the_plane():
    plan = Plan(
        supervisor=SupervisorPlan(script_limit=7),
        vrrp=VRRP,
        checker=CheckerPlan(virtual_servers=(SERVICE,)),
        runner=FIFO,
    )
    assert set(parts_of(plan, vrrp=False, checker=True, plane=None)) == {"checker", "runner"}
    assert set(parts_of(plan, vrrp=True, checker=False, plane=None)) == {"vrrp", "runner"}
    parts = parts_of(plan, vrrp=True, checker=True, plane=PlaneChoice.NFTABLES)
    assert codec.decode(CheckerPlan, parts["checker"]).lvs_plane is PlaneChoice.NFTABLES
    assert codec.decode(RunnerPlan, parts["runner"]).script_limit == 7


def test_a_finding_is_one_line_of_the_log():
    found = Diagnostic(severity=Severity.ERROR, message="no such word", file="f", line=3, column=1, source="wurd 1",
                       suggestion="do you mean 'word'?", included_from="g:1")  # fmt: skip
    assert found.log_line() == "f:3:1: no such word (included from g:1; do you mean 'word'?)"


ROUTER = "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n{}\n}}\n"
ADDRESS = "virtual_ipaddress {\n192.0.2.10/24\n}\n"
POOL = "virtual_server 192.0.2.10 80 {{\n{}\nreal_server 192.0.2.21 80 {{\n}}\n}}\n"


@pytest.mark.parametrize(
    "text",
    [
        ROUTER.format(ADDRESS + "notify /usr/bin/true"),
        ROUTER.format(""),
        ROUTER.format(ADDRESS + "linkbeat_use_polling"),
        ROUTER.format(ADDRESS + "virtual_rules {\nfrom 192.0.2.10 table 10\n}"),
        POOL.format("quorum 5"),
        POOL.format("lvs_sched rr"),
        POOL.format("protocol TCP\nlvs_sched rr\nlvs_method NAT\nvirtualhost a\nvirtualhost b"),
    ],
)
def test_what_counts_in_a_test_of_the_file_but_is_in_force_stops_no_reload(text: str) -> None:
    machine = Machine()
    machine.program("/usr/bin/true")
    loaded = read(text, machine)
    assert loaded.exit_code > 0
    assert refusal(loaded) == ""


@pytest.mark.parametrize("line", ["priority 300", "prioriti 100", "advert_int 0", "track_script {\nnosuch\n}"])
def test_what_was_written_and_does_not_count_does(line: str) -> None:
    assert refusal(read(ROUTER.format(ADDRESS + line))) != ""
