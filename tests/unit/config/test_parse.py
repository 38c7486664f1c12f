"""The parser: blocks, unknown words, braces that do not match, repeated words, where a finding is."""

import pytest

from fastha.config.diagnostics import render_text
from fastha.config.findings import render_json
from tests.config_machine import GOOD_INSTANCE, MAIN, errors, instance, messages, read, service

CLEAN = GOOD_INSTANCE.format("")


def test_a_good_file_has_no_findings() -> None:
    loaded = read(CLEAN)
    assert loaded.diagnostics == []
    assert loaded.exit_code == 0
    assert loaded.plan is not None
    assert [i.name for i in loaded.plan.vrrp.instances] == ["VI_1"]


@pytest.mark.parametrize(
    "text",
    ["", "\n# nothing\n! here\n", "global_defs\n{\nrouter_id x\n}\n", "global_defs { router_id x }", "global_defs {}"],
)
def test_files_without_findings(text: str) -> None:
    assert read(text).exit_code == 0


def test_statements_may_share_a_line() -> None:
    text = "vrrp_instance V{ interface eth0\nvirtual_router_id 7 } "
    assert "virtual_ipaddress" in messages(read(text))
    plan = read("vrrp_instance V { interface eth0\n virtual_router_id 7\n virtual_ipaddress { 192.0.2.1 } }").plan
    assert plan is not None
    assert plan.vrrp.instances[0].addresses[0].prefixlen == 32


def test_a_misspelt_word_is_found_with_line_column_and_suggestion() -> None:
    loaded = instance("    prioritty 100")
    (finding,) = loaded.diagnostics
    assert (finding.line, finding.column, finding.width) == (8, 5, 9)
    assert finding.suggestion == "did you mean 'priority'?"
    assert finding.text().splitlines()[1:3] == ["        prioritty 100", "        ^~~~~~~~~"]
    assert loaded.exit_code == 5


def test_a_word_of_another_block_is_told_where_it_belongs() -> None:
    loaded = read("real_server 192.0.2.1 80 {\n}\n")
    assert "belongs into virtual_server" in loaded.diagnostics[0].suggestion


def test_case_matters_and_is_said() -> None:
    assert "case matters" in instance("PRIORITY 100").diagnostics[0].suggestion


def test_the_end_of_an_unknown_block_ends_the_enclosing_one() -> None:
    loaded = instance("foobar {\n a 1\n}\nadvert_int 1")
    assert [message.split(" ", 1)[1][:34] for message in errors(loaded)] == [
        "unknown keyword 'foobar' in vrrp_i",
        "unknown keyword 'a' in vrrp_instan",
        "unknown keyword 'advert_int' in th",
        "this '}' closes nothing",
    ]


def test_a_missing_brace_is_said_with_the_block_that_lacks_it() -> None:
    loaded = read(CLEAN.rstrip().removesuffix("}"))
    assert errors(loaded) == ["2:1 the '}' of 'vrrp_instance' is missing at the end of the file"]


def test_one_brace_too_many() -> None:
    assert errors(read(CLEAN + "}\n" + CLEAN.replace("VI_1", "VI_2").replace("51", "52"))) == [
        "10:1 this '}' closes nothing"
    ]


def test_a_missing_value_is_exit_2_and_the_rest_is_read_all_the_same() -> None:
    loaded = instance("priority\nadvrt_int 1")
    assert loaded.exit_code == 2
    assert len(errors(loaded)) == 2


def test_what_is_given_twice() -> None:
    plan = instance("priority 100\npriority 120").plan
    assert plan is not None
    assert plan.vrrp.instances[0].priority == 120
    assert "second time" in messages(instance("notify /bin/a\nnotify /bin/b"))
    loaded = read(CLEAN + CLEAN)
    assert "already defined" in messages(loaded)
    assert loaded.plan is not None
    assert len(loaded.plan.vrrp.instances) == 1


def test_what_one_block_says_does_not_leak_into_the_next() -> None:
    second = CLEAN.replace("VI_1", "VI_2").replace("51", "52").replace(".10/", ".11/")
    before, after = (text.rstrip().removesuffix("}") for text in (CLEAN, second))
    loaded = read(f"{before}state BACKUP\npriority 90\n}}\n{after}state MASTER\nstate BACKUP\npriority 91\n}}\n")
    assert "was MASTER before" in messages(loaded)
    assert loaded.plan is not None
    assert [(i.initial_master, i.priority) for i in loaded.plan.vrrp.instances] == [(False, 90), (True, 91)]


def test_global_defs_merge() -> None:
    plan = read("global_defs { router_id a\n lvs_flush }\nglobal_defs { router_id b }").plan
    assert plan is not None
    assert (plan.supervisor.router_id, plan.checker.lvs_flush) == ("b", True)


def test_a_block_of_a_bad_header_is_not_read() -> None:
    loaded = read("virtual_server 192.0.2.300 80 {\n foo\n real_server { }\n}\n" + CLEAN)
    assert len(errors(loaded)) == 1


def test_flags_depend_on_what_stands_before_them() -> None:
    assert "needs 'lvs_sched sh'" in messages(service("sh-port\nlvs_sched sh"))
    good = service("lvs_sched sh\nsh-port\nsh-fallback")
    assert good.exit_code == 0
    assert good.plan is not None
    assert good.plan.checker.virtual_servers[0].flags == 0x18
    assert "needs 'sorry_server'" in messages(service("sorry_server_inhibit\nsorry_server 192.0.2.99"))


def test_a_finding_in_an_expansion_points_at_the_line_that_uses_it() -> None:
    loaded = read("$BAD=prioritty\n" + CLEAN.rstrip().removesuffix("}") + "  $BAD 7\n}\n")
    assert errors(loaded)[0].startswith("10:3")


def test_findings_in_an_included_file_name_it() -> None:
    from tests.config_machine import Machine

    loaded = read("include x.conf", Machine(files={"/etc/keepalived/x.conf": b"\nfoo\n"}))
    (finding,) = loaded.diagnostics
    assert finding.where == "/etc/keepalived/x.conf:2:1"
    assert finding.included_from == "/etc/keepalived/keepalived.conf:1"
    assert "included from /etc/keepalived/keepalived.conf:1" in finding.text()


def test_findings_as_text_and_json() -> None:
    import json

    loaded = instance("\tpriority 0")
    assert "8:11: error: 0 is outside 1..255; 100 is used" in render_text(loaded.diagnostics)
    (finding,) = json.loads(render_json(MAIN, loaded.exit_code, loaded.diagnostics))["findings"]
    assert (finding["line"], finding["column"], finding["severity"]) == (8, 11, "error")


def test_words_not_yet_in_effect_are_said_once_and_do_not_fail() -> None:
    loaded = instance("", before="global_defs {\nenable_traps\nenable_traps\nenable_snmp_vrrp\n}\n")
    assert loaded.exit_code == 0
    assert [d.severity for d in loaded.diagnostics] == ["note", "note"]
    assert [note.split("'")[1] for note in loaded.notes_not_in_effect] == ["enable_traps", "enable_snmp_vrrp"]


def test_of_a_block_not_yet_in_effect_only_the_block_is_said() -> None:
    loaded = service("", "BFD_CHECK {\nname one\nalpha\n}\nBFD_CHECK {\nname two\n}")
    assert [note.split("'")[1] for note in loaded.notes_not_in_effect] == ["BFD_CHECK"]


def test_the_caret_of_a_loopback_interface() -> None:
    loaded = read(CLEAN.replace("eth0", "lo"))
    assert errors(loaded) == ["3:15 VI_1: lo is the loopback interface, which has no neighbours"]


def test_a_missing_main_file_is_named() -> None:
    from fastha.config.load import load
    from tests.config_machine import Machine

    loaded = load("/nowhere/x.conf", Machine())
    assert loaded.plan is None
    assert loaded.exit_code == 4
    assert loaded.refused == ["/nowhere/x.conf: cannot be read: No such file or directory"]
    (found,) = loaded.diagnostics
    assert (found.file, found.line, found.column) == ("/nowhere/x.conf", 0, 0)


def test_a_block_that_goes_with_its_bad_argument_is_said_to_go() -> None:
    loaded = read("virtual_server 192.0.2.1 99999 {\n protocol TCP\n}\n")
    assert "99999 is outside 0..65535; the whole block is ignored" in messages(loaded)
    assert loaded.plan is not None
    assert not loaded.plan.checker.virtual_servers
