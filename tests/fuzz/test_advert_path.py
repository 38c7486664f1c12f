"""The path of adverts under strangers' octets, with the engine as it is and as built with sanitizers."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from fastha._vrrp import AdvertEngine
from tests.fuzz.advert_path import run

ROOT = Path(__file__).parents[2]
CYTHON = Path(sys.executable).parent / "cython"
SANITIZERS = "-fsanitize=address,undefined -fno-omit-frame-pointer -O1 -g"


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_is_counted_and_hurts_nobody(seed: int) -> None:
    stats = run(AdvertEngine(16), seed, 2000)
    assert min(stats[name] for name in ("expected", "reported", "unknown_vrid", "too_short", "truncated")) > 0


def libasan() -> str:
    if shutil.which("gcc") is None or not CYTHON.exists():
        return ""
    found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=False)
    return found.stdout.strip() if os.path.isabs(found.stdout.strip()) else ""


@pytest.mark.skipif(not libasan(), reason="gcc's address sanitizer and Cython are needed")
def test_with_sanitizers(tmp_path: Path, soak: bool) -> None:
    """A wrong access, or anything undefined, ends the program."""
    directives = [f"-X{name}" for name in ("boundscheck=False", "wraparound=False", "cdivision=True")]
    source, extension = tmp_path / "_vrrp.c", tmp_path / "_vrrp.so"
    subprocess.run(
        [CYTHON, "-3", *directives, "-I", "fastha/_c", "fastha/_vrrp.pyx", "-o", source], cwd=ROOT, check=True
    )
    include = f"-I{sysconfig.get_path('include')}"
    flags = ["-shared", "-fPIC", "-std=gnu11", "-D_GNU_SOURCE", *SANITIZERS.split()]
    subprocess.run(["gcc", *flags, include, source, "-o", extension, "-lcrypto"], check=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": libasan(),
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    words = ["--extension", extension, "--packets", "20000", "--seconds", "1800" if soak else "0"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.advert_path", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert str(extension) in done.stdout
