"""Which program runs, as whom, and what script security refuses."""

import pytest

from fastha.config.host import User
from fastha.model.plan import Command, MailTls
from tests.config_machine import GOOD_INSTANCE, Machine, instance, messages, read

SECURE = "global_defs {\nenable_script_security\nscript_user root\n}\n"


def machine() -> Machine:
    made = Machine()
    made.program("/usr/bin/check")
    made.program("/opt/text.sh", b"echo\n")
    made.program("/opt/shebang.sh", b"#!/bin/sh\n")
    made.program("/opt/mine", uid=99)
    made.program("/opt/group", mode=0o100775, gid=4)
    made.files["/opt/data"] = b"x"
    return made


def notified(line: str, before: str = "", host: Machine | None = None) -> Command | None:
    loaded = instance(f"notify_master {line}", before=before, machine=host or machine())
    assert loaded.plan is not None
    notifies = loaded.plan.runner.notifies
    return notifies[0].commands["MASTER"] if notifies else None


@pytest.mark.parametrize(
    ("line", "argv", "shell"),
    [
        ("/usr/bin/check", ("/usr/bin/check",), False),
        ("\"/usr/bin/check a 'b c'\"", ("/usr/bin/check", "a", "b c"), False),
        ("'/usr/bin/check a'", ("/usr/bin/check", "a"), False),
        ("check", ("/usr/bin/check",), False),
        ("/opt/text.sh", ("/opt/text.sh",), True),
        ("/opt/shebang.sh", ("/opt/shebang.sh",), False),
        ('"</dev/tcp/127.0.0.1/80"', ("</dev/tcp/127.0.0.1/80",), True),
    ],
)
def test_commands(line: str, argv: tuple[str, ...], shell: bool) -> None:
    command = notified(line)
    assert command is not None
    assert (command.argv, command.shell, command.uid) == (argv, shell, 0)


@pytest.mark.parametrize(("line", "code"), [("/opt/nothing", 0), ("nothing", 0), ("/opt/data", 6), ("/opt", 6)])
def test_what_cannot_be_run_is_left_out_with_a_remark(line: str, code: int) -> None:
    """What is there counts as a script that is run, without script security: so keepalived."""
    loaded = instance(f"notify_master {line}", machine=machine())
    assert loaded.exit_code == code
    assert any("is not run" in finding.message for finding in loaded.diagnostics)
    assert notified(line) is None


def test_the_account_of_one_script() -> None:
    command = notified("/usr/bin/check nobody")
    assert command is not None
    assert (command.uid, command.gid, command.groups) == (99, 99, None)
    command = notified("/usr/bin/check nobody adm")
    assert command is not None
    assert (command.uid, command.gid) == (99, 4)


def test_a_colon_adds_the_supplementary_groups() -> None:
    host = machine()
    host.users["nobody"] = User("nobody", 99, 99, (99, 4))
    command = notified("/usr/bin/check nobody :adm", host=host)
    assert command is not None
    assert (command.gid, command.groups) == (4, (99, 4))


def test_an_unquoted_argument_is_taken_for_a_user_and_that_is_said() -> None:
    loaded = instance("notify_master /usr/bin/check master", machine=machine())
    assert loaded.exit_code == 0
    assert "no user 'master'" in loaded.diagnostics[0].message
    assert "quote a command" in loaded.diagnostics[0].suggestion


def test_scripts_without_script_security_are_exit_6_once() -> None:
    loaded = instance("notify_master /usr/bin/check\nnotify_backup /usr/bin/check", machine=machine())
    assert loaded.exit_code == 6
    assert len(loaded.diagnostics) == 1
    assert instance("notify_master /usr/bin/check", before=SECURE, machine=machine()).exit_code == 0
    assert instance("notify_master /opt/nothing", machine=machine()).exit_code == 0


def test_script_security_needs_an_account() -> None:
    before = "global_defs {\nenable_script_security\n}\n"
    loaded = instance("notify_master /usr/bin/check", before=before, machine=machine())
    assert "needs script_user" in messages(loaded)
    host = machine()
    host.users["keepalived_script"] = User("keepalived_script", 77, 77)
    command = notified("/usr/bin/check", before, host)
    assert command is not None
    assert command.uid == 77


@pytest.mark.parametrize("path", ["/opt/mine", "/opt/group"])
def test_root_does_not_run_what_others_can_change(path: str) -> None:
    assert notified(path, SECURE) is None
    assert notified(path) is not None
    assert notified(f"{path} nobody", SECURE) is not None


def test_a_directory_others_can_write_is_as_bad() -> None:
    host = machine()
    host.modes["/usr/bin"] = (0o040777, 0, 0)
    assert notified("/usr/bin/check", SECURE, host) is None
    host.modes["/usr/bin"] = (0o041777, 0, 0)
    assert notified("/usr/bin/check", SECURE, host) is not None


def test_the_real_path_is_run_unless_told_otherwise() -> None:
    host = machine()
    host.links["/opt/link"] = "/usr/bin/check"
    command = notified("/opt/link", host=host)
    assert command is not None
    assert command.argv == ("/usr/bin/check",)
    command = notified("/opt/link", "global_defs {\nuse_symlink_paths\n}\n", host)
    assert command is not None
    assert command.argv == ("/opt/link",)


def test_a_global_user_that_is_not_there() -> None:
    before = "global_defs {\nscript_user nosuch\n}\nvrrp_script c {\nscript /usr/bin/check\n}\n"
    loaded = instance("track_script {\nc\n}", before=before, machine=machine())
    assert "no user 'nosuch'" in messages(loaded)
    assert "track script c is not run" in messages(loaded)
    assert "not defined" in messages(loaded)


def test_tracked_scripts() -> None:
    before = 'vrrp_script c {\nscript "/usr/bin/check a"\ninterval 2\nweight -5\nrise 3\nuser nobody\n}\n'
    loaded = instance("track_script {\nc\n}", before=before, machine=machine())
    assert loaded.plan is not None
    (script,) = loaded.plan.runner.track_scripts
    assert (script.command.argv, script.command.uid, script.weight, script.rise, script.fall) == (
        ("/usr/bin/check", "a"),
        99,
        -5,
        3,
        1,
    )
    assert script.timeout == script.interval
    unquoted = before.replace('"', "")
    loaded = instance("track_script {\nc\n}", before=unquoted, machine=machine())
    assert loaded.plan is not None
    assert loaded.plan.runner.track_scripts[0].command.argv == ("/usr/bin/check", "a")
    missing = instance("track_script {\nc\n}", before=before.replace("check", "none"), machine=machine())
    assert missing.exit_code == 5
    assert missing.plan is not None
    assert missing.plan.vrrp.instances[0].track_scripts == ()


def test_unused_scripts_are_left_out() -> None:
    loaded = instance("", before="vrrp_script c {\nscript </dev/null\n}\n")
    assert loaded.plan is not None
    assert loaded.plan.runner.track_scripts == ()


def test_fifos_and_mail() -> None:
    host = machine()
    host.hosts["mail.example"] = "192.0.2.25"
    text = (
        "global_defs {\nnotify_fifo /run/all nobody\nnotify_fifo_script /usr/bin/check\nlvs_notify_fifo /run/pool\n"
        "vrrp_notify_fifo /run/all\nsmtp_server mail.example 26\nnotification_email { a@x b@x }\n"
        "notification_email_from me@x\nsmtp_connect_timeout 7\n}\n"
        "virtual_server 192.0.2.1 80 {\nprotocol TCP\nreal_server 192.0.2.2 80 {\n}\n}\n"
    )
    loaded = read(text + GOOD_INSTANCE.format("smtp_alert"), host)
    assert loaded.plan is not None
    one, two = loaded.plan.runner.fifos
    assert (one.path, one.kinds, one.uid, one.script is not None) == (
        "/run/all",
        ("INSTANCE", "GROUP", "VS", "RS"),
        99,
        True,
    )
    assert (two.path, two.kinds) == ("/run/pool", ("VS", "RS"))
    mail = loaded.plan.runner.mail
    assert mail is not None
    assert (mail.server, mail.port, mail.recipients, mail.sender) == ("mail.example", 26, ("a@x", "b@x"), "me@x")
    assert loaded.plan.runner.notifies[0].smtp_alert
    alone = read(text.partition("virtual_server")[0] + GOOD_INSTANCE.format(""), host)
    assert alone.plan is not None
    assert [fifo.path for fifo in alone.plan.runner.fifos] == ["/run/all"]
    unheard = "lvs_notify_fifo: nothing in this configuration would write to it"
    assert unheard in {finding.message for finding in alone.diagnostics}
    nameless = read(text.replace("mail.example", "nowhere.example"), machine())
    assert "has no address here" in messages(nameless)


def test_mail_by_tls_and_with_an_account() -> None:
    host = machine()
    host.hosts["mail.example"] = "192.0.2.25"
    text = (
        "global_defs {{\nsmtp_server mail.example 465\nnotification_email {{ a@x }}\n{}smtp_tls_ca /etc/ca.pem\n"
        "smtp_auth lvs /etc/keepalived/password\n}}\n"
    )
    loaded = read(text.format("smtp_tls tls\n") + GOOD_INSTANCE.format(""), host)
    assert loaded.plan is not None
    mail = loaded.plan.runner.mail
    assert mail is not None
    assert (mail.tls, mail.ca_file) == (MailTls.TLS, "/etc/ca.pem")
    assert (mail.user, mail.password_file) == ("lvs", "/etc/keepalived/password")
    assert any("/etc/keepalived/password is not there" in each.message for each in loaded.diagnostics)
    open_mail = read(text.format("") + GOOD_INSTANCE.format(""), host)
    assert "smtp_auth without smtp_tls" in messages(open_mail)
    assert open_mail.plan is not None
    assert open_mail.plan.runner.mail is not None
    assert open_mail.plan.runner.mail.user is None
    assert "unknown way to speak TLS" in messages(read(text.format("smtp_tls yes\n"), host))


def test_dumps_and_reloads() -> None:
    text = (
        "global_defs {\nreload_time_file /run/when\nreload_repeat\nreload_file\nreload_check_config /run/findings\n"
        "state_dump_file /run/state/\ndata_use_instance\njson_version 2\n}\n"
    )
    loaded = read(text, machine())
    assert messages(loaded) == ""
    assert loaded.plan is not None
    own = loaded.plan.supervisor
    assert (own.reload_time_file, own.reload_repeat, own.reload_file) == ("/run/when", True, "")
    assert (own.reload_check_config, own.state_dump_file) == ("/run/findings", "/run/state/")
    assert (own.data_use_instance, own.json_version) == (True, 2)
    plain = read("", machine()).plan
    assert plain is not None
    assert plain.supervisor.reload_file is None
    assert plain.supervisor.json_version == 1


def test_track_files_and_processes() -> None:
    before = (
        "track_file f {\nfile /opt/drain\nweight -9\ninit_file 0 overwrite\n}\n"
        "vrrp_track_process p {\nprocess haproxy -f x\nquorum 2\ndelay 1\n}\n"
    )
    loaded = instance("track_file {\nf weight 2 reverse\n}\ntrack_process {\np\n}", before=before, machine=machine())
    assert messages(loaded) == ""
    assert loaded.plan is not None
    (file,), (process,) = loaded.plan.runner.track_files, loaded.plan.runner.track_processes
    assert (file.path, file.weight, file.init_value, file.init_overwrite) == ("/opt/drain", -9, 0, True)
    assert (process.process, process.param_match, process.quorum) == (("haproxy", "-f", "x"), "exact", 2)
    assert process.fork_delay == process.terminate_delay == 10**9
    bad = instance("track_file {\nf\n}", before="track_file f {\nfile /none/drain\n}\n", machine=machine())
    assert "directory of track_file f does not exist" in messages(bad)
