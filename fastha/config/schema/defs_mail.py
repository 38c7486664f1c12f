"""Words of global_defs about mail, scripts and named pipes."""

from fastha.config.arguments import (
    Bool,
    Choice,
    Custom,
    Integer,
    Text,
    Words,
    one_of,
)
from fastha.config.schema.entry import Reload, Repeat, Status, Word
from fastha.config.schema.readers import (
    smtp_server,
)
from fastha.config.script import Account, Script

START = Reload.START
FIFO = Words("PATH [USER [[:]GROUP]]", 1, most=3)


MAIL = (
    Word(
        name="router_id",
        arguments=Text("STRING"),
        default="the host name",
        effect="Names this director in mails and in the status.",
        example="router_id lvs-paris-1",
    ),
    Word(
        name="notification_email",
        opens="notification_email",
        default="none: no mail",
        effect="Whom to mail.",
        example="notification_email { ops@example.net }",
    ),
    Word(
        name="notification_email_from",
        arguments=Text("ADDRESS", further="error"),
        default="keepalived@ the host name",
        effect="Sender of the mails.",
        example="notification_email_from lvs@example.net",
    ),
    Word(
        name="smtp_server",
        arguments=Custom(smtp_server, "ADDRESS|NAME [PORT]", required="fatal", most=2),
        default="none: no mail",
        effect="Relay that takes the mails.",
        example="smtp_server 192.0.2.25 25",
    ),
    Word(
        name="smtp_helo_name",
        arguments=Text("NAME", required=""),
        default="the host name",
        effect="Name given in HELO.",
        example="smtp_helo_name lvs1.example.net",
    ),
    Word(
        name="smtp_connect_timeout",
        arguments=Integer(0, 4294, "SECONDS", strict=False, raise_zero_to=1),
        default="30",
        effect="Longest wait for the relay, at each step.",
        example="smtp_connect_timeout 10",
    ),
    Word(
        name="smtp_tls",
        arguments=Choice(one_of(["none", "starttls", "tls"]), required="error", what="way to speak TLS"),
        default="none",
        effect="Speaks TLS with the relay: asked for with STARTTLS, or from the first octet on (usually port 465). Its "
        "certificate is verified.",
        status=Status.OURS,
        example="smtp_tls starttls",
    ),
    Word(
        name="smtp_tls_ca",
        arguments=Text("FILE"),
        default="the system's",
        effect="Certificates of authorities (PEM) that the relay's is verified by.",
        status=Status.OURS,
        example="smtp_tls_ca /etc/ssl/relay-ca.pem",
    ),
    Word(
        name="smtp_auth",
        arguments=Words("USER PASSWORD-FILE", 2, most=2),
        default="none",
        effect="Who we are to the relay; the password is the file's first line. Needs smtp_tls.",
        status=Status.OURS,
        example="smtp_auth lvs /etc/keepalived/smtp.password",
    ),
    Word(
        name="smtp_alert",
        arguments=Bool(),
        default="unset",
        effect="Mail about everything, unless a closer word says otherwise.",
        example="smtp_alert true",
    ),
    Word(
        name="smtp_alert_vrrp",
        arguments=Bool(),
        default="as smtp_alert",
        effect="Mail about instances and sync groups, unless they say otherwise.",
        example="smtp_alert_vrrp true",
    ),
    Word(
        name="smtp_alert_checker",
        arguments=Bool(),
        default="as smtp_alert",
        effect="Mail about virtual and real servers, unless they say otherwise.",
        example="smtp_alert_checker false",
    ),
    Word(
        name="no_email_faults",
        default="off",
        effect="No mail about a change to FAULT.",
        example="no_email_faults",
    ),
    Word(
        name="no_checker_emails",
        arguments=Bool(),
        default="false",
        effect="Mail about a real server only when it enters or leaves the pool.",
        example="no_checker_emails",
    ),
)


SCRIPTS = (
    Word(
        name="script_user",
        arguments=Account(),
        default="keepalived_script when there is such a user, else our own",
        effect="Account for scripts that name none; a colon before the group adds the user's other groups.",
        example="script_user nobody nogroup",
    ),
    Word(
        name="enable_script_security",
        default="off",
        effect="Refuses to run as root what somebody else could have changed.",
        example="enable_script_security",
    ),
    Word(
        name="use_symlink_paths",
        arguments=Bool(),
        default="false",
        effect="Runs scripts by the path as written instead of the resolved one.",
        example="use_symlink_paths",
    ),
    Word(
        name="set_supplementary_groups",
        arguments=Bool(),
        default="false",
        effect="Scripts get the supplementary groups of their user.",
        example="set_supplementary_groups",
    ),
    Word(
        name="startup_script",
        arguments=Script(required="error", filled=True),
        default="none",
        effect="Run once, and waited for, before anything starts.",
        reload=START,
        repeat=Repeat.FIRST,
        example="startup_script /usr/local/bin/before-lvs root",
    ),
    Word(
        name="startup_script_timeout",
        arguments=Integer(1, 1000, "SECONDS", required="error", strict=False),
        default="10",
        effect="Longest run of startup_script.",
        reload=START,
        example="startup_script_timeout 30",
    ),
    Word(
        name="shutdown_script",
        arguments=Script(required="error", filled=True),
        default="none",
        effect="Run once after everything has ended.",
        repeat=Repeat.FIRST,
        example="shutdown_script /usr/local/bin/after-lvs root",
    ),
    Word(
        name="shutdown_script_timeout",
        arguments=Integer(1, 1000, "SECONDS", required="error", strict=False),
        default="10",
        effect="Longest run of shutdown_script.",
        example="shutdown_script_timeout 30",
    ),
    Word(
        name="notify_fifo",
        arguments=FIFO,
        default="none",
        effect="Named pipe that gets a line for every event.",
        repeat=Repeat.FIRST,
        example="notify_fifo /run/lvs-events root",
    ),
    Word(
        name="notify_fifo_script",
        arguments=Script(required="error"),
        default="none",
        effect="Program that reads notify_fifo; it gets the pipe's path as last argument.",
        repeat=Repeat.FIRST,
        example="notify_fifo_script /usr/local/bin/lvs-events",
    ),
    Word(
        name="vrrp_notify_fifo",
        arguments=FIFO,
        default="none",
        effect="Named pipe for events of instances and groups.",
        repeat=Repeat.FIRST,
        example="vrrp_notify_fifo /run/vrrp-events",
    ),
    Word(
        name="vrrp_notify_fifo_script",
        arguments=Script(required="error"),
        default="none",
        effect="Program that reads vrrp_notify_fifo.",
        repeat=Repeat.FIRST,
        example="vrrp_notify_fifo_script /usr/local/bin/vrrp-events",
    ),
    Word(
        name="lvs_notify_fifo",
        arguments=FIFO,
        default="none",
        effect="Named pipe for events of virtual and real servers.",
        repeat=Repeat.FIRST,
        example="lvs_notify_fifo /run/pool-events",
    ),
    Word(
        name="lvs_notify_fifo_script",
        arguments=Script(required="error"),
        default="none",
        effect="Program that reads lvs_notify_fifo.",
        repeat=Repeat.FIRST,
        example="lvs_notify_fifo_script /usr/local/bin/pool-events",
    ),
    Word(
        name="fifo_write_vrrp_states_on_reload",
        default="off",
        effect="After a reload the pipes get the state of unchanged instances too.",
        example="fifo_write_vrrp_states_on_reload",
    ),
)
