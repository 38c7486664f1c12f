"""Files that are something else: one finding that says so, with the exit code of all that is wrong."""

import pytest

from tests.config_machine import GOOD_INSTANCE, errors, read

JINJA = "vrrp_instance V {\n interface {{ iface }}\n virtual_router_id 5\n{% if x %}\n priority 5\n{% endif %}\n}\n"
ERB = "vrrp_instance V {\n interface eth0\n virtual_router_id <%= @id %>\n virtual_ipaddress {\n <%= @ip %>\n }\n}\n"
ENVIRONMENT = "vrrp_instance V {\n interface ${IFACE}\n virtual_router_id ${ID:-5}\n}\n"


@pytest.mark.parametrize(
    ("text", "said", "code"),
    [
        (JINJA, "2:12 this is a template that is not filled in", 2),
        (ERB, "3:20 this is a template that is not filled in", 5),
        (ENVIRONMENT, "2:12 nothing defines what stands in '${ }' here", 5),
        ('{\n "vrrp_instance": {\n  "interface": "eth0"\n }\n}\n', "1:1 this is JSON", 5),
        ("---\nvrrp_instance:\n  - name: V\n    interface: eth0\n", "1:1 this is YAML", 5),
        ("# comment\nvrrp_instance:\n  interface: eth0\n", "2:1 this is YAML", 5),
    ],
)
def test_one_finding_is_enough(text: str, said: str, code: int) -> None:
    loaded = read(text)
    assert len(loaded.diagnostics) == 1
    assert errors(loaded)[0].startswith(said)
    assert loaded.exit_code == code


@pytest.mark.parametrize(
    "text",
    [
        GOOD_INSTANCE.format("# {{ a comment }} <% of the template %>"),
        GOOD_INSTANCE.format('notify_master "</dev/null {{ quoted }} <% x %>"'),
        "global_defs {\n router_id <%x%>\n}\n",
        'global_defs {\n router_id "{{"\n}\n',
    ],
)
def test_what_is_read_without_an_error_is_a_configuration(text: str) -> None:
    assert errors(read(text)) == []


def test_other_mistakes_are_told_one_by_one() -> None:
    marks = GOOD_INSTANCE.format("# {{ x }}\nprioritty 5\nadvrt_int 1")
    assert len(errors(read(marks))) == 2
    assert len(errors(read("OS: Debian\n" + GOOD_INSTANCE.format("prioritty 5")))) == 2
    own = "$A=eth0\n" + GOOD_INSTANCE.format("debug ${B}\n")
    assert any("unknown keyword 'B'" in each for each in errors(read(own)))


def test_a_refused_template_says_so() -> None:
    loaded = read(ENVIRONMENT)
    assert loaded.plan is None
    assert loaded.refused == [loaded.diagnostics[0].message]


def test_pieces_of_a_shell_script() -> None:
    loaded = read("cat > /etc/keepalived/keepalived.conf <<'END_OF_FILE'\n" + GOOD_INSTANCE.format("") + "EOF\n")
    first, last = loaded.diagnostics
    assert first.suggestion.endswith("what stands between it and 'END_OF_FILE'")
    assert "end of a here-document" in last.suggestion
    assert loaded.plan is not None
