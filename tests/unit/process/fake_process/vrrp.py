"""The fake vrrp process."""

from fake_process.work import main
from fastha.model.plan import VrrpPlan

if __name__ == "__main__":
    raise SystemExit(main("vrrp", VrrpPlan))
