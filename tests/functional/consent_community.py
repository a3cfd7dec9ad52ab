"""A small exchange without archives: facilities, patients and an EHR, as an operator sets them up from the shell."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from gateway.cli.main import main
from tests import canary
from tests.factories_consent import a_resource
from tests.services.exchange import NATIONAL_IDS, add_client, domain_of, facilities_toml
from tests.services.gateway import Gateway

FACILITIES = ("north", "south")
PEOPLE = ("anne", "boris", "chloe", canary.MRN)
"""PatientIDs, the same in both facilities; the planted patient among them."""


class Shell(Gateway):
    """The gateway's commands in this process: the same entry, arguments, settings and exit codes, ten times as fast."""

    def run(self, *arguments: str, expect: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """What `python -m gateway ARGUMENTS` does and says."""
        written, err, status = io.BytesIO(), io.StringIO(), 0
        out = io.TextIOWrapper(written)
        with self._as_process(arguments, stdin or ""), redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as exc:
                status = int(exc.code or 0)
        out.flush()
        said, told = written.getvalue().decode(), err.getvalue()
        canary.record(told, f"standard error of gateway {' '.join(arguments[:2])}")
        assert status == expect, f"exit {status}, not {expect}:\n{said}\n{told}"
        return subprocess.CompletedProcess(arguments, status, said, told)

    @contextmanager
    def _as_process(self, arguments: tuple[str, ...], stdin: str) -> Iterator[None]:
        before = dict(os.environ), sys.argv, sys.stdin
        sys.argv, sys.stdin = ["gateway", *arguments], io.TextIOWrapper(io.BytesIO(stdin.encode()))
        os.environ.update(self.env)
        try:
            with chdir(self.folder):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before[0])
            sys.argv, sys.stdin = before[1:]


def a_gateway(**settings: str) -> Shell:
    """Two facilities, each of the people known in both as one person, and the EHR of north."""
    gateway = Shell({"GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL_IDS, **settings})
    gateway.prepare("db", "upgrade")
    tables = [
        {
            "id": id_,
            "name": f"{id_.title()} Hospital",
            "identifier_system": domain_of(id_),
            "query_url": "http://127.0.0.1:9/dicom-web",
        }
        for id_ in FACILITIES
    ]
    gateway.prepare("facilities", "apply", str(gateway.write("facilities.toml", facilities_toml(tables))))
    patients = [_patient(name, facility) for name in PEOPLE for facility in FACILITIES]
    gateway.prepare("patients", "load", str(gateway.write("patients.ndjson", ndjson(patients))))
    add_client(gateway, organization="north")
    return gateway


def _patient(name: str, facility: str) -> dict[str, Any]:
    planted = name == canary.MRN
    return {
        "resourceType": "Patient",
        "identifier": [
            {"system": domain_of(facility), "value": name},
            {"system": NATIONAL_IDS, "value": canary.NATIONAL_ID if planted else f"id of {name}"},
        ],
        "name": [{"family": canary.FAMILY if planted else name.title(), "given": ["A"]}],
        "birthDate": canary.BIRTH_DATE,
    }


def ndjson(lines: Iterable[Mapping[str, Any] | str]) -> str:
    """A line each: resources as JSON, texts as they are."""
    return "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)


def patient_named(name: str, facility: str = "north") -> dict[str, Any]:
    """A reference to a patient by a facility's PatientID."""
    return {"identifier": {"system": domain_of(facility), "value": name}}


def consent_of(name: str, provision: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A Consent of that person, by default one that permits treatment; its id is `c-` and the name."""
    stated = {"id": f"c-{name}", "patient": patient_named(name), **changes}
    return a_resource(dict(provision) if provision else None, **stated)


def load_consents(gateway: Gateway, *lines: Mapping[str, Any] | str, expect: int = 0) -> dict[str, Any]:
    """What `consents load --json` says of these lines."""
    report: dict[str, Any] = gateway.run_json(
        "consents", "load", str(gateway.write("consents.ndjson", ndjson(lines))), expect=expect
    )
    return report


def explain(gateway: Gateway, name: str, *options: str, client: str = "ehr") -> dict[str, Any]:
    """What `explain --json` says of that person."""
    argv = ("explain", "--client", client, "--patient", f"{domain_of('north')}|{name}", *options)
    explained: dict[str, Any] = gateway.run_json(*argv)
    return explained
