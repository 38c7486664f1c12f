"""A file for a network namespace that is not on this machine: keepalived reads nothing, and its test is good."""

from tests.config_machine import MAIN, Machine, errors, load, read

BAD = "net_namespace lab\nvrrp_instance V {\ninterface eth0\npriority 700\n}\n"


def test_what_is_found_is_noted_and_does_not_count() -> None:
    loaded = read(BAD)
    assert loaded.exit_code == 0
    assert errors(loaded) == []
    messages = [d.message for d in loaded.diagnostics]
    assert messages[0].startswith("there is no network namespace 'lab' here")
    assert any("700 is outside" in message for message in messages)


def test_it_counts_where_the_namespace_is() -> None:
    loaded = read(BAD, Machine(namespaces=frozenset({"lab"})))
    assert loaded.exit_code == 5


def test_the_command_line_decides_which_namespace_it_is() -> None:
    machine = Machine(files={MAIN: BAD.encode()}, namespaces=frozenset({"other"}))
    assert load(MAIN, machine, namespace="other").exit_code == 5
    assert load(MAIN, machine, namespace="nowhere").exit_code == 0


def test_a_lost_argument_does_not_count_either() -> None:
    assert read("net_namespace lab\nvrrp_instance V {\npriority\n}\n").exit_code == 0
