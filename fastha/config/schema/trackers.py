"""Words that vrrp_instance and vrrp_sync_group share: what they track, whom they tell."""

from fastha.config.arguments import (
    Bool,
)
from fastha.config.schema.entry import Repeat, Status, Word
from fastha.config.script import Script

PENDING = Status.PENDING


def track_words(what: str) -> tuple[Word, ...]:
    """The five blocks that name tracked things; the same in instances and groups."""
    return (
        Word(
            name="track_interface",
            opens="track_interface",
            default="none",
            effect=f"Interfaces that {what} depends on.",
            example="track_interface { eth1 weight -20 }",
        ),
        Word(
            name="track_script",
            opens="track_script",
            default="none",
            effect=f"Scripts (vrrp_script, defined before) that {what} depends on.",
            example="track_script { chk_haproxy }",
        ),
        Word(
            name="track_file",
            opens="track_file.references",
            store="track_file",
            default="none",
            effect=f"Files (track_file, defined before) that {what} depends on.",
            example="track_file { maintenance weight -50 }",
        ),
        Word(
            name="track_process",
            opens="track_process",
            default="none",
            effect=f"Processes (vrrp_track_process, defined before) that {what} depends on.",
            example="track_process { haproxy }",
        ),
        Word(
            name="track_bfd",
            opens="track_bfd",
            default="none",
            effect=f"BFD sessions (bfd_instance, defined before) that {what} depends on.",
            status=PENDING,
            pending="BFD sessions are not run yet, so nothing follows from their state",
            loud=True,
            example="track_bfd { peer1 }",
        ),
    )


def notify_words(what: str) -> tuple[Word, ...]:
    """The notify scripts that instances and groups share."""
    states = (("backup", "becomes BACKUP"), ("master", "becomes MASTER"), ("fault", "enters FAULT"), ("stop", "stops"))
    return (
        *(
            Word(
                name=f"notify_{state}",
                arguments=Script(),
                default="none",
                effect=f"Run when {what} {event}.",
                repeat=Repeat.FIRST,
                example=f'notify_{state} "/etc/keepalived/notify.sh {state}"',
            )
            for state, event in states
        ),
        Word(
            name="notify",
            arguments=Script(),
            default="none",
            effect=f"Run at every change of {what}, with type, name, state and priority as further arguments.",
            repeat=Repeat.FIRST,
            example="notify /etc/keepalived/notify.sh",
        ),
        Word(
            name="smtp_alert",
            arguments=Bool(),
            default="smtp_alert_vrrp, else smtp_alert, else no",
            effect=f"Mail at changes of {what}.",
            example="smtp_alert",
        ),
        Word(
            name="notify_priority_changes",
            arguments=Bool(),
            default="the group's, else vrrp_notify_priority_changes",
            effect="The named pipes get a line when the effective priority changes.",
            example="notify_priority_changes",
        ),
    )
