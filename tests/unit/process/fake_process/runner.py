"""The fake runner process."""

from fake_process.work import main
from fastha.model.plan import RunnerPlan

if __name__ == "__main__":
    raise SystemExit(main("runner", RunnerPlan))
