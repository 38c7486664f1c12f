"""What the instances of one core share: what is known of the machine, the agenda, and the actions asked for so far."""

from dataclasses import dataclass, field

from fastha.model.net import Address, Family
from fastha.model.plan import VrrpInstance
from fastha.model.units import Ns
from fastha.vrrp.actions import Action, Log
from fastha.vrrp.priority import Seen
from fastha.vrrp.timers import Timers


@dataclass(slots=True)
class Link:
    """An interface as the kernel last described it. What trackers see of it is in `Seen`, after debounce."""

    exists: bool = False
    up: bool = False
    multicast: bool = True
    mtu: int = 1500


@dataclass(slots=True)
class World:
    seen: Seen = field(default_factory=Seen)
    links: dict[str, Link] = field(default_factory=dict)
    sources: dict[tuple[str, Family], Address] = field(default_factory=dict)
    """The primary IPv4 and the link-local IPv6 address of interfaces."""
    configured: set[tuple[str, Address]] = field(default_factory=set)
    """Sources that the configuration names and that are there."""
    timers: Timers = field(default_factory=Timers)
    out: list[Action] = field(default_factory=list)
    generations: list[int] = field(default_factory=list)
    """By index: rises with each order, also when an index is used again."""
    moved: set[int] = field(default_factory=set)
    """Indexes of instances whose state, or name, has changed since the shell asked last."""
    delayed_until: Ns | None = None
    """vrrp_startup_delay is running."""
    detail: bool = False
    """Log what keepalived logs with -D only."""

    def log(self, level: str, text: str) -> None:
        self.out.append(Log(level, text))

    def source_of(self, plan: VrrpInstance) -> Address | None:
        """What adverts of an instance leave from; None: there is no usable address."""
        if plan.source is None:
            return self.sources.get((plan.source_interface, plan.family))
        if plan.track_src_ip and not self.has_source(plan):
            return None
        return plan.source

    def has_source(self, plan: VrrpInstance) -> bool:
        """Whether what adverts leave from is an address of the interface; they leave all the same where it is not."""
        return plan.source is None or (plan.source_interface, plan.source) in self.configured

    def advert_addresses(self, plan: VrrpInstance) -> tuple[Address, ...]:
        """virtual_ipaddress of the instance's family, as many as one packet of the link carries."""
        link = self.links.get(plan.interface)
        room = plan.room_for_addresses(link.mtu if link else 1500)
        own = [a.address for a in plan.addresses if (":" in a.address) == (plan.family == 6)]
        return tuple(own[:room])
