"""Judges FHIR R4 resources by two checkers that know nothing of the gateway.

google-fhir-r4 holds them against HL7's definitions (types, required elements, required codes); fhirkit-rs finds the
empty arrays that it passes over. A few invariants of Bundle that neither knows are held here.
"""

import json
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fhirkit

from tests.services.process import ServiceFailed, ServiceMissing

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venvs" / "validator" / "bin" / "python"
CHECK = Path(__file__).with_name("google_fhir_check.py")

Resource = Mapping[str, Any]


class FHIRValidator:
    """A running checker."""

    def __init__(self) -> None:
        if not PYTHON.exists():
            msg = "the FHIR validator is not installed; run deploy/dev/setup-tests.sh"
            raise ServiceMissing(msg)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [str(PYTHON), "-I", str(CHECK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._read()

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            msg = f"the FHIR validator ended with {self._process.wait(5)}"
            raise ServiceFailed(msg)
        return json.loads(line)

    def problems(self, resource: Resource) -> list[str]:
        """What is wrong with the resource and everything in it; nothing if it is valid R4."""
        found = [f"fhirkit: {issue}" for issue in fhirkit.validate(json.dumps(resource)) if issue.severity == "error"]
        with self._lock:
            assert self._process.stdin
            self._process.stdin.write(json.dumps(resource) + "\n")
            self._process.stdin.flush()
            found += [f"google-fhir: {problem}" for problem in self._read()]
        if resource.get("resourceType") == "Bundle":
            found += [f"bundle: {problem}" for problem in bundle_problems(resource)]
        return found

    def stop(self) -> None:
        """The checker has ended."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def bundle_problems(bundle: Resource) -> list[str]:
    """Which of bdl-1, bdl-2, bdl-7, bdl-8 (FHIR R4 Bundle) and §3.1.1 (search: self link, entry modes) don't hold."""
    entries = bundle.get("entry", [])
    searching = bundle.get("type") == "searchset"
    found = []
    if "total" in bundle and bundle.get("type") not in ("searchset", "history"):
        found.append("bdl-1: total outside a search or history")
    if not searching and any("search" in entry for entry in entries):
        found.append("bdl-2: entry.search outside a search")
    urls = [entry["fullUrl"] for entry in entries if "fullUrl" in entry]
    if len(set(urls)) != len(urls):
        found.append("bdl-7: a fullUrl occurs twice")
    if any("/_history/" in url for url in urls):
        found.append("bdl-8: a fullUrl names a version")
    if searching:
        found += _searchset_problems(bundle, entries)
    return found


def _searchset_problems(bundle: Resource, entries: list[Resource]) -> list[str]:
    found = []
    if [link["relation"] for link in bundle.get("link", [])].count("self") != 1:
        found.append("a searchset has exactly one self link")
    for entry in entries:
        mode = entry.get("search", {}).get("mode")
        is_outcome = entry.get("resource", {}).get("resourceType") == "OperationOutcome"
        if mode is None or (mode == "outcome") != is_outcome:
            found.append("an entry's search.mode is match or include, or outcome for an OperationOutcome")
        if not is_outcome and "fullUrl" not in entry:
            found.append("an entry with a resource that has an id has a fullUrl")
    return found
