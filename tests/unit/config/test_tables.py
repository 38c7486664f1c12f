"""The keyword tables themselves: every entry is complete, and its example is read without complaint."""

from pathlib import Path

import pytest

from fastha.config.coverage import coverage, pending
from fastha.config.diagnostics import Report
from fastha.config.explain import explain, markdown
from fastha.config.parse import Parser
from fastha.config.preprocess import Preprocessor
from fastha.config.schema.entry import Block, Status, Word
from fastha.config.schema.tables import BLOCKS, entries
from tests.config_machine import MAIN, Machine

BFD = "bfd_instance peer1 {\nneighbor_ip 192.0.2.2\n}\n"
INSTANCE = "vrrp_instance V {\nBODY\n}"
CHECK = "virtual_server 192.0.2.10 80 {\nreal_server 192.0.2.21 80 {\nBODY\n}\n}"
AROUND = {
    "root": "BODY",
    "global_defs": "global_defs {\nBODY\n}",
    "vrrp_instance": INSTANCE,
    "authentication": INSTANCE.replace("BODY", "authentication {\nBODY\n}"),
    "auth_hmac": INSTANCE.replace("BODY", "auth_hmac {\nBODY\n}"),
    "vrrp_sync_group": "vrrp_sync_group G {\nBODY\n}",
    "garp_group": "garp_group {\nBODY\n}",
    "track_group": "track_group G {\nBODY\n}",
    "vrrp_script": "vrrp_script c {\nBODY\n}",
    "vrrp_track_process": "vrrp_track_process c {\nBODY\n}",
    "track_file": "track_file c {\nBODY\n}",
    "vrrp_track_file": "vrrp_track_file c {\nBODY\n}",
    "bfd_instance": "bfd_instance c {\nBODY\n}",
    "virtual_server": "virtual_server 192.0.2.10 80 {\nsorry_server 192.0.2.99\nBODY\n}",
    "real_server": CHECK,
    "HTTP_GET.url": CHECK.replace("BODY", "HTTP_GET {\nurl {\nBODY\n}\n}"),
    "SSL_GET.url": CHECK.replace("BODY", "SSL_GET {\nurl {\nBODY\n}\n}"),
    "SMTP_CHECK.host": CHECK.replace("BODY", "SMTP_CHECK {\nhost {\nBODY\n}\n}"),
    "SSL": "SSL {\nBODY\n}",
    "address line": INSTANCE.replace("BODY", "virtual_ipaddress_excluded {\nBODY\n}"),
    "static address": "static_ipaddress {\nBODY\n}",
    "unicast_peer line": INSTANCE.replace("BODY", "unicast_peer {\nBODY\n}"),
    "track line": INSTANCE.replace("BODY", "track_script {\nBODY\n}"),
    "route line": INSTANCE.replace("BODY", "virtual_routes {\nBODY\n}"),
    "route nexthop": INSTANCE.replace("BODY", "virtual_routes {\ndefault BODY\n}"),
    "route encap": INSTANCE.replace("BODY", "virtual_routes {\ndefault via 192.0.2.1 BODY\n}"),
    "rule line": INSTANCE.replace("BODY", "virtual_rules {\nBODY\n}"),
}
AROUND |= {
    path: CHECK.replace("BODY", path + " {\nBODY\n}")
    for path in BLOCKS
    if path.endswith("_CHECK") or path in {"HTTP_GET", "SSL_GET"}
}
ENTRIES = list(entries())
IDS = [f"{block.path}-{word.name}" for block, word in ENTRIES]
NEEDS = {
    "sh-port": "lvs_sched sh",
    "sh-fallback": "lvs_sched sh",
    "mh-port": "lvs_sched mh",
    "mh-fallback": "lvs_sched mh",
}
NEEDS["hashed"] = "lvs_sched sh"


@pytest.mark.parametrize(("block", "word"), ENTRIES, ids=IDS)
def test_an_entry_is_complete(block: Block, word: Word) -> None:
    assert word.effect
    assert (word.status is Status.PENDING) == bool(word.pending)
    assert not word.opens or word.opens in BLOCKS
    assert word.deprecated or not word.tolerated
    word.arguments.describe()
    if block.path not in {"file syntax", "virtual_server_group entry"} and word.name not in {"as"}:
        assert word.example or block.path.startswith(("route", "rule"))


@pytest.mark.parametrize(
    ("block", "word"),
    [(b, w) for b, w in ENTRIES if w.example and b.path in AROUND],
    ids=[f"{b.path}-{w.name}" for b, w in ENTRIES if w.example and b.path in AROUND],
)
def test_its_example_is_read_without_complaint(block: Block, word: Word) -> None:
    example = word.example
    if (
        block.path == "rule line"
        and "priority" not in example
        and "order" not in example
        and "preference" not in example
    ):
        example += " priority 100"
    text = AROUND[
        "static address" if word.name == "track_group" and block.path == "address line" else block.path
    ].replace("BODY", f"{NEEDS[word.name]}\n{example}" if word.name in NEEDS else example)
    machine = Machine(files={MAIN: text.encode()})
    report = Report()
    source = Preprocessor(machine, "lvs1", report)
    source.read(MAIN)
    Parser(source.lines, report).parse()
    complaints = [d.message for d in report.diagnostics if d.severity == "error"]
    if word.deprecated or (block.path == "route line" and word.name in {"gw", "or", "default6"}):
        assert all("deprecated" in message for message in complaints)
    else:
        assert complaints == []


def test_every_block_that_is_opened_can_be_reached() -> None:
    opened = {word.opens for _, word in ENTRIES if word.opens}
    inside = {block.path for block in BLOCKS.values() if block.words or block.line}
    apart = {"root", "file syntax", "virtual_server_group entry"} | {
        p for p in inside if p.endswith((" line", "nexthop", "encap"))
    }
    assert opened == inside - apart


def test_names_are_unique_in_a_block() -> None:
    for block in BLOCKS.values():
        assert len(block.index) == len(block.words)


def test_explain_knows_every_word() -> None:
    for _, word in ENTRIES:
        assert word.name in explain(word.name)
    assert "vrrp_instance" in explain("vrrp_instance.priority")
    with pytest.raises(KeyError, match="did you mean 'priority'"):
        explain("prioritty")


def test_the_coverage_report_counts_every_entry() -> None:
    assert coverage().splitlines()[-1].split()[1] == str(len(ENTRIES))
    assert len(pending().splitlines()) == sum(word.status is Status.PENDING for _, word in ENTRIES)


def test_the_keyword_reference_is_up_to_date() -> None:
    written = Path(__file__).parents[3] / "docs" / "keywords.md"
    assert written.read_text() == markdown(), "run tests/tools/keywords.py"
