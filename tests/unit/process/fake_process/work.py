"""What the fake children do: write down what happens to them, misbehave when a file in the run directory says so."""

import os
import time
from typing import Any

from fastha.model.snapshot import CheckerSnapshot, RunnerSnapshot, VrrpSnapshot
from fastha.process import child as child_module
from fastha.process.child import Child, Refused, run_child
from fastha.process.messages import Message, States, Tell


class FakeWork:
    """Journals every call to RUN_DIR/NAME.journal."""

    def __init__(self, child: Child[Any]) -> None:
        self.child = child
        self.journal("born")

    def told(self, what: str) -> bool:
        return os.path.exists(os.path.join(self.child.run_dir, f"{self.child.name}.{what}"))

    def journal(self, text: str) -> None:
        with open(os.path.join(self.child.run_dir, f"{self.child.name}.journal"), "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {text}\n")

    def start(self, plan: Any, resume: frozenset[str]) -> None:
        if self.told("refuse"):
            raise Refused("the kernel has no such thing", 1)
        if self.told("crash"):
            with open(os.path.join(self.child.run_dir, f"{self.child.name}.crash"), encoding="utf-8") as file:
                os._exit(int(file.read() or "7"))
        self.journal(f"start resume={','.join(sorted(resume))}")
        self.child.log("info", "hello")
        if self.child.name == "vrrp":
            down = int(float(os.environ.get("FAKE_MASTER_DOWN", "60")) * 1e9)
            self.child.report(States({"VI_1": "MASTER", "VI_2": "BACKUP"}, {"VI_1": down, "VI_2": 1}))
            self.child.send("runner", Tell("INSTANCE", "VI_1", "MASTER", 100))

    def reload(self, plan: Any) -> None:
        if self.told("refuse"):
            raise Refused("not this one")
        self.journal("reload")
        if self.child.name == "vrrp":
            self.child.send("runner", Tell("INSTANCE", "VI_1", "RELOADED", 100))

    def linked(self, peer: str) -> None:
        self.journal(f"linked {peer}")

    def received(self, peer: str, message: Message) -> None:
        self.journal(f"from {peer}: {message}")

    def healthy(self) -> bool:
        if self.told("hang"):
            time.sleep(3600)
        return not self.told("sick")

    def snapshot(self) -> Any:
        if self.told("mute"):
            time.sleep(1.0)
        return {
            "vrrp": VrrpSnapshot(interfaces={"lo": True}),
            "checker": CheckerSnapshot(plane="none"),
            "runner": RunnerSnapshot(files={"maintenance": 3}),
        }[self.child.name]

    def release(self, plan: Any, state: str) -> None:
        self.journal(f"release {state}")
        if self.child.name == "vrrp":
            self.child.report(States({"VI_1": state}))
            self.child.send("runner", Tell("INSTANCE", "VI_1", state, 100))
        self.child.finish()

    def stop(self, release: bool) -> None:
        self.journal(f"stop release={release}")
        if not self.told("stay"):
            self.child.finish()


def main(name: str, kind: type) -> int:
    child_module.UNCLAIMED = float(os.environ.get("FAKE_UNCLAIMED", "30"))
    return run_child(name, kind, FakeWork)
