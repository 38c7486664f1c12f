"""The fake checker process."""

from fake_process.work import main
from fastha.model.plan import CheckerPlan

if __name__ == "__main__":
    raise SystemExit(main("checker", CheckerPlan))
