"""Build the two extensions; everything else is declared in pyproject.toml.

FASTHA_BUILD=debug     no optimisation, line tracing
FASTHA_BUILD=sanitize  address and undefined-behaviour sanitizers (run Python with LD_PRELOAD=libasan.so)
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

MODE = os.environ.get("FASTHA_BUILD", "release")
COMPILE = ["-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Wno-unused-parameter", "-Wno-sign-conversion"]
LINK = ["-Wl,-z,relro", "-Wl,-z,now"]
if MODE == "release":
    COMPILE += ["-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-fno-strict-overflow"]
elif MODE == "sanitize":
    COMPILE += ["-O1", "-g", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    LINK += ["-fsanitize=address,undefined"]
else:
    COMPILE += ["-O0", "-g"]


def extension(name: str, libraries: tuple[str, ...] = ()) -> Extension:
    """An extension module `fastha.NAME` from `fastha/NAME.pyx`."""
    return Extension(
        f"fastha.{name}",
        [f"fastha/{name}.pyx"],
        libraries=list(libraries),
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
        define_macros=[("_GNU_SOURCE", "1")],
    )


setup(
    ext_modules=cythonize(
        [extension("_vrrp", ("crypto",)), extension("_checks", ("ssl", "crypto", "pcre2-8"))],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "linetrace": MODE == "debug",
        },
        include_path=["fastha/_c"],
        annotate=bool(os.environ.get("FASTHA_ANNOTATE")),
    )
)
