"""A brace that is missing, one too many, blocks that are unknown: the finding names the place and little else."""

import pytest

from tests.config_machine import GOOD_INSTANCE, errors, messages, read

OPEN_BLOCK = """\
vrrp_instance V {
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {
        192.0.2.1
}

vrrp_script check {
    script </dev/null
}
"""
LISTS = {
    "virtual_ipaddress": "192.0.2.1/24",
    "virtual_ipaddress_excluded": "192.0.2.2",
    "unicast_peer": "192.0.2.9",
    "track_interface": "eth1",
    "track_script": "chk",
    "track_file": "f",
    "track_process": "p",
    "virtual_routes": "198.51.100.0/24 via 192.0.2.254 dev eth0 no_track",
    "virtual_rules": "from 192.0.2.1 table 5 priority 100",
}
TRACKED = (
    "vrrp_script chk {\n script </dev/null\n}\ntrack_file f {\n file /tmp/f\n}\nvrrp_track_process p {\n process x\n}\n"
)


def instance(block: str) -> str:
    """`block` in an instance that has another address."""
    own = "" if "virtual_ipaddress {" in block else " virtual_ipaddress {\n  192.0.2.1/24\n }\n"
    return f"{TRACKED}vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n{own}{block}\n}}\n"


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("after", ["priority 90", "authentication {\n  auth_type PASS\n  auth_pass xx\n }"])
@pytest.mark.parametrize("indent", [" ", ""])
def test_a_list_left_open_is_named_and_nothing_else(name: str, after: str, indent: str) -> None:
    text = instance(f" {name} {{\n  {LISTS[name]}\n {after}")
    if not indent:
        text = "\n".join(line.strip() for line in text.split("\n"))
    loaded = read(text)
    at = text[: text.index(f"{name} {{")].count("\n") + 1
    found = next(d for d in loaded.diagnostics if d.severity == "error")
    assert (found.line, found.source.strip()) == (at, f"{name} {{")
    assert found.message == (
        f"'{name}' (line {at}) is left open: its '}}' is missing before '{after.split(' ', 1)[0]}' (line {at + 2})"
    )
    assert len(errors(loaded)) == 1, errors(loaded)
    assert loaded.exit_code == 5
    assert loaded.plan is not None
    assert loaded.plan.vrrp.instances[0].priority == (90 if after.startswith("priority") else 100)


def test_lists_outside_of_instances() -> None:
    for name, line in (("static_ipaddress", "192.0.2.1/24 dev eth0"), ("virtual_server_group g", "192.0.2.1 80")):
        loaded = read(f"{name} {{\n {line}\n" + GOOD_INSTANCE.format(""))
        assert f"'{name.split()[0]}' (line 1) is left open" in errors(loaded)[0]
        assert loaded.plan is not None
        assert len(loaded.plan.vrrp.instances) == 1


def test_blocks_of_words_too() -> None:
    loaded = read(instance(" authentication {\n  auth_type PASS\n  auth_pass xx\n priority 90"))
    assert errors(loaded) == [
        "16:2 'authentication' (line 16) is left open: its '}' is missing before 'priority' (line 19)"
    ]
    second = GOOD_INSTANCE.replace("VI_1", "VI_2").replace("51", "52").replace(".10/", ".11/").format("")
    loaded = read(GOOD_INSTANCE.format("").rstrip().removesuffix("}") + second)
    assert errors(loaded) == [
        "2:1 'vrrp_instance' (line 2) is left open: its '}' is missing before 'vrrp_instance' (line 10)"
    ]
    assert loaded.plan is not None
    assert [i.name for i in loaded.plan.vrrp.instances] == ["VI_1", "VI_2"]


def test_two_blocks_at_once() -> None:
    text = "vrrp_instance V {\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {\n  192.0.2.1\n"
    text += "vrrp_script c {\n}\n"
    assert [each.split(" is left")[0] for each in errors(read(text))[:2]] == [
        "1:1 'vrrp_instance' (line 1)",
        "4:2 'virtual_ipaddress' (line 4)",
    ]


def test_indentation_tells_which_block_it_was() -> None:
    assert errors(read(OPEN_BLOCK)) == [
        "4:5 'virtual_ipaddress' (line 4) is left open: the '}' of line 6 stands too far left for it; "
        "noticed before 'vrrp_script' (line 8)"
    ]


def test_and_at_the_end_of_the_file() -> None:
    (found,) = read(OPEN_BLOCK.partition("vrrp_script")[0]).diagnostics
    assert (found.line, found.column) == (1, 1)
    assert "is missing at the end" in found.message
    assert "'virtual_ipaddress' (line 4) is left open" in found.suggestion


def test_names_that_are_keywords_stay_names() -> None:
    """No brace is missing, so nothing is left open."""
    text = "vrrp_script priority {\n script </dev/null\n}\n" + GOOD_INSTANCE.format("track_script {\npriority\n}")
    assert read(text).diagnostics == []


def test_a_word_out_of_place_closes_nothing() -> None:
    """It stands further right than its block, so it is not the block that is wrong."""
    text = instance(" authentication {\n  priority 90\n  auth_type PASS\n  auth_pass xx\n }\n")
    assert "unknown keyword 'priority' in authentication" in messages(read(text.rstrip().removesuffix("}")))


def test_one_brace_too_many() -> None:
    (found, *_) = read(GOOD_INSTANCE.format("}") + "priority 100\n").diagnostics
    assert found.message == "this '}' closes nothing"
    loaded = read(GOOD_INSTANCE.format("}\npriority 100"))
    assert "a '}' too many before it?" in loaded.diagnostics[0].suggestion


def test_a_block_in_the_wrong_place_is_one_finding() -> None:
    loaded = read("real_server 192.0.2.2 80 {\n weight 1\n TCP_CHECK {\n  connect_timeout 3\n }\n}\n")
    (found,) = loaded.diagnostics
    assert found.message == "unknown keyword 'real_server' in the file; what is in its braces is passed over with it"
    assert found.suggestion == "'real_server' belongs into virtual_server"
    assert loaded.exit_code == 5


def test_a_block_inside_a_list_is_said_to_belong_elsewhere() -> None:
    loaded = read(instance(" virtual_ipaddress_excluded {\n  track_interface {\n   eth1\n  }\n }\n"))
    first = loaded.diagnostics[0]
    assert first.message == (
        "unknown keyword 'track_interface' in virtual_ipaddress_excluded; its contents are taken for those of "
        "virtual_ipaddress_excluded, and its '}' ends virtual_ipaddress_excluded"
    )
    assert first.suggestion == "'track_interface' belongs into vrrp_instance, vrrp_sync_group"


def test_only_blocks_are_named_as_places() -> None:
    (found,) = read("priority 5\nscript </dev/null\n").diagnostics[:1]
    assert found.suggestion == "'priority' belongs into vrrp_instance"
    assert read("script x\n").diagnostics[0].suggestion == "'script' belongs into vrrp_script"
