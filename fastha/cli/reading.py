"""Reading the configuration from the network namespace it is for."""

import gc
from dataclasses import replace

from fastha.config.diagnostics import Diagnostic, Exit, Severity
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
            outside = self._enter(self._namespace)
            loaded = self._load()
        else:
            loaded = self._load()
            if loaded.net_namespace is None:
                return loaded
            outside = self._enter(loaded.net_namespace)
            if outside is None:
                return self._load()
        return replace(loaded, diagnostics=[*loaded.diagnostics, *outside]) if outside else loaded

    def _enter(self, name: str) -> list[Diagnostic] | None:
        """None when we are in it. A test judges the file also where that cannot be: what the reading does not say."""
        if self._only_test and not netns.exists(name):
            return []
        try:
            netns.enter(name)
        except OSError as error:
            if not self._only_test:
                raise
            return [_outside(name, error)]
        return None

    def _load(self) -> Loaded:
        return load(
            self._config,
            SystemHost(),
            config_id=self._config_id,
            namespace=self._namespace,
            log_detail=self._log_detail,
        )


def _outside(name: str, error: OSError) -> Diagnostic:
    return Diagnostic(
        severity=Severity.NOTE,
        message=f"the network namespace '{name}' cannot be entered: {error.strerror}; interfaces are judged outside",
        exit_code=Exit.GOOD,
    )
