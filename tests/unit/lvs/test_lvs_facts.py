"""Servers, pools, quorum and reload, fact by fact (numbers: the reference of keepalived's checker behaviour).

All of it through the director with model servers and a model kernel, in virtual time.
"""

from dataclasses import replace
from typing import Any

import pytest

from fastha.checks.engine import Outcome
from fastha.checks.recipes import Verdict
from fastha.lvs.quorum import Pool, Server, clamp_weight
from fastha.model.net import Address
from fastha.model.plan import CheckerPlan, Checkers, Command, Forwarding, Method, VirtualServer
from fastha.model.table import Destination, DestinationKey, Entry, Operation, Service
from fastha.model.units import S
from tests.check_builders import OK, REFUSED, Lab, http, misc, plan, rs, tcp, told, vs

EXIT_12 = Outcome(Verdict.EXIT, status=12)
EXIT_1 = Outcome(Verdict.EXIT, status=1)


def down(lab: Lab, *lasts: int) -> None:
    for last in lasts:
        lab.state[f"10.0.1.{last}"] = REFUSED


def up(lab: Lab, *lasts: int) -> None:
    for last in lasts:
        lab.state[f"10.0.1.{last}"] = OK


def pool_of(**words: Any) -> Pool:
    return Pool(vs(**words))


def two(**words: Any) -> VirtualServer:
    return vs(rs(1, tcp(1)), rs(2, tcp(2)), **words)


# ------------------------------------------------------------------------------------- arithmetic


def test_3_2_weight_sent_is_clamped() -> None:
    assert clamp_weight(-5) == 0
    assert clamp_weight(2**40) == 2147483647
    assert clamp_weight(7) == 7


def test_3_2_effective_weight_is_configured_plus_what_scripts_add() -> None:
    pool = pool_of()
    server = Server(pool, rs(weight=10))
    server.wish(1, 15)
    server.wish(2, 8)
    assert server.effective_weight == 10 + 5 - 2
    server.wish(1, None)
    assert server.effective_weight == 8


def test_3_3_w_is_the_sum_over_alive_servers() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1), weight=3), rs(2, tcp(2), weight=4), rs(3, tcp(3), weight=5))))
    (pool,) = lab.director.pools.values()
    assert pool.alive_weight == 12
    down(lab, 2)
    lab.run(10)
    assert pool.alive_weight == 8


def test_3_4_and_3_5_gain_needs_quorum_plus_and_loss_quorum_minus_hysteresis() -> None:
    lab = Lab(plan(vs(*(rs(n, tcp(n)) for n in range(1, 6)), quorum=3, hysteresis=1)))
    (pool,) = lab.director.pools.values()
    assert pool.quorum_up
    down(lab, 1, 2, 3)
    assert "VS DOWN" not in told(lab.run(20)), "2 = quorum - hysteresis is enough"
    down(lab, 4)
    assert told(lab.run(20))[-1] == "VS DOWN"
    up(lab, 2, 3)
    assert "VS UP" not in told(lab.run(20)), "3 < quorum + hysteresis"
    up(lab, 4)
    assert told(lab.run(20))[-1] == "VS UP"


def test_3_5_weight_zero_is_a_loss_whatever_hysteresis_says() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1)), quorum=1, hysteresis=0)))
    down(lab, 1)
    assert told(lab.run(10)) == ["RS 10.0.1.1 DOWN", "VS DOWN"]


def test_3_7_a_server_is_up_when_none_of_its_checkers_is_down() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1), http(9, retry=0)), rs(2, tcp(2)), rs(3, tcp(3)))))
    lab.run(10)
    down(lab, 1)
    assert told(lab.run(10)) == ["RS 10.0.1.1 DOWN"]
    down(lab, 9)
    assert told(lab.run(10)) == [], "already down"
    up(lab, 1)
    assert told(lab.run(10)) == [], "one checker is still down"
    up(lab, 9)
    assert told(lab.run(20)) == ["RS 10.0.1.1 UP"]


def test_3_8_what_the_kernel_refuses_is_wanted_all_the_same() -> None:
    """keepalived leaves the checker as it was, so that the next run tries again; here the reconciler does."""
    lab = Lab(plan(two()))
    lab.kernel.table.clear()
    down(lab, 1)
    lab.run(10)
    assert lab.weights() == {"10.0.1.2": 1}


def test_3_9_while_the_sorry_server_serves_changes_do_not_touch_the_kernel() -> None:
    lab = Lab(plan(two(quorum=2, sorry_server=rs(99))))
    down(lab, 1)
    lab.run(10)
    assert lab.weights() == {"10.0.1.99": 1}
    writes = lab.kernel.writes
    down(lab, 2)
    assert told(lab.run(10)) == ["RS 10.0.1.2 DOWN"]
    assert lab.kernel.writes == writes


def test_3_10_loss_tells_the_server_first_then_the_virtual_server_and_servers_stay_alive() -> None:
    lab = Lab(plan(two(quorum=2, sorry_server=rs(99))))
    down(lab, 1)
    assert told(lab.run(10)) == ["RS 10.0.1.1 DOWN", "VS DOWN"]
    assert lab.weights() == {"10.0.1.99": 1}
    (pool,) = lab.director.pools.values()
    assert [server.alive for server in pool] == [False, True]


def test_3_10_without_sorry_server_the_pool_is_left_as_it_is() -> None:
    lab = Lab(plan(two(quorum=2)))
    down(lab, 1)
    lab.run(10)
    assert lab.weights() == {"10.0.1.2": 1}


def test_3_11_gain_takes_the_sorry_server_out_and_puts_every_alive_server_in() -> None:
    lab = Lab(plan(two(quorum=2, sorry_server=rs(99))))
    down(lab, 1)
    lab.run(10)
    up(lab, 1)
    assert told(lab.run(10)) == ["RS 10.0.1.1 UP", "VS UP"]
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}


@pytest.mark.parametrize("inhibit", [False, True])
def test_3_10_3_11_the_pool_is_never_empty_on_the_way(inhibit: bool) -> None:
    """keepalived empties it for a moment: a difference on purpose."""
    servers = (rs(n, tcp(n), inhibit_on_failure=inhibit) for n in (1, 2))
    lab = Lab(plan(vs(*servers, quorum=2, sorry_server=rs(99), sorry_server_inhibit=inhibit)))
    applied: list[Operation] = []
    apply = lab.kernel.apply

    def step_by_step(operations: list[Operation]) -> list[int]:
        errors = []
        for operation in operations:
            errors += apply([operation])
            applied.append(operation)
            assert any(lab.weights().values()), f"empty after {operation}"
        return errors

    lab.kernel.apply = step_by_step  # type: ignore[method-assign]
    down(lab, 1)
    lab.run(10)
    up(lab, 1)
    lab.run(10)
    assert applied
    assert lab.errors == []


def test_3_13_a_weight_change_is_one_edit() -> None:
    lab = Lab(plan(vs(rs(1, misc(dynamic=True), weight=5))))
    lab.run(2)
    writes = lab.kernel.writes
    lab.state["/bin/check"] = EXIT_12
    lab.run(10)
    assert lab.weights() == {"10.0.1.1": 10}
    assert lab.kernel.writes == writes + 1


def test_3_14_failed_never_goes_below_zero() -> None:
    pool = pool_of()
    server = Server(pool, rs(), alive=True)
    pool.add(server)
    pool.checker_changed(server, up=True, mail="")
    assert server.failed == 0


# ----------------------------------------------------------------- inhibit, sorry server, alpha, omega


def test_4_1_inhibit_sets_weight_zero_instead_of_deleting() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1), inhibit_on_failure=True, weight=4), rs(2, tcp(2)))))
    down(lab, 1)
    lab.run(10)
    assert lab.weights() == {"10.0.1.1": 0, "10.0.1.2": 1}
    up(lab, 1)
    lab.run(10)
    assert lab.weights() == {"10.0.1.1": 4, "10.0.1.2": 1}


def test_4_2_inhibited_servers_are_added_with_weight_zero_though_alpha_keeps_them_down() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1, alpha=True), inhibit_on_failure=True), rs(2, tcp(2, alpha=True)))))
    assert lab.weights() == {"10.0.1.1": 0}


def test_2_10_a_server_whose_alpha_script_cannot_be_run_is_down_until_another_check_finds_it_well() -> None:
    alone = replace(rs(1), checkers=Checkers(unproven=True))
    checked = rs(2, tcp(2, alpha=True))
    both = replace(checked, checkers=replace(checked.checkers, unproven=True))
    lab = Lab(plan(vs(alone, both)))
    assert lab.weights() == {}
    up(lab, 2)
    lab.run(10)
    assert lab.weights() == {"10.0.1.2": 1}
    lab.reload(plan(vs(rs(1), both)))
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}, "a reload without such a script"


def test_4_3_sorry_server_has_weight_one_and_no_part_in_w() -> None:
    lab = Lab(plan(two(sorry_server=rs(99, weight=50))))
    (pool,) = lab.director.pools.values()
    assert pool.alive_weight == 2
    down(lab, 1, 2)
    lab.run(10)
    assert lab.weights() == {"10.0.1.99": 1}


def test_4_3_sorry_server_inhibit_keeps_it_at_weight_zero() -> None:
    lab = Lab(plan(two(sorry_server=rs(99), sorry_server_inhibit=True)))
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1, "10.0.1.99": 0}
    down(lab, 1, 2)
    lab.run(10)
    assert lab.weights() == {"10.0.1.99": 1}


@pytest.mark.parametrize("inhibit", [False, True])
def test_4_3_a_sorry_server_that_is_a_real_server_appears_once(inhibit: bool) -> None:
    servers = (rs(n, tcp(n), inhibit_on_failure=inhibit) for n in (1, 2))
    lab = Lab(plan(vs(*servers, quorum=2, sorry_server=rs(1), sorry_server_inhibit=inhibit)))
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}
    down(lab, 2)
    lab.run(10)
    assert lab.weights() == ({"10.0.1.1": 1, "10.0.1.2": 0} if inhibit else {"10.0.1.1": 1})
    down(lab, 1)
    lab.run(10)
    assert lab.weights()["10.0.1.1"] == 1, "as sorry server it serves, whatever its checkers say"


def test_4_4_start_without_alpha_is_silent_but_for_quorum() -> None:
    lab = Lab(plan(two()))
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}
    assert told(lab.notices) == ["VS UP"]


def test_4_4_rs_init_notifies() -> None:
    lab = Lab(plan(two(), rs_init_notifies=True))
    assert told(lab.notices) == ["RS 10.0.1.1 UP", "RS 10.0.1.2 UP", "VS UP"]


def test_4_4_start_needs_quorum_plus_hysteresis() -> None:
    lab = Lab(plan(two(quorum=2, hysteresis=1)))
    (pool,) = lab.director.pools.values()
    assert not pool.quorum_up


def test_4_5_starting_with_quorum_is_announced() -> None:
    lab = Lab(plan(two(smtp_alert=True)))
    (notice,) = lab.notices
    assert notice.mail_body == "=> Starting with quorum up 1+0=1 <= 2 <="


def test_4_6_starting_without_quorum_is_announced_only_with_a_sorry_server() -> None:
    alpha = vs(rs(1, tcp(1, alpha=True)))
    assert Lab(plan(alpha)).notices == []
    lab = Lab(plan(vs(rs(1, tcp(1, alpha=True)), sorry_server=rs(99), smtp_alert=True)))
    (notice,) = lab.notices
    assert notice.state == "DOWN"
    assert notice.mail_body == "=> Starting with quorum down 1+0=1 <= 0 <="
    assert lab.weights() == {"10.0.1.99": 1}


def test_4_7_two_alpha_checkers_failing_first_tell_twice() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1, alpha=True), tcp(9, alpha=True)))))
    down(lab, 1, 9)
    assert told(lab.run(5)) == ["RS 10.0.1.1 DOWN", "RS 10.0.1.1 DOWN"]
    assert told(lab.run(50)) == []


def test_4_7_a_first_success_that_confirms_is_silent() -> None:
    lab = Lab(plan(two()))
    assert lab.run(60) == []


def test_4_9_stop_without_omega_tells_nobody() -> None:
    lab = Lab(plan(two()))
    assert lab.stop() == []
    assert lab.kernel.table == {}


def test_4_9_stop_with_omega_tells_servers_then_the_virtual_server() -> None:
    lab = Lab(plan(two(omega=True, smtp_alert=True)))
    down(lab, 1)
    lab.run(10)
    notices = lab.stop()
    assert told(notices) == ["RS 10.0.1.2 DOWN", "VS DOWN"]
    assert notices[-1].mail_body == "=> Shutting down <="


def test_4_9_omega_tells_quorum_down_even_if_it_was_lost() -> None:
    lab = Lab(plan(two(omega=True)))
    down(lab, 1, 2)
    lab.run(10)
    assert told(lab.stop()) == ["VS DOWN"]


@pytest.mark.parametrize("inhibit", [False, True])
def test_4_10_servers_replaced_by_the_sorry_server_are_not_told_of(inhibit: bool) -> None:
    servers = (rs(n, tcp(n), inhibit_on_failure=inhibit) for n in (1, 2))
    lab = Lab(plan(vs(*servers, quorum=2, sorry_server=rs(99), omega=True)))
    down(lab, 1)
    lab.run(10)
    expected = ["RS 10.0.1.2 DOWN", "VS DOWN"] if inhibit else ["VS DOWN"]
    assert told(lab.stop()) == expected, "an inhibited one is still in the kernel"


def test_4_12_what_a_reload_removes_is_told_whatever_omega_says() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1)), rs(2, tcp(2), smtp_alert=True)), vs(rs(3, tcp(3)), last=2)))
    notices = lab.reload(plan(vs(rs(1, tcp(1)))))
    assert told(notices) == ["RS 10.0.1.3 DOWN", "VS DOWN", "RS 10.0.1.2 DOWN"]
    assert notices[-1].mail_body == "=> Removing <="
    assert len(lab.kernel.table) == 1


# -------------------------------------------------------------------------------------- scheduling


def test_5_6_ha_suspend_freezes_the_state_while_the_address_is_not_here() -> None:
    address = Address("10.0.0.1")
    lab = Lab(plan(two(ha_suspend=True)))
    lab.run(60)
    assert lab.runs == []
    lab.director.local_addresses({address: 1}, lab.now)
    lab.settle()
    down(lab, 1)
    assert told(lab.run(20)) == ["RS 10.0.1.1 DOWN"]
    lab.director.local_addresses({}, lab.now)
    lab.settle()
    up(lab, 1)
    runs = len(lab.runs)
    assert lab.run(60) == []
    assert len(lab.runs) == runs


# --------------------------------------------------------------------------------------- notices


def test_9_2_and_9_5_names_and_subjects() -> None:
    lab = Lab(plan(two(smtp_alert=True, quorum=2), no_checker_emails=True))
    down(lab, 1)
    server, service = lab.run(10)
    assert server.name == "[10.0.1.1]:tcp:80 [10.0.0.1]:tcp:80"
    assert service.name == "[10.0.0.1]:tcp:80"
    assert service.mail_subject == "Virtualserver [10.0.0.1]:tcp:80 - DOWN"
    assert service.mail_body == "=> Lost quorum 2+0=2 <= 1 <="
    assert server.mail_subject == ""


def test_9_2_servers_of_a_mark_have_protocol_none() -> None:
    mark = VirtualServer(name="FWM 5", fwmark=5, protocol="NONE", real_servers=(rs(1, tcp(1), smtp_alert=True),))
    lab = Lab(plan(mark))
    down(lab, 1)
    server, _ = lab.run(10)
    assert server.name == "[10.0.1.1]:none:80 FWM 5"
    assert server.mail_subject == "Realserver [10.0.1.1]:none:80 of virtual server FWM 5 - DOWN"
    assert server.mail_body == "=> TCP CHECK failed on service <="


@pytest.mark.parametrize(("quiet", "second"), [(False, ["=> TCP CHECK failed on service <="]), (True, [])])
def test_9_8_every_checker_mails_unless_no_checker_emails(quiet: bool, second: list[str]) -> None:
    lab = Lab(plan(vs(rs(1, tcp(1), tcp(9), smtp_alert=True)), no_checker_emails=quiet))
    lab.run(3)
    down(lab, 1)
    assert lab.run(10)[0].mail_subject.endswith("- DOWN")
    down(lab, 9)
    notices = lab.run(10)
    assert [notice.mail_body for notice in notices] == second
    assert all(notice.state == "" for notice in notices), "the server was down already: no script, no FIFO line"


# ---------------------------------------------------------------------------------------- start


def service_with(*lasts: int, weight: int = 1) -> Entry:
    there = {DestinationKey(Address(f"10.0.1.{last}"), 80): Destination(weight=weight) for last in lasts}
    return Entry(Service(scheduler="rr"), there)


def test_start_leaves_alone_what_is_right_and_edits_what_is_not() -> None:
    """keepalived takes EEXIST as done and leaves old weights and schedulers (10.3): a difference on purpose."""
    config = plan(two(scheduler="wrr"))
    key = next(iter(Lab(config).director.pools))
    lab = Lab(config, kernel={key: service_with(1, weight=7)})
    assert lab.kernel.table[key].service.scheduler == "wrr"
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}
    assert lab.errors == []


@pytest.mark.parametrize("alpha", [False, True])
def test_a_start_after_a_crash_keeps_the_pool_as_it_was(alpha: bool) -> None:
    config = plan(vs(rs(1, tcp(1, alpha=alpha)), rs(2, tcp(2, alpha=alpha))))
    key = next(iter(Lab(config).director.pools))
    lab = Lab(config, kernel={key: service_with(2)}, ours={key})
    assert lab.weights() == {"10.0.1.2": 1}
    assert lab.kernel.writes == 0
    assert told(lab.run(10)) == ["RS 10.0.1.1 UP"]


def test_a_start_over_a_pool_of_other_servers_takes_them_all_as_up() -> None:
    """The configuration was changed while nobody ran: the pool must not be empty until the first results."""
    config = plan(two())
    key = next(iter(Lab(config).director.pools))
    lab = Lab(config, kernel={key: service_with(7, 8)}, ours={key})
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}


def test_a_start_over_an_empty_pool_takes_all_as_down() -> None:
    config = plan(two())
    key = next(iter(Lab(config).director.pools))
    lab = Lab(config, kernel={key: service_with()}, ours={key})
    assert lab.weights() == {}
    lab.run(3)
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}


def test_services_of_an_earlier_run_that_are_wanted_no_more_go() -> None:
    key = next(iter(Lab(plan(two())).director.pools))
    other = key._replace(port=81)
    foreign = key._replace(port=82)
    lab = Lab(plan(two()), kernel={other: service_with(7), foreign: service_with(8)}, ours={other})
    assert set(lab.kernel.table) == {key, foreign}


# --------------------------------------------------------------------------------------- reload


def test_11_1_identity_is_address_and_port_nothing_else() -> None:
    lab = Lab(plan(two()))
    lab.run(10)
    notices = lab.reload(plan(vs(rs(1, tcp(1)), rs(2, tcp(2), weight=3), name="other", scheduler="wlc", quorum=2)))
    assert notices == []
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 3}


def test_11_3_changed_service_attributes_are_one_edit() -> None:
    lab = Lab(plan(two()))
    writes = lab.kernel.writes
    lab.reload(plan(two(scheduler="wlc", persistence_timeout=300)))
    assert lab.kernel.writes == writes + 1


def test_11_4_unchanged_servers_get_no_command_at_all() -> None:
    lab = Lab(plan(two()))
    lab.run(10)
    writes = lab.kernel.writes
    lab.reload(plan(vs(rs(1, tcp(1)), rs(2, tcp(2)), rs(3, tcp(3)))))
    assert lab.kernel.writes == writes + 1
    lab.reload(plan(vs(rs(1, tcp(1)), rs(2, tcp(2), method=Method(forwarding=Forwarding.DR)), rs(3, tcp(3)))))
    assert lab.kernel.writes == writes + 2


def test_11_5_changed_thresholds_are_sent() -> None:
    """keepalived forgets to: a difference on purpose."""
    lab = Lab(plan(two()))
    lab.reload(plan(vs(rs(1, tcp(1)), rs(2, tcp(2), uthreshold=100))))
    (entry,) = lab.kernel.table.values()
    assert [there.uthreshold for there in entry.destinations.values()] == [0, 100]


def test_11_6_unchanged_checkers_keep_state_and_phase() -> None:
    """keepalived restarts all timers (5.1): a difference on purpose."""
    lab = Lab(plan(two()))
    down(lab, 1)
    lab.run(10)
    before = len(lab.runs)
    lab.reload(plan(vs(rs(1, tcp(1)), rs(2, tcp(2)), rs(3, tcp(3)))))
    lab.run(6)
    assert [run for run in lab.runs[before:] if run[1] != "10.0.1.3"] == [(13.0, "10.0.1.1"), (13.0, "10.0.1.2")]
    assert "10.0.1.1" not in lab.weights()


def test_11_6_other_timing_keeps_the_state() -> None:
    lab = Lab(plan(two()))
    down(lab, 1)
    lab.run(10)
    assert lab.reload(plan(vs(rs(1, tcp(1, delay_loop=2 * S)), rs(2, tcp(2))))) == []
    assert lab.weights() == {"10.0.1.2": 1}
    before = len(lab.runs)
    lab.run(6)
    assert sum(name == "10.0.1.1" for _, name in lab.runs[before:]) == 3


def test_11_6_the_weight_of_a_dynamic_script_survives() -> None:
    check = misc(dynamic=True)
    lab = Lab(plan(vs(rs(1, check, weight=5))))
    lab.state["/bin/check"] = EXIT_12
    lab.run(10)
    lab.reload(plan(vs(rs(1, check, weight=6))))
    assert lab.weights() == {"10.0.1.1": 10}


def test_11_7_removing_the_failing_checker_revives_the_server() -> None:
    lab = Lab(plan(vs(rs(1, tcp(1), tcp(9)), rs(2, tcp(2)))))
    down(lab, 9)
    lab.run(10)
    assert "10.0.1.1" not in lab.weights()
    assert told(lab.reload(plan(vs(rs(1, tcp(1)), rs(2, tcp(2)))))) == ["RS 10.0.1.1 UP"]
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}


def test_11_7_a_new_alpha_checker_beside_good_ones_does_not_take_the_server_down() -> None:
    lab = Lab(plan(two()))
    lab.run(10)
    assert lab.reload(plan(vs(rs(1, tcp(1), http(1, alpha=True)), rs(2, tcp(2))))) == []
    assert lab.weights() == {"10.0.1.1": 1, "10.0.1.2": 1}


def test_11_7_a_new_alpha_checker_on_a_server_that_fails_starts_down() -> None:
    lab = Lab(plan(two()))
    down(lab, 1)
    lab.run(10)
    lab.reload(plan(vs(rs(1, tcp(1), tcp(9, alpha=True)), rs(2, tcp(2)))))
    up(lab, 1)
    down(lab, 9)
    lab.run(20)
    assert "10.0.1.1" not in lab.weights()


def test_11_7_a_changed_inhibit_setting_fits_the_kernel_to_it() -> None:
    lab = Lab(plan(two()))
    down(lab, 1)
    lab.run(10)
    lab.reload(plan(vs(rs(1, tcp(1), inhibit_on_failure=True), rs(2, tcp(2)))))
    assert lab.weights() == {"10.0.1.1": 0, "10.0.1.2": 1}
    lab.reload(plan(two()))
    assert lab.weights() == {"10.0.1.2": 1}


def test_11_8_a_new_server_is_added_at_once_unless_alpha() -> None:
    lab = Lab(plan(two()))
    lab.reload(plan(vs(rs(1, tcp(1)), rs(2, tcp(2)), rs(3, tcp(3, retry=1)), rs(4, tcp(4, alpha=True)))))
    assert set(lab.weights()) == {"10.0.1.1", "10.0.1.2", "10.0.1.3"}
    down(lab, 3)
    lab.run(1.5)
    assert "10.0.1.3" in lab.weights(), "the first failure is retried"
    lab.run(2)
    assert set(lab.weights()) == {"10.0.1.1", "10.0.1.2", "10.0.1.4"}


def test_11_10_loss_through_removed_servers_is_told_once() -> None:
    """keepalived can tell it twice: a difference on purpose."""
    lab = Lab(plan(two(quorum=2)))
    lab.run(10)
    notices = lab.reload(plan(vs(rs(1, tcp(1)), quorum=2)))
    assert told(notices) == ["RS 10.0.1.2 DOWN", "VS DOWN"]


def test_11_2_a_sorry_server_that_a_reload_brings_into_use_is_announced_as_at_the_start() -> None:
    lab = Lab(plan(two()))
    down(lab, 1, 2)
    assert told(lab.run(10))[-1] == "VS DOWN"
    with_sorry = plan(two(sorry_server=rs(9)))
    (notice,) = lab.reload(with_sorry)
    assert (notice.kind, notice.state) == ("VS", "DOWN")
    assert "10.0.1.9" in lab.weights()
    assert lab.reload(plan(two(sorry_server=rs(9), scheduler="rr"))) == [], "it was in use already"


def test_4_12_a_removed_service_without_quorum_says_nothing_more_of_itself() -> None:
    lab = Lab(plan(two(), vs(rs(3), address=Address("10.0.0.2"))))
    down(lab, 1, 2)
    lab.run(10)
    assert lab.reload(plan(vs(rs(3), address=Address("10.0.0.2")))) == []


def test_11_11_another_sorry_server_takes_over_and_none_brings_the_servers_back() -> None:
    lab = Lab(plan(two(quorum=2, sorry_server=rs(99))))
    down(lab, 1)
    lab.run(10)
    lab.reload(plan(two(quorum=2, sorry_server=rs(98))))
    assert lab.weights() == {"10.0.1.98": 1}
    lab.reload(plan(two(quorum=2)))
    assert lab.weights() == {"10.0.1.2": 1}


def test_two_virtual_servers_of_one_identity_are_complained_about() -> None:
    lab = Lab(plan())
    lab.director.reload(plan(two(name="first"), two(name="second")), 0)
    effects = lab.director.take()
    assert len(lab.director.pools) == 1
    assert any("second" in text for _, text, _ in effects.lines)


def test_scripts_are_ordered_with_their_command() -> None:
    command = Command(argv=("/bin/true", "x"), uid=99)
    lab = Lab(plan(vs(rs(1, misc(command=command)))))
    (order,) = lab.scripts.values()
    assert order.command == command
    lab.state["/bin/true"] = EXIT_1
    assert told(lab.run(3)) == ["RS 10.0.1.1 DOWN", "VS DOWN"]


def lines_of(config: CheckerPlan, seconds: float, **states: Outcome) -> list[str]:
    """The log of a run in which servers (by last octet: `s1`) behave so from the start."""
    lab = Lab(config)
    lab.state.update({f"10.0.1.{name[1:]}": state for name, state in states.items()})
    lab.run(seconds)
    return lab.lines


def test_log_all_failures_shows_those_that_are_retried() -> None:
    loud, quiet = tcp(1, retry=2, log_all_failures=True), tcp(2, retry=2)
    lab = Lab(plan(vs(rs(1, loud), rs(2, quiet))))
    lab.run(3)
    down(lab, 1, 2)
    lab.run(10)
    assert [line for line in lab.lines if "10.0.1.1" in line] == [
        "warning [10.0.0.1]:tcp:80: [10.0.1.1]:tcp:80: TCP_CHECK fails, 1 retries left: connection refused",
        "warning [10.0.0.1]:tcp:80: [10.0.1.1]:tcp:80: TCP_CHECK fails, 0 retries left: connection refused",
        "warning [10.0.0.1]:tcp:80: [10.0.1.1]:tcp:80: TCP_CHECK is down: connection refused",
    ]
    assert sum("10.0.1.2" in line for line in lab.lines) == 1


def test_the_log_says_what_became_of_the_quorum() -> None:
    lines = lines_of(plan(two(sorry_server=rs(99), quorum=2)), 5, s1=REFUSED)
    assert lines[-1] == (
        "warning [10.0.0.1]:tcp:80: quorum lost: weight 1, quorum 2, hysteresis 0; the sorry server serves"
    )


def test_a_check_that_cannot_be_made_is_in_the_log() -> None:
    lines = lines_of(plan(two()), 5, s1=Outcome(Verdict.LOCAL, errno=99))
    assert lines == [
        "warning [10.0.0.1]:tcp:80: [10.0.1.1]:tcp:80: TCP_CHECK is as it was: not probed: no source address or port"
    ]
