"""A real browser, for what only a browser shows."""

import os
import subprocess
from pathlib import Path

from tests.services.process import INSTALL_SCRIPT, ServiceMissing, binary, scratch_folder

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--virtual-time-budget=5000",
)


def program() -> str:
    """The path of the browser. Raises ServiceMissing."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        try:
            return binary(name)
        except ServiceMissing:
            continue
    msg = f"chromium is not installed; run {INSTALL_SCRIPT} as root"
    raise ServiceMissing(msg)


def _run(*arguments: str) -> str:
    # Chromium has no sandbox for root; what it opens here are the tests' own pages.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    profile = scratch_folder("chromium")
    argv = [program(), *FLAGS, *sandbox, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def page_after_scripts(url: str) -> str:
    """The page's HTML as it stands once its scripts have run."""
    return _run("--dump-dom", url)


def screenshot(url: str, path: Path, *, width: int = 1280, height: int = 900) -> None:
    """A PNG of the page lies at `path`."""
    _run(f"--window-size={width},{height}", f"--screenshot={path}", url)
