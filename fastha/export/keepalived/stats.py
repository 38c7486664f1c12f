"""keepalived.stats and keepalived.json: what became of each instance's packets."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from fastha.export.keepalived import routes, words
from fastha.model.plan import AuthType, Notifies, Plan, VrrpInstance
from fastha.model.snapshot import InstanceSnapshot, RunnerSnapshot, VrrpSnapshot
from fastha.model.units import S

Baseline = Mapping[str, Mapping[str, int]]
"""instance -> its counters when the statistics were cleared."""

SECTIONS: Final[tuple[tuple[str, tuple[tuple[str, str], ...]], ...]] = (
    ("Advertisements", (("Received", "advert_rcvd"), ("Sent", "advert_sent"))),
    ("Became master", (("", "become_master"),)),
    ("Released master", (("", "release_master"),)),
    (
        "Packet Errors",
        (
            ("Length", "packet_len_err"),
            ("TTL", "ip_ttl_err"),
            ("Invalid Type", "invalid_type_rcvd"),
            ("Advertisement Interval", "advert_interval_err"),
            ("Address List", "addr_list_err"),
        ),
    ),
    (
        "Authentication Errors",
        (("Invalid Type", "invalid_authtype"), ("Type Mismatch", "authtype_mismatch"), ("Failure", "auth_failure")),
    ),
    (
        "Authentication Extension Errors",
        (
            ("Missing", "auth_ext_missing"),
            ("Malformed", "auth_ext_malformed"),
            ("Unknown Key", "auth_ext_unknown_key"),
            ("Invalid HMAC", "auth_ext_invalid_hmac"),
            ("Stale", "auth_ext_stale"),
            ("Replay", "auth_ext_replay"),
        ),
    ),
    ("Priority Zero", (("Received", "pri_zero_rcvd"), ("Sent", "pri_zero_sent"))),
)
"""Headings of the text with the counters below them; no name: the number stands in the heading's line."""

JSON_COUNTERS: Final = (
    "advert_rcvd",
    "advert_sent",
    "become_master",
    "release_master",
    "packet_len_err",
    "advert_interval_err",
    "ip_ttl_err",
    "invalid_type_rcvd",
    "addr_list_err",
    "invalid_authtype",
    "authtype_mismatch",
    "auth_failure",
    "auth_ext_missing",
    "auth_ext_malformed",
    "auth_ext_unknown_key",
    "auth_ext_invalid_hmac",
    "auth_ext_stale",
    "auth_ext_replay",
    "pri_zero_rcvd",
    "pri_zero_sent",
)
STATES: Final = {"INIT": 0, "BACKUP": 1, "MASTER": 2, "FAULT": 3}
_AUTH: Final = {AuthType.NONE: 0, AuthType.PASS: 1, AuthType.AH: 2}
_SCRIPTS: Final = ("BACKUP", "MASTER", "FAULT", "STOP", "DELETED")


def since(instance: InstanceSnapshot, baseline: Baseline) -> Mapping[str, int]:
    """The counters since they were cleared. Counts below the baseline are those of a new process, or of a new instance
    of that name: nothing to take off."""
    cleared = baseline.get(instance.name)
    if cleared is None or any(count < cleared.get(name, 0) for name, count in instance.stats.items()):
        return instance.stats
    return {name: count - cleared.get(name, 0) for name, count in instance.stats.items()}


def render_stats(vrrp: VrrpSnapshot, baseline: Baseline) -> str:
    """keepalived.stats."""
    return "".join(f"{line}\n" for line in _lines(vrrp, baseline))


def _lines(vrrp: VrrpSnapshot, baseline: Baseline) -> Iterator[str]:
    for instance in vrrp.instances:
        counts = since(instance, baseline)
        yield f"VRRP Instance: {instance.name}"
        for heading, counters in SECTIONS:
            if not counters[0][0]:
                yield f"  {heading}: {counts.get(counters[0][1], 0)}"
                continue
            yield f"  {heading}:"
            for name, counter in counters:
                yield f"    {name}: {counts.get(counter, 0)}"


# --------------------------------------------------------------------------------------------- JSON


def render_json(
    plan: Plan, vrrp: VrrpSnapshot, runner: RunnerSnapshot | None, baseline: Baseline, version: int
) -> bytes:
    """keepalived.json; `version` as json_version: 1 is an array of instances, 2 an object."""
    plans = {instance.name: instance for instance in plan.vrrp.instances}
    notifies = {each.name: each for each in plan.runner.notifies if each.kind == "INSTANCE"}
    instances = [
        {
            "data": _data(plan, plans[one.name], one, notifies.get(one.name)),
            "stats": {name: since(one, baseline).get(name, 0) for name in JSON_COUNTERS},
        }
        for one in vrrp.instances
        if one.name in plans
    ]
    if version == 1:
        return orjson.dumps(instances)
    whole: dict[str, Any] = {"vrrp": instances}
    processes = _processes(plan, runner)
    if processes:
        whole["track_process"] = processes
    return orjson.dumps(whole)


def _data(plan: Plan, one: VrrpInstance, now: InstanceSnapshot, notifies: Notifies | None) -> dict[str, Any]:
    preempt_delay = 0 if one.nopreempt else one.preempt_delay // S
    made = words.made_link(plan.vrrp, one)
    data: dict[str, Any] = {
        "iname": one.name,
        "dont_track_primary": int(one.dont_track_primary),
        "skip_check_adv_addr": int(one.skip_check_adv_addr),
        "strict_mode": int(one.strict_mode),
        "vmac_ifname": made.name if made is not None else "",
    }
    if one.interface:
        data["ifp_ifname"] = made.name if made is not None else one.interface
    data |= {
        "master_priority": now.master_priority,
        "last_transition": round(now.since_wall, 6),
        "garp_delay": words.number(one.garp_master_delay),
        "garp_refresh": one.garp_master_refresh // S,
        "garp_rep": one.garp_master_repeat,
        "garp_refresh_rep": one.garp_master_refresh_repeat,
        "garp_lower_prio_delay": one.garp_lower_prio_delay // S,
        "garp_lower_prio_rep": one.garp_lower_prio_repeat,
        "lower_prio_no_advert": int(one.lower_prio_no_advert),
        "higher_prio_send_advert": int(one.higher_prio_send_advert),
        "vrid": one.virtual_router_id,
        "base_priority": one.priority,
        "effective_priority": now.effective_priority,
        "vipset": bool(now.present) and now.state == "MASTER",
        "promote_secondaries": one.promote_secondaries,
        "adver_int": words.number(now.adver_int),
        "master_adver_int": words.number(now.master_adver_int),
        "accept": int(one.accept),
        "nopreempt": one.nopreempt,
        "preempt_delay": preempt_delay,
        "state": STATES.get(now.state, 0),
        "wantstate": STATES.get(now.wanted, 0),
        "version": one.version,
        "smtp_alert": notifies is not None and notifies.smtp_alert,
        "notify_deleted": one.notify_deleted,
    }
    data |= _scripts(notifies)
    data |= {name: lines for name, lines in _lists(plan, one, now).items() if lines}
    data["auth_type"] = _AUTH.get(one.auth_type, 0)
    if one.auth_type is not AuthType.NONE or one.auth_hmac is not None:
        data["auth_data"] = "********"
    return data


def _scripts(notifies: Notifies | None) -> dict[str, str]:
    if notifies is None:
        return {}
    found = {
        f"script_{event.lower()}": words.quoted(notifies.commands[event].argv)
        for event in _SCRIPTS
        if event in notifies.commands
    }
    if notifies.generic is not None:
        found["script"] = words.quoted(notifies.generic.argv)
    if "MASTER_RX_LOWER_PRI" in notifies.commands:
        found["script_master_rx_lower_pri"] = words.quoted(notifies.commands["MASTER_RX_LOWER_PRI"].argv)
    return found


def _lists(plan: Plan, one: VrrpInstance, now: InstanceSnapshot) -> dict[str, list[str]]:
    commands = {script.name: words.quoted(script.command.argv) for script in plan.runner.track_scripts}
    made = words.made_link(plan.vrrp, one)
    own = {one.interface, made.name if made is not None else ""}
    return {
        "vips": list(words.addresses(one, one.addresses, now.present, plan.vrrp)),
        "evips": list(words.addresses(one, one.excluded_addresses, now.present, plan.vrrp)),
        "vroutes": [routes.route(each) for each in one.routes],
        "vrules": [routes.rule(each) for each in one.rules],
        "track_ifp": [t.name for t in one.track_interfaces if t.name not in own and not t.implied],
        "track_script": [commands[track.name] for track in one.track_scripts if track.name in commands],
        "track_process": [track.name for track in one.track_processes],
    }


def _processes(plan: Plan, runner: RunnerSnapshot | None) -> list[dict[str, Any]]:
    seen = {each.name: each for each in runner.processes} if runner is not None else {}
    found = []
    for process in plan.runner.track_processes:
        now = seen.get(process.name)
        one: dict[str, Any] = {"process": process.name}
        if len(process.process) > 1:
            one["parameters"] = " ".join(process.process[1:])
        one["param_match"] = process.param_match
        one["min_processes"] = process.quorum
        if process.quorum_max is not None:
            one["max_processes"] = process.quorum_max
        one |= {
            "current_processes": now.count if now is not None else 0,
            "have_quorum": now is not None and now.up,
            "weight": process.weight,
            "terminate_delay": words.number(process.terminate_delay),
            "fork_delay": words.number(process.fork_delay),
            "fork_delay_timer_running": now is not None and now.fork_pending,
            "terminate_delay_timer_running": now is not None and now.terminate_pending,
            "full_command": process.full_command,
        }
        found.append(one)
    return found
