"""What the operator of the sample exchange hands to the gateway: facilities, patients, consents, one EHR's key."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from deploy.demo import samples
from deploy.demo.samples import NATIONAL_ID, SITES, Person, Site

GATEWAY_ACCOUNT = ("gateway", "demo-gateway")
"""The account that every sample archive has for the gateway ..."""
EHR_ACCOUNT = ("ehr", "demo-ehr")
"""... and for the EHR's viewer: links are `own`, so each facility lets in whom it knows."""
EHR_ID = "lakeside-ehr"
EHR_NAME = "Lakeside EHR"
EHR_ORGANIZATION = "https://lakeside.example"
SCOPE = "system/ImagingStudy.rs system/Patient.rs"
PURPOSE = "TREAT"
CLINICIAN = {"id": "1234567893", "name": "Dr. Ngozi Okafor", "role": "Physician"}
"""Who asks through the EHR: in the token, the consent decision and the audit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeFiles:
    """Where the files lie."""

    facilities: Path
    patients: Path
    consents: Path
    public_jwks: Path
    private_jwk: Path
    token: Path
    """A script that prints a fresh access token of the EHR."""


def write(folder: Path, archive_urls: Mapping[str, str], gateway_env: Mapping[str, str]) -> ExchangeFiles:
    """All files are in `folder`; the EHR's key is kept where there is one already."""
    files = ExchangeFiles(
        facilities=folder / "facilities.toml",
        patients=folder / "patients.ndjson",
        consents=folder / "consents.ndjson",
        public_jwks=folder / "ehr-public.jwks.json",
        private_jwk=folder / "ehr-private.jwk.json",
        token=folder / "token",
    )
    files.facilities.write_text("\n".join(_facility(site, archive_urls[site.id]) for site in SITES))
    files.patients.write_text(_lines(_patients()))
    files.consents.write_text(_lines([_consent()]))
    _write_keys(files)
    _write_token_script(files, gateway_env)
    return files


def _facility(site: Site, url: str) -> str:
    user, password = GATEWAY_ACCOUNT
    keys: dict[str, object] = {
        "id": site.id,
        "name": site.name,
        "identifier_system": site.identifier_system,
        "issuer": site.issuer,
        "time_zone": site.time_zone,
        "adapter": "dicomweb",
        "query_url": url,
        "deadline_ms": 3000,
        "retrieve": "own",
    }
    auth = {"type": "basic", "username": user, "password": password}
    return "\n".join(["[[facility]]", *_toml(keys), "[facility.auth]", *_toml(auth), ""])


def _toml(keys: Mapping[str, object]) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in keys.items()]


def _lines(resources: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(resource, ensure_ascii=False) + "\n" for resource in resources)


def _patients() -> list[dict[str, Any]]:
    known = {(site.id, study.person.mrn): (site, study.person) for site in SITES for study in samples.HOLDINGS[site.id]}
    return [_patient(site, person) for site, person in known.values()]


def _patient(site: Site, person: Person) -> dict[str, Any]:
    identifiers = [{"use": "usual", "system": site.identifier_system, "value": person.mrn}]
    if person.national_id:
        identifiers.append({"use": "official", "system": NATIONAL_ID, "value": person.national_id})
    return {
        "resourceType": "Patient",
        "identifier": identifiers,
        "name": [{"use": "official", "family": person.family, "given": person.given.split(" ")}],
        "gender": person.sex,
        "birthDate": person.birth_date,
    }


def _consent() -> dict[str, Any]:
    """Treatment may see everything, but nothing that the withheld facility has recorded (IHE PCF)."""
    privacy = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    category = {"system": "http://loinc.org", "code": "59284-0", "display": "Consent Document"}
    treatment = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": PURPOSE}
    patient = {"identifier": {"system": NATIONAL_ID, "value": samples.ASKED_ABOUT.national_id}}
    withheld = {"meaning": "authoredby", "reference": {"reference": f"Organization/{samples.WITHHELD.id}"}}
    return {
        "resourceType": "Consent",
        "id": "demo-leave-out-one-facility",
        "status": "active",
        "scope": {"coding": [privacy]},
        "category": [{"coding": [category]}],
        "patient": patient,
        "dateTime": "2026-09-01T09:30:00+02:00",
        "performer": [patient],
        "organization": [{"reference": f"Organization/{samples.NORTH.id}"}],
        "sourceReference": {"display": "Signed at the front desk"},
        "policy": [{"uri": "https://exchange.example/policies/sharing-for-treatment"}],
        "provision": {
            "type": "permit",
            "purpose": [treatment],
            "provision": [{"type": "deny", "data": [withheld]}],
        },
    }


def _write_keys(files: ExchangeFiles) -> None:
    if not files.private_jwk.exists():
        key = ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, auto_kid=True)
        files.private_jwk.touch(mode=0o600)
        files.private_jwk.write_text(json.dumps(key.as_dict(private=True)))
    key = ECKey.import_key(json.loads(files.private_jwk.read_text()))
    files.public_jwks.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))


def _write_token_script(files: ExchangeFiles, gateway_env: Mapping[str, str]) -> None:
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in gateway_env.items())
    command = [sys.executable, "-m", "gateway", *token_command(files)]
    files.token.write_text(
        "#!/bin/sh\n"
        "# Prints a fresh access token of the sample EHR (SMART Backend Services); it holds for five minutes.\n"
        f"{exports}exec {shlex.join(command)}\n"
    )
    files.token.chmod(0o700)


def token_command(files: ExchangeFiles) -> list[str]:
    """The `gateway` command that gets an access token as the EHR, for its clinician."""
    subject = [word for name, value in CLINICIAN.items() for word in (f"--subject-{name}", value)]
    return ["clients", "token", EHR_ID, "--key", str(files.private_jwk.resolve()), *subject]
