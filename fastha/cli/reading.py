"""Reading the configuration from the network namespace it is for."""

import gc

from fastha.config.load import Loaded, load
from fastha.system import netns
from fastha.system.host import SystemHost


class Reading:
    """`reading()` reads the file. The first reading, in the main thread, enters the namespace that the command line or
    the file names: interfaces are judged there. A later change of the word is the supervisor's to refuse."""

    def __init__(
        self,
        config: str,
        *,
        config_id: str | None = None,
        namespace: str | None = None,
        log_detail: bool = False,
        only_test: bool = False,
    ) -> None:
        self._config = config
        self._config_id = config_id
        self._namespace = namespace
        self._log_detail = log_detail
        self._only_test = only_test
        self._settled = False

    def __call__(self) -> Loaded:
        """Read it; OSError when the namespace cannot be entered."""
        if self._settled:
            return self._load()
        self._settled = True
        enabled = gc.isenabled()
        gc.disable()
        try:
            return self._first()
        finally:
            # what is there by now stays: looking it through for garbage at once took a tenth of a fleet's start
            gc.freeze()
            if enabled:
                gc.enable()

    def _first(self) -> Loaded:
        if self._namespace is not None:
            self._enter(self._namespace)
            return self._load()
        loaded = self._load()
        if loaded.net_namespace is not None and self._enter(loaded.net_namespace):
            loaded = self._load()
        return loaded

    def _enter(self, name: str) -> bool:
        """True when we are in it. A test judges the file also where there is no such namespace."""
        try:
            netns.enter(name)
        except FileNotFoundError:
            if not self._only_test:
                raise
            return False
        return True

    def _load(self) -> Loaded:
        return load(
            self._config,
            SystemHost(),
            config_id=self._config_id,
            namespace=self._namespace,
            log_detail=self._log_detail,
        )
