"""Mails about instances and groups: keepalived's words, once per change."""

from fastha.process.vrrp_mail import Mails


def test_the_words_of_an_instance() -> None:
    mails = Mails()
    assert mails.compose("INSTANCE", "VI_1", "MASTER") == (
        "VRRP Instance VI_1 - Entering MASTER state",
        "=> VRRP Instance is now owning VRRP VIPs <=",
    )
    assert mails.compose("INSTANCE", "VI_1", "FAULT") == (
        "VRRP Instance VI_1 - Entering FAULT state",
        "=> VRRP Instance is no longer owning VRRP VIPs <=",
    )
    assert mails.compose("INSTANCE", "VI_1", "STOP") == (
        "VRRP Instance VI_1 - Stopping",
        "=> VRRP Instance stopping <=",
    )


def test_the_words_of_a_group() -> None:
    mails = Mails()
    assert mails.compose("GROUP", "G", "BACKUP") == (
        "VRRP Group G - Entering BACKUP state",
        "=> All VRRP group instances are now in BACKUP state <=",
    )
    assert mails.compose("GROUP", "G", "STOP") == (
        "VRRP Group G - Stopping",
        "=> All VRRP group instances are now stopping <=",
    )


def test_a_state_is_mailed_once_and_what_is_no_state_never() -> None:
    mails = Mails()
    assert mails.compose("INSTANCE", "A", "MASTER")[0]
    assert mails.compose("INSTANCE", "A", "MASTER") == ("", "")
    assert mails.compose("INSTANCE", "B", "MASTER")[0]
    assert mails.compose("INSTANCE", "A", "MASTER_RX_LOWER_PRI") == ("", "")
    assert mails.compose("INSTANCE", "A", "BACKUP")[0]
    assert mails.compose("INSTANCE", "A", "MASTER")[0]
