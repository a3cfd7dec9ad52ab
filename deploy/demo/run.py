"""`make demo`: an exchange of three facilities on this machine, and one federated query through it.

PORT (8080) and DATA_DIR (var/demo) may be set; ONCE=1 ends after the query, with status 0 if the answer is right.
"""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pydicom.errors
import requests

from deploy.demo import dicom_files, ehr, exchange_files, folder, samples
from deploy.demo.exchange_files import ExchangeFiles
from deploy.demo.processes import DemoFailed, Operator, Processes, clean_environment, tail, told_port, wait_until
from deploy.demo.samples import SITES
from deploy.demo.screen import Asked, Screen, show_answer, show_asked, show_fetched

ROOT = Path(__file__).parents[2]
NAMES = {site.id: site.name for site in SITES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """One demo: where it lives, and what it needs to start."""

    port: int
    folder: Path
    once: bool
    screen: Screen

    @property
    def base_url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def gateway_env(self) -> dict[str, str]:
        """The settings of the gateway."""
        return {
            "PYTHONPATH": str(ROOT),
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "GATEWAY_DATA_DIR": str(self.folder.resolve()),
            "GATEWAY_CONSENT_POLICY": "basic-normal",
            "GATEWAY_STRONG_IDENTIFIER_SYSTEMS": samples.NATIONAL_ID,
        }

    @property
    def log(self) -> Path:
        """What the gateway and the archives log."""
        return self.folder / "demo.log"


def main() -> None:
    """Run the demo. Exits 0, or 1 where something failed or the answer is wrong."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _stop)
    os.umask(0o077)  # keys, patients and the database are its owner's alone
    try:
        demo = Demo(
            port=_port(os.environ.get("PORT") or "8080"),
            folder=Path(os.environ.get("DATA_DIR") or "var/demo"),
            once=os.environ.get("ONCE", "") not in ("", "0"),
            screen=Screen.of_this_process(),
        )
        _require_free(demo.port)
        with folder.held(demo.folder), Processes(clean_environment(demo.gateway_env)) as processes:
            run(demo, processes)
    except (DemoFailed, ValueError, OSError) as exc:
        print(f"\nThe demo can't go on: {exc}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nstopped")


def _stop(number: int, _frame: object) -> NoReturn:
    sys.exit(0 if number == signal.SIGTERM else 128 + number)


def run(demo: Demo, processes: Processes) -> None:
    """Set up, ask, show, and serve. Raises DemoFailed."""
    screen = demo.screen
    screen.say(screen.bold("\nImaging exchange gateway") + screen.dim("  one question, every facility, one answer\n"))
    demo.log.write_bytes(b"")
    operator = Operator(processes, demo.log)
    archives = _start_archives(demo, processes)
    urls = {id_: f"http://127.0.0.1:{port}/dicom-web" for id_, (_, port) in archives.items()}
    files = exchange_files.write(demo.folder, urls, demo.gateway_env)
    gateway = _start_gateway(demo, processes, operator, files)
    url = ehr.search_url(f"{demo.base_url}/fhir/r4")
    answer = _ask(url, operator, files)
    problems = ehr.problems_in(answer)
    _show(demo, operator, answer, url)
    if problems:
        raise DemoFailed("the answer is wrong:\n  " + "\n  ".join(problems))
    _fetch(demo, answer)
    if demo.once:
        screen.say(screen.green("\nThe answer is what the archives hold and the patient permits.\n"))
        return
    _show_next_steps(demo, files, url, {id_: process.pid for id_, (process, _) in archives.items()})
    while gateway.poll() is None:
        time.sleep(0.2)
    raise DemoFailed("the gateway stopped; the end of its log:\n" + tail(demo.log))


def _port(text: str) -> int:
    """The port that `text` says. Raises DemoFailed."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise DemoFailed("PORT must be a number from 1 to 65535: make demo PORT=8081")


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            other = port + 1 if port < 65535 else port - 1
            raise DemoFailed(f"port {port} can't be used; choose another: make demo PORT={other}") from exc


def _start_archives(demo: Demo, processes: Processes) -> dict[str, tuple[subprocess.Popen[str], int]]:
    """The archives' processes and ports by facility, each serving its own files."""
    count = 0
    started = {}
    accounts = [":".join(account) for account in (exchange_files.GATEWAY_ACCOUNT, exchange_files.EHR_ACCOUNT)]
    users = [word for account in accounts for word in ("--user", account)]
    for site in SITES:
        files = demo.folder / "archives" / site.id
        count += dicom_files.write(site, samples.HOLDINGS[site.id], files)
        arguments = [str(files), *users, "--delay-ms", str(site.delay_ms)]
        started[site.id] = processes.start("deploy.demo.archive", *arguments, log=demo.log, speaks=True)
    archives = {id_: (process, told_port(process, NAMES[id_])) for id_, process in started.items()}
    demo.screen.done(f"{len(SITES)} sample facilities", f"{count} real DICOM files, over QIDO-RS and WADO-RS")
    return archives


def _start_gateway(demo: Demo, processes: Processes, operator: Operator, files: ExchangeFiles) -> subprocess.Popen[str]:
    """The gateway, fed as its operator feeds it, and ready."""
    screen = demo.screen
    operator.run("db", "upgrade")
    gateway = processes.start("gateway", "serve", log=demo.log)  # it gets ready while it is being fed
    operator.run("facilities", "apply", str(files.facilities))
    loaded = json.loads(operator.run("patients", "load", str(files.patients), "--json"))
    screen.done("patients", f"{_total(loaded)} records of facilities, linked to persons by national number")
    loaded = json.loads(operator.run("consents", "load", str(files.consents), "--json"))
    screen.done("consents", f"{_total(loaded)} on file; who has none: shared for treatment (opt-out)")
    _register_client(operator, files)
    screen.done("one EHR", f"{exchange_files.EHR_NAME}, SMART Backend Services, for treatment")
    wait_until(lambda: _is_ready(demo.base_url), gateway, demo.log)
    screen.done("the gateway", f"{demo.base_url}/fhir/r4  (process {gateway.pid})")
    return gateway


def _total(loaded: Mapping[str, Any]) -> int:
    return sum(int(loaded[name]) for name in ("loaded", "updated", "unchanged"))


def _register_client(operator: Operator, files: ExchangeFiles) -> None:
    operator.run(
        *("clients", "add", exchange_files.EHR_ID, "--name", exchange_files.EHR_NAME),
        *("--organization", exchange_files.EHR_ORGANIZATION, "--jwks", str(files.public_jwks)),
        *("--scope", exchange_files.SCOPE, "--purpose", exchange_files.PURPOSE),
    )


def _is_ready(base_url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{base_url}/readyz", timeout=2).ok
    return False


def _ask(url: str, operator: Operator, files: ExchangeFiles) -> ehr.Answer:
    """The answer to the one query, asked with a token of the EHR's own."""
    token = operator.run(*exchange_files.token_command(files)).strip()
    try:
        return ehr.ask(url, token)
    except requests.RequestException as exc:
        raise DemoFailed(f"the query failed: {exc}") from exc


def _show(demo: Demo, operator: Operator, answer: ehr.Answer, url: str) -> None:
    screen = demo.screen
    asked = _what_was_asked(operator)
    slowest = max((one.milliseconds or 0 for one in asked), default=0)
    screen.title("The query")
    screen.say(f"\n  GET {screen.cyan(url)}")
    clinician = exchange_files.CLINICIAN["name"]
    words = f"as {exchange_files.EHR_NAME}, for {clinician}, purpose of use: treatment"
    screen.say(f"\n  {screen.dim(words)}")
    screen.title("The answer")
    took = f"in {answer.seconds:.2f} s; the slowest facility took {slowest / 1000:.2f} s"
    total = f"{answer.bundle.get('total')} studies"
    screen.say(f"\n  {screen.bold(total)} {took}")
    show_answer(screen, answer, NAMES)
    screen.title("What was asked of whom (for the operator: none of this is in the answer)")
    show_asked(screen, asked)


def _what_was_asked(operator: Operator) -> list[Asked]:
    """From the audit of the query, and from `explain` for what consent withheld."""
    patient = f"{samples.NORTH.identifier_system}|{samples.ASKED_ABOUT.mrn}"
    exported = operator.run("audit", "export", "--format", "records", "--patient", patient)
    records = [json.loads(line) for line in exported.splitlines()]
    record = [one for one in records if one["kind"] == "imaging-search"][-1]
    explained = json.loads(operator.run("explain", "--client", exchange_files.EHR_ID, "--patient", patient, "--json"))
    replies = {one["facility"]: one for one in record.get("asked", [])}
    reasons = {one["facility"]: one["reason"] for one in explained["decisions"]}
    found = []
    for site in SITES:
        mrn = samples.studies_of_the_patient(site)[0].person.mrn
        reply = replies.get(site.id)
        if reply is None:
            why = reasons.get(site.id, "no record of her")
            found.append(Asked(name=site.name, mrn=mrn, outcome="not asked, not named in the answer", why=why))
            continue
        words = f"{reply['studies']} studies" if reply["status"] == "answered" else reply["status"].replace("_", " ")
        found.append(Asked(name=site.name, mrn=mrn, outcome=words, milliseconds=reply["elapsed_ms"]))
    return found


def _fetch(demo: Demo, answer: ehr.Answer) -> None:
    demo.screen.title("The images, fetched by the links of the first study")
    try:
        show_fetched(demo.screen, ehr.fetch(answer, NAMES))
    except (requests.RequestException, pydicom.errors.InvalidDicomError) as exc:
        raise DemoFailed(f"the images can't be fetched: {exc}") from exc


def _show_next_steps(demo: Demo, files: ExchangeFiles, url: str, pids: Mapping[str, int]) -> None:
    screen = demo.screen
    screen.title("Your turn")
    curl = f"curl -s -H \"Authorization: Bearer $({shlex.quote(str(files.token))})\" '{url}' | python3 -m json.tool"
    screen.say(f"\n  Ask again:\n    {screen.cyan(curl)}")
    north = samples.NORTH
    screen.say(f"\n  Take {north.name} away and ask again: the rest comes, and the answer names who is missing:")
    screen.say(f"    {screen.cyan(f'kill {pids[north.id]}')}")
    screen.say("\n  Ask about somebody else (patient.identifier):")
    for identifier, name in _others().items():
        screen.say(f"    {screen.cyan(f'{identifier:<34}')} {name}")
    screen.say(f"\n  {screen.dim(f'log: {demo.log}   stop: Ctrl-C')}\n")


def _others() -> dict[str, str]:
    """The other persons, each by one identifier."""
    known = {samples.ASKED_ABOUT.national_id}
    found = {}
    for site in SITES:
        for person in (study.person for study in samples.HOLDINGS[site.id]):
            if not known & {person.national_id or person.mrn}:
                known.add(person.national_id or person.mrn)
                found[f"{site.identifier_system}|{person.mrn}"] = f"{person.given} {person.family}"
    return found


if __name__ == "__main__":
    main()
