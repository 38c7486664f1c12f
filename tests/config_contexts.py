"""For each block of the language a small configuration with a gap, BODY, where a statement of that block fits."""

from fastha.config.schema.tables import BLOCKS

GAP = "BODY"
INSTANCE = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {\n192.0.2.10/24\n}\nBODY\n}\n"
SERVICE = "virtual_server 192.0.2.10 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n"
SERVER = SERVICE + "real_server 192.0.2.21 80 {\nBODY\n}\n}\n"
SECOND = INSTANCE.replace("V {", "W {").replace("id 7", "id 8").replace(".10/", ".11/")


def fill(context: str, body: str) -> str:
    return context.replace(GAP, body)


CONTEXTS = {
    "root": GAP,
    "global_defs": "global_defs {\nBODY\n}\n" + fill(INSTANCE, ""),
    "vrrp_instance": INSTANCE,
    "authentication": fill(INSTANCE, "authentication {\nauth_type PASS\nauth_pass xx\nBODY\n}"),
    "auth_hmac": fill(INSTANCE, "auth_hmac {\nBODY\n}"),
    "vrrp_sync_group": fill(INSTANCE, "") + fill(SECOND, "") + "vrrp_sync_group G {\ngroup {\nV\nW\n}\nBODY\n}\n",
    "garp_group": "garp_group {\nBODY\n}",
    "track_group": "track_group G {\nBODY\n}",
    "vrrp_script": "vrrp_script c {\nscript </dev/null\nBODY\n}\n" + fill(INSTANCE, "track_script {\nc\n}"),
    "vrrp_track_process": "vrrp_track_process c {\nBODY\nprocess x\n}\n" + fill(INSTANCE, "track_process {\nc\n}"),
    "track_file": "track_file c {\nBODY\nfile /tmp/x\n}\n" + fill(INSTANCE, "track_file {\nc\n}"),
    "vrrp_track_file": "vrrp_track_file c {\nBODY\nfile /tmp/x\n}\n" + fill(INSTANCE, "track_file {\nc\n}"),
    "bfd_instance": "bfd_instance c {\nneighbor_ip 192.0.2.2\nBODY\n}\n",
    "virtual_server": SERVICE + "sorry_server 192.0.2.99\nBODY\nreal_server 192.0.2.21 80 {\n}\n}\n",
    "real_server": SERVER,
    "HTTP_GET.url": fill(SERVER, "HTTP_GET {\nurl {\npath /\nBODY\n}\n}"),
    "SSL_GET.url": fill(SERVER, "SSL_GET {\nurl {\npath /\nBODY\n}\n}"),
    "SMTP_CHECK.host": fill(SERVER, "SMTP_CHECK {\nhost {\nBODY\n}\n}"),
    "SSL": "SSL {\nBODY\n}",
    "address line": fill(INSTANCE, "virtual_ipaddress_excluded {\nBODY\n}"),
    "static address line": "track_group TG {\ngroup {\nV\n}\n}\nstatic_ipaddress {\nBODY\n}\n" + fill(INSTANCE, ""),
    "unicast_peer line": fill(INSTANCE, "unicast_peer {\nBODY\n}"),
    "track line": fill(INSTANCE, "track_script {\nBODY\n}"),
    "route line": fill(INSTANCE, "virtual_routes {\nBODY\n}"),
    "route nexthop": fill(INSTANCE, "virtual_routes {\ndefault BODY\n}"),
    "route encap": fill(INSTANCE, "virtual_routes {\ndefault via 192.0.2.1 BODY\n}"),
    "rule line": fill(INSTANCE, "virtual_rules {\nBODY\n}"),
}
CONTEXTS |= {
    path: fill(SERVER, path + " {\nBODY\n}")
    for path in BLOCKS
    if path.endswith("_CHECK") or path in {"HTTP_GET", "SSL_GET"}
}
CONTEXTS["HTTP_GET"] = fill(SERVER, "HTTP_GET {\nBODY\nurl {\npath /\n}\n}")
CONTEXTS["SSL_GET"] = fill(SERVER, "SSL_GET {\nBODY\nurl {\npath /\n}\n}")
CONTEXTS["MISC_CHECK"] = fill(SERVER, "MISC_CHECK {\nmisc_path /nonexistent\nBODY\n}")
NEEDS = {
    "sh-port": "lvs_sched sh",
    "sh-fallback": "lvs_sched sh",
    "mh-port": "lvs_sched mh",
    "mh-fallback": "lvs_sched mh",
    "hashed": "lvs_sched sh",
}
"""What must stand before a word."""


def statement(block: str, name: str, text: str) -> str:
    """A configuration with the statement `text` of word `name` in its block."""
    context = "static address line" if (block, name) == ("address line", "track_group") else block
    return fill(CONTEXTS[context], f"{NEEDS[name]}\n{text}" if name in NEEDS else text)
