"""A keepalived newer than the machine's, from Debian sid, unpacked into a directory of its own: nothing is installed.

`python -m benchmarks.native.newer_keepalived` fetches it with apt, from the archive the machine already uses and with
the machine's keys. keepalived and every library it needs, the C library too, are unpacked, and its program is told to
take them from there. The benchmarks use it from then on ($KEEPALIVED overrules).
"""

import os
import re
import subprocess
from pathlib import Path

WHERE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fastha-bench" / "keepalived"
OPTIONS = Path("etc/keepalived/keepalived.config-opts")
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu")


def fetched() -> Path | None:
    """The program, when it was fetched before and runs."""
    program = WHERE / "root/usr/sbin/keepalived"
    if not program.exists():
        return None
    done = subprocess.run([program, "--version"], capture_output=True, check=False)
    return program if done.returncode == 0 else None


def sources() -> str:
    """The machine's main Debian archive, suite sid."""
    for path in sorted(Path("/etc/apt").glob("sources.list.d/*.sources")):
        for stanza in path.read_text().split("\n\n"):
            if re.search(r"^URIs:.*/debian/?$", stanza, re.MULTILINE):
                return re.sub(r"^Suites:.*$", "Suites: sid", stanza, flags=re.MULTILINE)
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt").glob("sources.list.d/*.list"))]:
        line = (
            re.search(r"^deb (?:\[.*?\] )?(\S+/debian/?) ", path.read_text(), re.MULTILINE) if path.exists() else None
        )
        if line:
            return f"Types: deb\nURIs: {line[1]}\nSuites: sid\nComponents: main\n"
    raise SystemExit("no Debian archive among the sources of apt")


def apt(*arguments: str) -> None:
    """apt-get with lists, cache and status of its own."""
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (WHERE / name).mkdir(parents=True, exist_ok=True)
    (WHERE / "status").touch()
    (WHERE / "sid.sources").write_text(sources())
    settings = {
        "Dir::Etc::sourcelist": WHERE / "sid.sources", "Dir::Etc::sourceparts": WHERE / "parts",
        "Dir::State::lists": WHERE / "lists", "Dir::State::status": WHERE / "status", "Dir::Cache": WHERE / "cache",
        "Debug::NoLocking": "1", "APT::Install-Recommends": "0", "APT::Sandbox::User": "root",
        "APT::Keep-Downloaded-Packages": "1", "Acquire::Languages": "none",
    }  # fmt: skip
    options = [f"-o{name}={value}" for name, value in settings.items()]
    subprocess.run(["apt-get", "-q", "-y", *options, *arguments], stdin=subprocess.DEVNULL, check=True)


def main() -> None:
    apt("update")
    apt("install", "--download-only", "keepalived")
    root = WHERE / "root"
    root.mkdir(exist_ok=True)
    for package in sorted((WHERE / "cache/archives").glob("*.deb")):
        if re.match(r"(keepalived|lib.+)_", package.name):
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    program = root / "usr/sbin/keepalived"
    directories = [root / name for name in LIBRARIES if (root / name).is_dir()]
    loader = next(path for name in directories for path in name.glob("ld-linux-*"))
    rpath = ":".join(map(str, directories))
    subprocess.run(
        ["patchelf", "--set-interpreter", loader, "--force-rpath", "--set-rpath", rpath, program], check=True
    )
    if (root / OPTIONS).exists() and not (Path("/") / OPTIONS).exists():
        # it wants to know how it was built, at a path that is compiled in
        (Path("/") / OPTIONS).parent.mkdir(exist_ok=True)
        (Path("/") / OPTIONS).write_bytes((root / OPTIONS).read_bytes())
    if not fetched():
        raise SystemExit(f"{program} does not run")
    subprocess.run([program, "--version"], check=True)


if __name__ == "__main__":
    main()
