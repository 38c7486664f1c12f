"""One checker's life, fact by fact (numbers: the reference of keepalived's checker behaviour)."""

import pytest

from fastha.checks.actions import Change
from fastha.checks.core import CheckCore, spread
from fastha.checks.life import make
from fastha.checks.recipes import Report, Verdict
from fastha.model.units import S
from tests.check_builders import Life, http, misc, tcp

NONE, UP, DOWN, FIRST_UP, FIRST_DOWN = Change.NONE, Change.UP, Change.DOWN, Change.FIRST_UP, Change.FIRST_DOWN


def test_2_9_first_failure_after_the_start_is_decisive() -> None:
    life = Life(tcp(retry=3))
    assert life.bad() == (DOWN, 6)


def test_2_9_alpha_starts_down_and_its_first_success_brings_it_up() -> None:
    life = Life(tcp(alpha=True))
    assert not life.checker.up
    assert life.ok() == (UP, 6)


def test_5_1_first_run_after_one_second_and_a_share_of_warmup() -> None:
    assert Life(tcp()).first == 1
    core = CheckCore()
    firsts = []
    for number in range(2000):
        _, (action,) = core.add(tcp(warmup=10 * S), f"server {number}", 0, fresh=True)
        firsts.append(action.order.first)
    assert min(firsts) >= S
    assert max(firsts) < 11 * S
    for tenth in range(10):
        share = sum(S * (1 + tenth) <= first < S * (2 + tenth) for first in firsts)
        assert 140 < share < 260, "spread evenly"


def test_5_1_the_share_depends_on_the_target_alone() -> None:
    assert spread("a", 10 * S) == spread("a", 10 * S)
    assert spread("a", 10 * S) != spread("b", 10 * S)
    assert spread("a", 0) == 0


def test_5_3_retry_n_means_n_plus_one_failures_in_a_row() -> None:
    life = Life(tcp(retry=2, delay_before_retry=S))
    assert life.ok() == (FIRST_UP, 6)
    assert [life.bad(), life.bad(), life.bad()] == [(NONE, 1), (NONE, 1), (DOWN, 6)]


def test_5_3_a_success_clears_the_count() -> None:
    life = Life(tcp(retry=1))
    life.ok()
    assert life.bad() == (NONE, 1)
    assert life.ok() == (NONE, 6)
    assert life.bad() == (NONE, 1)
    assert life.bad() == (DOWN, 6)


def test_5_3_a_failure_while_down_waits_delay_loop() -> None:
    life = Life(tcp(retry=1))
    life.bad()
    assert [life.bad() for _ in range(3)] == [(NONE, 6)] * 3
    assert life.ok() == (UP, 6)


def test_5_4_a_failure_while_down_and_not_yet_run_does_not_count() -> None:
    life = Life(tcp(retry=1, alpha=True), fresh=False)
    assert [life.bad() for _ in range(3)] == [(NONE, 6)] * 3
    assert not life.checker.has_run
    assert life.ok() == (UP, 6)


def test_5_5_what_we_could_not_probe_is_nobodys_failure() -> None:
    life = Life(tcp(retry=1))
    life.ok()
    life.bad()
    assert life.bad(Verdict.LOCAL) == (NONE, 6)
    assert life.checker.up
    assert life.checker.retries == 1
    fresh = Life(tcp())
    fresh.bad(Verdict.LOCAL)
    assert not fresh.checker.has_run


def test_delays_count_from_the_end_of_a_network_check() -> None:
    life = Life(tcp(retry=1))
    life.ok()
    assert life.bad(Verdict.TIMEOUT, took=5 * S) == (NONE, 1)


def test_boring_results_need_no_python() -> None:
    life = Life(tcp())
    assert not life.standing, "the first result is always reported"
    life.ok()
    assert life.standing
    life.bad()
    assert not life.standing, "both outcomes of a retry matter"
    life.bad()
    assert life.standing, "down: failures change nothing"


def test_6_5_one_url_per_run_and_up_when_the_last_has_passed() -> None:
    life = Life(http(urls=("/a", "/b", "/c"), alpha=True))
    assert [life.ok(), life.ok(), life.ok()] == [(NONE, 6), (NONE, 6), (UP, 6)]


def test_6_5_fast_recovery_takes_the_pauses_out() -> None:
    life = Life(http(urls=("/a", "/b", "/c"), alpha=True, fast_recovery=True))
    assert [life.ok(), life.ok(), life.ok()] == [(NONE, 0), (NONE, 0), (UP, 6)]
    assert life.ok() == (NONE, 6), "only until the cycle completes"


def test_6_5_urls_go_round() -> None:
    life = Life(http(urls=("/a", "/b")))
    paths = []
    for _ in range(4):
        paths.append(life.recipe.request.split()[1])
        life.ok()
    assert paths == [b"/a", b"/b", b"/a", b"/b"]


def test_6_13_delays_while_up_and_once_down() -> None:
    life = Life(http(urls=("/a", "/b"), retry=1, delay_before_retry=2 * S))
    life.ok()
    life.ok()
    assert life.bad(Verdict.STATUS) == (NONE, 2)
    assert life.bad(Verdict.STATUS) == (DOWN, 6)
    slow = Life(http(retry=0, delay_before_retry=9 * S))
    slow.ok()
    assert slow.bad() == (DOWN, 9)


def test_6_14_while_down_only_the_failed_url_then_the_whole_pass() -> None:
    life = Life(http(urls=("/a", "/b"), retry=0))
    life.ok()
    life.ok()
    life.ok()
    assert life.recipe.request.startswith(b"GET /b ")
    assert life.bad() == (DOWN, 6)
    for _ in range(2):
        assert life.recipe.request.startswith(b"GET /b ")
        assert life.bad() == (NONE, 6)
    assert life.ok() == (NONE, 6)
    assert life.recipe.request.startswith(b"GET /a ")
    assert life.ok() == (NONE, 6)
    assert life.recipe.request.startswith(b"GET /b ")
    assert life.ok() == (UP, 6)


def test_6_14_one_url_needs_two_successes_to_come_back() -> None:
    life = Life(http(retry=0))
    life.ok()
    assert life.bad() == (DOWN, 6)
    assert [life.ok(), life.ok()] == [(NONE, 6), (UP, 6)]


def test_6_14_a_failure_in_the_pass_retries_the_same_url_after_delay_before_retry() -> None:
    life = Life(http(urls=("/a", "/b"), retry=0))
    life.ok()
    life.ok()
    life.bad()
    life.ok()
    life.ok()
    assert life.recipe.request.startswith(b"GET /b ")
    assert [life.bad(), life.bad()] == [(NONE, 3), (NONE, 3)]
    assert life.ok() == (UP, 6)


def test_6_14_fast_recovery_does_not_spin_while_the_pass_fails() -> None:
    """keepalived does: a difference on purpose."""
    life = Life(http(urls=("/a", "/b"), retry=0, fast_recovery=True, delay_before_retry=0))
    life.ok()
    life.ok()
    life.bad()
    assert life.ok() == (NONE, 0)
    assert life.bad() == (NONE, 6)


def test_6_15_before_the_first_pass_one_failure_of_any_url_is_decisive() -> None:
    life = Life(http(urls=("/a", "/b"), retry=3))
    assert life.ok() == (NONE, 6)
    assert life.bad() == (DOWN, 6)
    assert life.checker.has_run


def test_4_7_first_results_that_confirm() -> None:
    assert Life(tcp()).ok()[0] == FIRST_UP
    assert Life(tcp(alpha=True)).bad()[0] == FIRST_DOWN
    assert Life(misc(alpha=True)).bad(Verdict.EXIT, status=1)[0] == FIRST_DOWN
    assert Life(http(alpha=True)).bad()[0] == NONE, "HTTP_GET tells nobody"


def test_8_2_without_dynamic_any_code_but_0_is_a_failure() -> None:
    assert Life(misc()).bad(Verdict.EXIT, status=2)[0] == DOWN


def test_8_2_dynamic_codes_are_weights() -> None:
    life = Life(misc(dynamic=True))
    assert life.bad(Verdict.EXIT, status=12)[0] == FIRST_UP
    assert life.weights == [10]
    life.bad(Verdict.EXIT, status=2)
    assert life.weights == [10, 0]
    life.ok()
    assert life.weights == [10, 0, None], "exit 0: the configured weight"
    life.bad(Verdict.EXIT, status=255)
    assert life.weights[-1] == 253
    assert life.order.expect_status == 255
    assert life.bad(Verdict.EXIT, status=1)[0] == DOWN


def test_8_3_the_next_start_counts_from_the_last_start() -> None:
    life = Life(misc(retry=1, delay_before_retry=2 * S))
    assert life.ok(took=S) == (FIRST_UP, 5)
    assert life.bad(Verdict.EXIT, status=1, took=S) == (NONE, 1)
    assert life.bad(Verdict.EXIT, status=1, took=9 * S) == (DOWN, 0), "already past: at once"


def test_8_4_a_timeout_and_a_signal_follow_the_same_rule() -> None:
    life = Life(misc(retry=1, dynamic=True))
    life.ok()
    assert life.bad(Verdict.TIMEOUT)[0] == NONE
    assert life.bad(Verdict.EXIT, status=256 + 9)[0] == DOWN


@pytest.mark.parametrize("verdict", [Verdict.EXIT, Verdict.TIMEOUT])
def test_8_5_a_final_failure_takes_the_weight_away(verdict: Verdict) -> None:
    """keepalived forgets to after a signal or timeout: a difference on purpose."""
    life = Life(misc(dynamic=True, retry=1))
    life.bad(Verdict.EXIT, status=7)
    life.bad(verdict, status=1)
    assert life.weights == [5], "not while it is retried"
    life.bad(verdict, status=1)
    assert life.weights == [5, None]


def test_9_6_mail_bodies() -> None:
    cases = [
        (tcp(), "=> TCP CHECK failed on service <=", "=> TCP CHECK succeed on service <="),
        (misc(), "=> MISC CHECK failed on service <=", "=> MISC CHECK succeeded on service <="),
        (http(retry=0), "=> CHECK failed on service : HTTP/SSL request failed <=", "=> CHECK succeed on service <="),
    ]
    for check, failed, succeeded in cases:
        life = Life(check)
        life.bad(Verdict.EXIT, status=1)
        while not life.checker.up:
            life.ok()
        assert [change.mail for change in life.changes] == [failed, succeeded]
    life = Life(misc())
    life.bad(Verdict.TIMEOUT)
    assert life.changes[0].mail == "=> MISC CHECK timed out on service <="


def test_9_8_only_misc_mails_a_first_result_that_confirms() -> None:
    for check, mail in [(tcp(), ""), (http(), ""), (misc(), "=> MISC CHECK succeeded on service <=")]:
        life = Life(check)
        life.ok()
        assert life.changes[0].mail == mail


def test_11_6_a_new_checker_takes_the_state_of_an_equal_one() -> None:
    old = make(0, tcp(retry=5), up=True, fresh=False, since=7)
    old.has_run, old.retries = True, 4
    new = make(1, tcp(retry=2), up=True, fresh=False, since=9)
    new.adopt(old)
    assert (new.up, new.has_run, new.retries, new.since) == (True, True, 2, 7)
    old.up = False
    new.adopt(old)
    assert (new.up, new.retries) == (False, 3)


def test_11_8_after_a_reload_full_retries_are_needed() -> None:
    life = Life(tcp(retry=1), fresh=False)
    assert [life.bad()[0], life.bad()[0]] == [NONE, DOWN]


def test_reports_for_an_order_no_longer_in_force_are_ignored() -> None:
    life = Life(tcp())
    generation = life.order.order.generation
    life.ok()
    stale = Report(life.target, generation, Verdict.REFUSED, 111, 0, 0, 0)
    assert life.core.handle(stale, life.now) == []
    assert life.checker.up
    assert life.core.stale == 1


def test_a_number_used_again_does_not_take_its_predecessors_reports() -> None:
    core = CheckCore()
    target, (action,) = core.add(tcp(1), "one", 0, fresh=True)
    core.remove(target)
    again, (other,) = core.add(tcp(2), "two", 0, fresh=True)
    assert again == target
    assert other.order.generation != action.order.generation
    assert core.handle(Report(target, action.order.generation, Verdict.REFUSED, 111, 0, 0, 0), 0) == []


def test_suspended_checkers_keep_their_state() -> None:
    life = Life(tcp())
    life.bad()
    life.core.suspend(life.target)
    assert life.core.renew(life.target, 0, 0) == []
    assert life.core.resume(life.target, "one", life.now)
    assert not life.checker.up
