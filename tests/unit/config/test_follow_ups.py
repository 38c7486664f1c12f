"""One mistake is told once, with what was meant; what does not count is looked at too, and changes no verdict."""

import pytest

from fastha.config.diagnostics import Severity, closest
from tests.config_dump import dumped
from tests.config_machine import GOOD_INSTANCE, errors, messages, read

SERVICE = """virtual_server 192.0.2.10 80 {{
{}
lvs_method NAT
real_server {} {{
{}
}}
}}
"""
SCHEDULED = "protocol TCP\nlvs_sched rr"


@pytest.mark.parametrize(
    ("text", "only"),
    [
        (SERVICE.format("protocol tpc\nlvs_sched rr", "192.0.2.20 80", ""), "unknown protocol 'tpc'"),
        (SERVICE.format("protocol TCP\nlvs_sched best", "192.0.2.20 80", ""), "unknown scheduler 'best'"),
        (SERVICE.format(SCHEDULED, "192.0.2.20:80", ""), "'192.0.2.20:80' is not an IP address"),
    ],
)
def test_a_bad_word_has_no_second_finding_for_its_want(text: str, only: str) -> None:
    (error,) = errors(read(text))
    assert only in error


def test_a_skipped_block_is_judged_in_notes() -> None:
    server = SERVICE.format(SCHEDULED, "192.0.2.20:80", "weigt 5\nTCPCHECK {\n}")
    loaded = read(server + GOOD_INSTANCE.format(""))
    notes = [f"{d.line} {d.message}" for d in loaded.diagnostics if d.severity is Severity.NOTE]
    assert [note.split("'")[:2] for note in notes] == [
        ["6 unknown keyword ", "weigt"],
        ["7 unknown keyword ", "TCPCHECK"],
    ]
    assert len(errors(loaded)) == 1
    assert loaded.plan is not None
    assert loaded.plan.vrrp.instances


def test_a_second_instance_of_a_name_stops_nothing_with_its_fatal_words() -> None:
    text = GOOD_INSTANCE.format("")
    loaded = read(text + text.replace("virtual_router_id", "priority\nvirtual_router_id"))
    assert loaded.exit_code == 5
    assert "'priority'" in "".join(d.message for d in loaded.diagnostics if d.severity is Severity.NOTE)


@pytest.mark.parametrize(
    ("line", "suggestion"),
    [
        ("advert_int = 1", "write: advert_int 1"),
        ("advert_int=1", "write: advert_int 1"),
        ("authentication {\nauth_type PASSWORD\n}", "did you mean 'PASS'?"),
        ("virtual_ipaddress {\n10.0.0.2,10.0.0.3\n}", "each address needs a line of its own"),
        ("virtual_ipaddress {\n10.0.0.2 device eth1\n}", "did you mean 'dev'?"),
    ],
)
def test_what_was_meant(line: str, suggestion: str) -> None:
    found = read(GOOD_INSTANCE.format(line)).diagnostics
    assert suggestion in [d.suggestion for d in found]


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [("roundrobin", ("rr", "wrr"), "rr"), ("tpc", ("UDP", "TCP"), "TCP"), ("vip", ("rr", "dev"), "")],
)
def test_the_closest_word(word: str, known: tuple[str, ...], meant: str) -> None:
    assert closest(word, known) == (f"did you mean '{meant}'?" if meant else "")


def test_a_letter_in_an_address() -> None:
    found = errors(read(GOOD_INSTANCE.format("virtual_ipaddress {\n10.0.0.1O\n}")))
    assert any("did you mean 10.0.0.10?" in error for error in found)


def test_a_dump_leaves_out_words_of_a_line_that_do_not_count() -> None:
    text = dumped(GOOD_INSTANCE.format("virtual_ipaddress {\n10.0.0.2 device eth1 dev eth0\n}"))
    assert "10.0.0.2 dev eth0\n" in text
    assert dumped(text) == text


def test_a_group_has_an_end() -> None:
    lines = "\n".join(f"10.0.{octet}.0-255 80" for octet in range(256)) + "\n10.1.0.1 80\n10.1.0.2 80"
    group = f"virtual_server_group g {{\n{lines}\n}}\n"
    loaded = read(group + SERVICE.format(SCHEDULED, "192.0.2.20 80", "").replace("192.0.2.10 80", "group g"))
    assert loaded.plan is not None, messages(loaded)
    assert len(loaded.plan.checker.virtual_servers[0].entries) == 65_536
    assert next(error for error in errors(loaded) if "more than 65536 services" in error).startswith("258:")
