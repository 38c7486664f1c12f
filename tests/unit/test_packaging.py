"""What `python -m build` makes works outside the checkout."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist of what is checked in or lies here, and the wheel made from that sdist."""
    dist = tmp_path_factory.mktemp("dist")
    argv = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(ROOT)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return dist


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed in an empty directory."""
    target = tmp_path_factory.mktemp("installed")
    wheel = next(built.glob("*.whl"))
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(argv, check=True, capture_output=True)
    return target


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *words],
        cwd=installed,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_sdist_has_what_a_build_and_a_reader_need(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("LICENSE", "README.md", "dev", "setup.py", "pyproject.toml", "fastha/_vrrp.pyx", "fastha/_checks.pyi"):
        assert name in names
    assert any(name.startswith("fastha/_c/") and name.endswith(".pxd") for name in names)
    assert any(name.startswith("tests/simulation/") for name in names)
    assert not any(name.endswith((".so", ".pyc", "_vrrp.c", "_checks.c")) for name in names)


def test_wheel_runs_outside_the_checkout(installed: Path) -> None:
    where = run(installed, "-c", "import fastha._vrrp as v, fastha._checks as c; print(v.__file__, c.__file__)")
    assert where.stdout.count(str(installed)) == 2, where.stdout + where.stderr
    assert run(installed, "-m", "fastha", "--version").stderr.startswith("fastha ")
    assert (installed / "bin" / "fastha").exists()
    assert (installed / "fastha" / "py.typed").exists()


def test_wheel_brings_its_examples(installed: Path) -> None:
    listed = run(installed, "-m", "fastha", "lab", "--list")
    assert "master-backup" in listed.stdout, listed.stderr
    for example in (installed / "fastha" / "examples").iterdir():
        if example.is_dir():
            assert (example / "director1.conf").exists()
            assert (example / "director2.conf").exists()


def test_wheel_judges_a_configuration(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text("vrrp_instance one {\n    interface lo\n    virtual_router_id 1\n    prioritx 100\n}\n")
    done = run(installed, "-m", "fastha", "-t", "-c", str(file))
    assert done.returncode != 0
    assert "priority" in done.stderr, done.stderr
