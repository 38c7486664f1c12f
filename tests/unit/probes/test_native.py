"""The thread of the probe engine never needs Python: shown on the C that Cython makes of its code."""

import os
import re
import threading
from pathlib import Path

import pytest

from fastha._checks import ProbeEngine
from tests.poll import until

ROOT = Path(__file__).parents[3]
LAYERS = (
    "probe_turn", "probe_flight", "probe_sockets", "probe_stream", "probe_begin", "probe_parked", "wheel", "ring",
    "http_reply", "http_frame", "talk", "proxy_header", "tls",
)  # fmt: skip
PYTHON = re.compile(
    r"\b(PyGILState|PyEval|PyErr|Py_INCREF|Py_DECREF|__Pyx_\w*(?:GIL|ErrOcc|Raise|Traceback|Unraisable))\w*"
)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The C file, translated anew."""
    compiler = pytest.importorskip("Cython.Compiler.Main", reason="Cython is not installed")
    target = tmp_path_factory.mktemp("cython") / "_checks.c"
    options = compiler.CompilationOptions(
        include_path=[str(ROOT / "fastha/_c")], output_file=str(target), language_level=3,
        compiler_directives={"boundscheck": False, "wraparound": False, "cdivision": True, "initializedcheck": False},
    )  # fmt: skip
    result = compiler.compile(str(ROOT / "fastha/_checks.pyx"), options, full_module_name="fastha._checks")
    assert result.num_errors == 0
    return target.read_text()


def test_no_python_in_the_thread(code: str) -> None:
    name = rf"__pyx_f_\d+(?:{'|'.join(LAYERS)})_\w+"
    bodies = dict(re.findall(rf"\nstatic [\w *]*?({name})\([^;{{]*\) {{\n(.*?)\n}}\n", code, re.DOTALL))
    assert len(bodies) > 50
    for function, body in bodies.items():
        assert not PYTHON.findall(body), function


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to go before others")
@pytest.mark.parametrize("urgent", [True, False])
def test_the_thread_goes_before_python_when_it_is_told_to(urgent: bool) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    own = os.getpriority(os.PRIO_PROCESS, 0)
    engine = ProbeEngine(cap=1, urgent=urgent)
    engine.start()
    try:
        (thread,) = (each for each in threading.enumerate() if each.ident not in before)
        wanted = max(-20, own - 10) if urgent else own
        until(lambda: os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) == wanted, f"priority {wanted}")
    finally:
        engine.stop()
