"""Keeps servers that know no address to listen on from being reached by others."""

import subprocess
from functools import cache
from pathlib import Path

from tests.services.process import binary, scratch_folder

SOURCE = Path(__file__).with_name("loopback.c")


@cache
def preload() -> str:
    """A library for LD_PRELOAD, under which a server listens on loopback only. Compiled once a run."""
    library = scratch_folder("loopback") / "loopback.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
    subprocess.run([binary("gcc"), *flags, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return str(library)
