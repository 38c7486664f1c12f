"""Configurations as people write them: one change to a clean file, and the verdict that follows."""

import pytest

from tests.config_machine import Machine, errors, read

BASE = """global_defs {
    router_id LVS_1
}

vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {
        10.0.0.1/24
    }
}

virtual_server 10.0.0.1 80 {
    delay_loop 6
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.0.0.2 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
"""
CHECK = "TCP_CHECK {\n            connect_timeout 3\n        }"


def verdict(text: str | bytes) -> int:
    machine = Machine()
    for path in ("/usr/bin/killall", "/usr/bin/pgrep", "/etc/keepalived/check.sh"):
        machine.program(path)
    return read(text, machine).exit_code


REPLACED = [
    ("nothing", "", "", 0),
    ("windows line ends", "\n", "\r\n", 0),
    ("byte order mark", "global_defs {", "\ufeffglobal_defs {", 5),
    ("brace on the next line", "VI_1 {", "VI_1\n{", 0),
    ("brace of an inner block on the next line", "TCP_CHECK {", "TCP_CHECK\n{", 0),
    ("no blank before the brace", "VI_1 {", "VI_1{", 0),
    ("block on one line", CHECK, "TCP_CHECK { connect_timeout 3 }", 0),
    ("addresses on one line", " {\n        10.0.0.1/24\n    }", " { 10.0.0.1/24 }", 0),
    ("brace after a statement", "priority 100\n    advert_int 1\n", "priority 100\n", 0),
    ("words after a value", "priority 100", "priority 100 foo", 0),
    ("a second statement on the line", "priority 100\n    advert_int 1", "priority 100 advert_int 1", 0),
    ("semicolon", "priority 100", "priority 100;", 5),
    ("equals sign", "priority 100", "priority = 100", 5),
    ("colon", "priority 100", "priority: 100", 5),
    ("slash comment", "priority 100", "// priority 100", 5),
    ("glued #", "priority 100", "priority 100#high", 0),
    ("glued !", "priority 100", "priority 100!high", 0),
    ("# in a name", "LVS_1", "C#D", 0),
    ("quoted #", "LVS_1", '"C#D"', 0),
    ("quoted blank", "LVS_1", '"a b"', 0),
    ("quote not closed", "LVS_1", '"A', 5),
    ("single quotes", "LVS_1", "'A'", 0),
    ("no-break space before a word", "    priority", "\u00a0priority", 5),
    ("no-break space between words", "priority 100", "priority\u00a0100", 5),
    ("a name in another script", "VI_1", "实例", 0),
    ("a line in another script", "priority 100", "优先级", 5),
    ("a look-alike letter", "priority", "\u0440riority", 5),
    ("misspelt", "priority", "prioritty", 5),
    ("unknown block", "advert_int 1", "foobar {\n a 1\n}\nadvert_int 1", 5),
    ("capitals", "priority", "PRIORITY", 5),
    ("state SLAVE", "priority", "state SLAVE\n priority", 5),
    ("state master", "priority", "state master\n priority", 5),
    ("protocol tcp", "protocol TCP", "protocol tcp", 0),
    ("lb_kind nat", "lb_kind NAT", "lb_kind nat", 5),
    ("lb_kind FNAT", "lb_kind NAT", "lb_kind FNAT", 5),
    ("lb_algo RR", "lb_algo rr", "lb_algo RR", 5),
    ("no value", "priority 100", "priority", 2),
    ("priority 256", "priority 100", "priority 256", 5),
    ("hexadecimal vrid", "virtual_router_id 51", "virtual_router_id 0x33", 5),
    ("no interface", "    interface eth0\n", "", 5),
    ("interface with a comma", "interface eth0", "interface eth0,", 5),
    ("long interface", "interface eth0", "interface abcdefghijklmnopqrst", 5),
    ("no priority", "    priority 100\n", "", 0),
    ("no addresses", "        10.0.0.1/24\n    }", "    }", 5),
    ("two addresses on a line", "10.0.0.1/24", "10.0.0.1/24 10.0.0.3/24", 5),
    ("an address twice", "10.0.0.1/24", "10.0.0.1/24\n 10.0.0.1/24", 5),
    ("dotted mask", "10.0.0.1/24", "10.0.0.1/255.255.255.0", 5),
    ("instance without a name", "vrrp_instance VI_1", "vrrp_instance", 5),
    ("instance with a blank in its name", "VI_1", '"VI 1"', 0),
    ("address:port", "virtual_server 10.0.0.1 80", "virtual_server 10.0.0.1:80", 5),
    ("port by name", "virtual_server 10.0.0.1 80", "virtual_server 10.0.0.1 http", 5),
    ("no port", "virtual_server 10.0.0.1 80", "virtual_server 10.0.0.1", 5),
    ("no protocol", "    protocol TCP\n", "", 5),
    ("no checker", CHECK, "", 0),
    ("unknown checker", "TCP_CHECK", "TCP_CHEK", 5),
    ("nb_get_retry in TCP_CHECK", "connect_timeout 3", "nb_get_retry 3", 5),
    ("nat_mask", "protocol TCP", "nat_mask 255.255.255.0\n protocol TCP", 5),
    ("persistence_timeout 0", "protocol TCP", "persistence_timeout 0\n protocol TCP", 5),
    ("long password", "priority", "authentication {\nauth_type PASS\nauth_pass 123456789\n}\npriority", 5),
    ("password of 8", "priority", "authentication {\nauth_type PASS\nauth_pass 12345678\n}\npriority", 0),
    ("password with #", "priority", "authentication {\nauth_type PASS\nauth_pass a#b\n}\npriority", 0),
    ("auth_type MD5", "priority", "authentication {\nauth_type MD5\nauth_pass a\n}\npriority", 5),
    ("garp interval 0", "router_id", "vrrp_garp_interval 0\n vrrp_gna_interval 0\n router_id", 5),
    ("nopreempt with MASTER", "priority 100", "priority 100\nstate MASTER\nnopreempt", 5),
    ("unresolvable relay", "router_id", "smtp_server mail.example.invalid\n router_id", 5),
    ("empty recipients", "router_id", "notification_email {\n}\n router_id", 5),
    ("old sync daemon word", "priority", "lvs_sync_daemon_interface eth0\npriority", 5),
    ("old sync daemon word misspelt", "priority", "lvs_sync_daemon_inteface eth0\npriority", 5),
    ("own interface tracked", "priority", "track_interface {\neth0\n}\npriority", 5),
    ("unknown script tracked", "priority", "track_script {\nchk\n}\npriority", 5),
    ("undefined $VAR", "priority 100", "priority $PRIO", 5),
    ("undefined ${VAR}", "interface eth0", "interface ${IFACE}", 5),
    ("condition of another id", "priority 100", "@other priority 101", 0),
    ("unicast source alone", "priority", "unicast_src_ip 10.0.0.9\npriority", 5),
    ("placeholder peer", "priority", "unicast_peer {\n<peer>\n}\npriority", 5),
    ("script nobody tracks", "vrrp_instance", 'vrrp_script c {\nscript "killall -0 x"\n}\nvrrp_instance', 6),
    ("group without blank", "    real_server 10.0.0.2 80 {", "    real_server 10.0.0.2 80{", 0),
    ("quorum 0", "protocol TCP", "quorum 0\nprotocol TCP", 5),
    ("other port with DR", "lb_kind NAT", "lb_kind DR\n real_server 10.0.0.3 81 {\n}", 5),
    ("debug in an instance", "priority", "debug 4\npriority", 0),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), [row[1:] for row in REPLACED], ids=[row[0] for row in REPLACED])
def test_one_change(old: str, new: str, expected: int) -> None:
    assert not old or old in BASE
    text = BASE.replace(old, new, -1 if old == "\n" else 1)
    assert verdict(text) == expected, errors(read(text))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("text before", "cat /etc/keepalived/keepalived.conf\n" + BASE, 5),
        ("text after", BASE + "root@lvs1:~#\n", 5),
        ("markdown", "```\n" + BASE + "```\n", 5),
        ("line ends of the last century", BASE.replace("\n", "\r"), 5),
        ("form feed", BASE.replace("priority 100", "priority\f100"), 0),
        ("vertical tab", BASE.replace("priority 100", "priority\v100"), 0),
        ("two global_defs", "global_defs {\n router_id x\n}\n" + BASE, 0),
        ("the same service twice", BASE + BASE[BASE.index("virtual_server") :], 0),
        ("the same instance twice", BASE + BASE[BASE.index("vrrp_instance") : BASE.index("virtual_server")], 5),
        ("group inline", BASE + "vrrp_sync_group G { group { VI_1 } }", 5),
        ("one brace too many", BASE + "}\n", 5),
        ("one brace too few", BASE.rstrip()[:-1], 5),
        ("blanks in a definition", "$PRIO = 100\n" + BASE, 5),
        ("definition", "$PRIO=100\n" + BASE.replace("priority 100", "priority $PRIO"), 0),
        ("include of nothing", "include /nonexistent/*.conf\n" + BASE, 0),
        ("two scripts of one name", "vrrp_script c {\nscript </dev/null\n}\n" * 2 + BASE, 0),
    ],
)
def test_whole_files(name: str, text: str, expected: int) -> None:
    assert verdict(text) == expected, name


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("/etc/keepalived/check.sh", 6),
        ('"/etc/keepalived/check.sh"', 6),
        ("'/etc/keepalived/check.sh'", 6),
        ("/etc/keepalived/check.sh a b", 6),
        ('"killall -0 haproxy"', 6),
        ("killall -0 haproxy", 6),
        ('"pgrep x | grep y"', 6),
        ("/etc/keepalived/none.sh", 5),
        ("nonsuch -0 x", 5),
        ("</dev/tcp/127.0.0.1/443", 0),
    ],
)
def test_scripts_in_use(script: str, expected: int) -> None:
    tracked = BASE.replace("    priority", "    track_script {\n        c\n    }\n    priority")
    assert verdict(f"vrrp_script c {{\nscript {script}\n}}\n" + tracked) == expected


def test_latin_and_chinese_bytes_in_comments() -> None:
    assert verdict(b"# \xd6\xd0\xce\xc4 \xe9\n" + BASE.encode()) == 0


def test_a_nul_byte() -> None:
    assert verdict(BASE.replace("priority 100", "priority\0 100")) == 5
