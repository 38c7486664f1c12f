"""Every word with good, missing and odd arguments: the verdict of fastha against that of the keepalived installed.

A sample by default, everything with --soak. Words that the installed version does not know are passed over.
"""

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastha.config.host import Interface
from fastha.config.load import load
from fastha.config.schema.entry import Status
from fastha.config.schema.tables import BLOCKS
from fastha.system.host import SystemHost
from tests.config_contexts import statement
from tests.corpus_files import why_not

pytestmark = pytest.mark.compat

SAMPLE = 400
SEED = 20
ODD = ("", "abc", "-1", "99999999999", "0", "1.5", "5x", "/a/b", "1 2 3", '"a b"')
KEYWORD_BLOCKS = (
    "global_defs", "vrrp_instance", "vrrp_sync_group", "authentication", "vrrp_script", "vrrp_track_process",
    "track_file", "bfd_instance", "virtual_server", "real_server", "TCP_CHECK", "HTTP_GET", "HTTP_GET.url", "SSL_GET",
    "MISC_CHECK", "SMTP_CHECK", "DNS_CHECK", "UDP_CHECK", "PING_CHECK", "garp_group",
)  # fmt: skip
LINE_BLOCKS = ("address line", "route line", "rule line")
MEANT: tuple[tuple[str, str], ...] = (
    (r"global_defs\.vrrp_(strict|skip_check_adv_addr): ", "newer versions report a bad truth value here too"),
    (r".*\.(virtualhost|snmp_name|helo_name|sni_name|path|regex): .* / ", "newer versions report a second one"),
    (r"(HTTP|SSL)_GET\.url\.path: ", "there is one already; newer versions report a second one"),
    (r"(HTTP|SSL)_GET\.url\.regex: ", "newer versions report a missing, a bad or a second pattern"),
    (r"global_defs\.notification_email_from: .* ", "newer versions report a second word"),
    (r"address line\.\w+: 192\.0\.2\.10\b", "newer versions report an excluded address that is a virtual one"),
    (r"global_defs\.vrrp_iptables: ", "a matter of how keepalived was built"),
    (r"(global_defs\.vrrp_|vrrp_instance\.)garp_extra_if: 1 2 3", "a number is read there, not the rest of the line"),
    (r"vrrp_script\.(interval|timeout): .*\.", "newer versions take fractions"),
    (r"vrrp_track_process\.process: ", "a second one is said to be the second, whatever else is wrong with it"),
    (r"virtual_server\.persistence_granularity: (0|1\.5)", "0 and short forms of addresses are no masks"),
    (r"DNS_CHECK\.name: 1\.5", "keepalived sees an empty label where there is none"),
    (r"UDP_CHECK\.(payload|require_reply): \"a b\"", "octets in quotes are no octets"),
    (r"(route|rule) line\.(inet6?|as): ", "keepalived loses the word after inet and inet6"),
    (r"route line\.track_group: ", "an unknown word for keepalived, a known one out of place for us"),
    (r"route line\.\w+: .* 0$", "keepalived takes a stray 0 for a route type"),
)


class Elsewhere(SystemHost):
    """This machine with the interfaces of the namespace that keepalived is asked in."""

    def interfaces(self) -> dict[str, Interface]:
        return {"lo": Interface("lo", loopback=True), "eth0": Interface("eth0"), "peer0": Interface("peer0")}


def cases() -> Iterator[tuple[str, str, str]]:
    """(`block.word: arguments`, word, configuration)."""
    for path in KEYWORD_BLOCKS + LINE_BLOCKS:
        for word in BLOCKS[path].words:
            if word.opens or word.status is Status.OURS or not word.example:
                continue
            first = word.example.split("\n", maxsplit=1)[0]
            if path in LINE_BLOCKS:
                words = first.split()
                head = words[: words.index(word.name) + 1] if word.name in words else [word.name]
                lines = [first, *(" ".join([*head, odd]).strip() for odd in ODD[:6])]
            else:
                lines = [f"{word.name} {odd}".strip() for odd in ODD] + [first, f"{first} foo", f"{first}\n{first}"]
            for line in lines:
                shown = line.removeprefix(word.name).strip().replace("\n", " / ")
                yield f"{path}.{word.name}: {shown}", word.name, statement(path, word.name, line)


@pytest.mark.timeout(900)
def test_arguments(tmp_path: Path, soak: bool) -> None:
    if problem := why_not():
        pytest.skip(problem)
    chosen = list(cases())
    if not soak:
        chosen = random.Random(SEED).sample(chosen, SAMPLE)
    for number, (_, _, text) in enumerate(chosen):
        (tmp_path / f"{number}.conf").write_text(text)
    script = (
        "ip link set lo up; ip link add eth0 type veth peer name peer0 || exit 1\n"
        f'cd "{tmp_path}" || exit 1\n'
        f"n=0; while [ $n -lt {len(chosen)} ]; do keepalived -t -f $n.conf 2>$n.said; echo $?; n=$((n+1)); done\n"
    )
    environment = dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    ran = subprocess.run(
        ["unshare", "-n", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=800 if soak else 100,
    )
    if ran.returncode or not ran.stdout:
        pytest.skip(f"no network namespace with a pair of interfaces: {ran.stderr.strip()}")
    host = Elsewhere()
    differing = []
    for number, ((shown, word, _), code) in enumerate(zip(chosen, ran.stdout.split(), strict=True)):
        said = (tmp_path / f"{number}.said").read_text(errors="replace")
        crashed = int(code) > 128
        if crashed or f"Unknown keyword '{word}'" in said or "cannot track route" in said:
            continue
        ours = load(str(tmp_path / f"{number}.conf"), host).exit_code
        if ours != int(code) and not any(re.match(pattern, shown) for pattern, _ in MEANT):
            differing.append(f"{shown} | keepalived {code}, fastha {ours} | {said[:100]}")
    assert differing == []
