"""`fastha dump`: what comes out, and that reading it again gives the same Plan."""

from pathlib import Path

import pytest

from fastha.cli.main import main
from fastha.config.schema.tables import entries
from tests.compat.test_config_verdicts import ALL, Probe
from tests.config_contexts import CONTEXTS, statement
from tests.config_dump import SCHEMA, assert_round_trip, data_of, dumped, violations
from tests.config_machine import GOOD_INSTANCE, Machine
from tests.corpus_files import PROGRAMS


def body(extra: str) -> list[str]:
    """The lines of a dump that a statement in an instance makes."""
    lines = dumped(GOOD_INSTANCE.format(extra)).splitlines()
    return [line.strip() for line in lines[6:-1]]


def test_a_dump_is_tidy() -> None:
    text = "vrrp_instance  V { interface eth0 virtual_router_id 7 }\n@other vrrp_instance W { }\n"
    assert dumped(text.replace(" { ", " {\n").replace("eth0 ", "eth0\n").replace(" }", "\n}")) == (
        "vrrp_instance V {\n    interface eth0\n    virtual_router_id 7\n}\n"
    )


@pytest.mark.parametrize(
    ("written", "dump"),
    [
        ("priority 007 # high", ["priority 7"]),
        ("priority 700", ["priority 100"]),
        ("priority 7\npriority 8", ["priority 8"]),
        ("priority x y", ["priority 100"]),
        ("advert_int 0001.50", ["advert_int 1.5"]),
        ("no_such_word", []),
        ("$P=7\npriority $P", ["priority 7"]),
        ("smtp_alert on", ["smtp_alert true"]),
        ("notify  '/bin/a   b'  root # x", ["notify  '/bin/a   b'  root"]),
        (r"notify /bin/a\#b", [r"notify /bin/a\#b"]),
        ('authentication { auth_pass "a b#" }', ["authentication {", 'auth_pass "a b#"', "}"]),
        (r"authentication { auth_pass a\#b }", ["authentication {", 'auth_pass "a#b"', "}"]),
        ("authentication { auth_pass 123456789 }", ["authentication {", "auth_pass 12345678", "}"]),
    ],
)  # fmt: skip
def test_statements(written: str, dump: list[str]) -> None:
    assert body(written) == dump


def test_what_a_word_needs_before_it_stays() -> None:
    service = "virtual_server 192.0.2.1 80 {\nprotocol TCP\n%s\nreal_server 192.0.2.2 80 {\n}\n}\n"
    for text in (
        "lvs_sched sh\nsh-port\nlvs_sched rr",
        "sorry_server 192.0.2.8 80\nsorry_server_inhibit\nsorry_server 192.0.2.9 80",
    ):
        assert_round_trip(service % text)


@pytest.mark.parametrize("probe", ALL, ids=[probe.name for probe in ALL])
def test_reading_a_dump_gives_the_same_plan(probe: Probe) -> None:
    machine = Machine()
    for path in PROGRAMS:
        machine.program(path)
    assert_round_trip(probe.text, machine)


def test_every_example_of_the_tables_survives() -> None:
    for block, word in entries():
        if word.example and block.path in CONTEXTS:
            assert_round_trip(statement(block.path, word.name, word.example))


def test_as_json() -> None:
    data = data_of(GOOD_INSTANCE.format("priority 7\nadvert_int 1.5\nnopreempt\nsmtp_alert off"))
    assert data == {
        "vrrp_instance": [
            {
                "arguments": ["VI_1"],
                "interface": "eth0",
                "virtual_router_id": 51,
                "virtual_ipaddress": ["192.0.2.10/24"],
                "priority": 7,
                "advert_int": 1.5,
                "nopreempt": True,
                "smtp_alert": False,
            }
        ]
    }


def test_the_schema_refuses_what_is_wrong() -> None:
    good = data_of(GOOD_INSTANCE.format("priority 7"))
    for name, value in (("priority", 700), ("priority", "7"), ("prioritty", 7), ("virtual_ipaddress", "x")):
        bad = {"vrrp_instance": [{**good["vrrp_instance"][0], name: value}]}
        assert len(list(violations(bad, SCHEMA))) == 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.conf"
    path.write_text("vrrp_instance V {\npriority  7\nno_such\n}\n")
    assert main(["dump", "-c", str(path)]) == 0
    said = capsys.readouterr()
    assert said.out == "vrrp_instance V {\n    priority 7\n}\n"
    assert "1 error" in said.err
    assert main(["dump", "-c", str(path), "--format", "json"]) == 0
    assert '"priority": 7' in capsys.readouterr().out
    assert main(["dump", "-c", f"{tmp_path}/nowhere"]) == 1
    assert "cannot read" in capsys.readouterr().err
