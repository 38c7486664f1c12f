"""Work that would hold the loop for seconds, done in a thread beside it: one piece at a time, in order.

The loop's own time goes into checks and the watchdog; a transaction of `nft` with tens of thousands of servers takes
seconds. What is done beside the loop touches nothing that the loop touches meanwhile; `busy` says that it goes on.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Post = Callable[[Callable[[], None]], object]
"""Have a function called by the loop, from another thread (`loop.call_soon_threadsafe`)."""


class Lane:
    """Without `post`, everything is done at once, in the caller's thread."""

    def __init__(self, post: Post | None = None) -> None:
        self._post = post
        self._thread = ThreadPoolExecutor(1, "fastha-plane") if post is not None else None
        self._pending: tuple[Future[Any], Callable[[Any], None]] | None = None

    @property
    def busy(self) -> bool:
        """Something is being done."""
        return self._pending is not None

    def run(self, work: Callable[[], T], done: Callable[[T | OSError], None]) -> None:
        """Do `work`, then hand what it returned, or its OSError, to `done` in the loop. Not while `busy`."""
        assert not self.busy
        if self._thread is None or self._post is None:
            done(_outcome(work))
            return
        post, future = self._post, self._thread.submit(_outcome, work)
        self._pending = future, done
        future.add_done_callback(lambda _: post(lambda: self._take(future)))

    def _take(self, future: "Future[Any]") -> None:
        if self._pending is None or self._pending[0] is not future:
            return  # `wait` was quicker
        done = self._pending[1]
        self._pending = None
        done(future.result())

    def wait(self) -> None:
        """Until nothing is being done any more, what `done` begins included."""
        while self._pending is not None:
            future = self._pending[0]
            future.exception()
            self._take(future)

    def close(self) -> None:
        """Wait, and let the thread go."""
        self.wait()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None


def _outcome(work: Callable[[], T]) -> T | OSError:
    try:
        return work()
    except OSError as error:
        return error
