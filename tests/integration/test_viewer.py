"""OHIF opens a study through the gate in a real browser, and is refused once consent is withdrawn."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, sync_playwright

from tests.services import chromium, dicom_files
from tests.services.fetching import Fetching
from tests.services.person import PASSWORD
from tests.services.process import scratch_folder
from tests.services.viewer import Viewer

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NORTH = dicom_files.ARCHIVES["NORTH"]
MUELLER_CT, MUELLER_CR = NORTH[:2]
SHOWN_WITHIN_MS = 60_000
SETTLED_MS = 2_000
SIZE: ViewportSize = {"width": 1400, "height": 900}
FLAGS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
SEEN = Path(os.environ.get("TEST_SCREENSHOTS", scratch_folder("screenshots")))
"""Where the pictures lie: a folder of the run, or of whoever wants to look at them."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, drawing by software."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium.program(), args=FLAGS)
        yield started
        started.close()


@cache
def link_to(fetching: Fetching) -> str:
    """The EHR's link to Müller's CT."""
    entries = fetching.search(MUELLER_CT.person, "north").json()["entry"]
    studies = [one["resource"] for one in entries if one["resource"]["resourceType"] == "ImagingStudy"]
    found = [one["id"] for one in studies if any(MUELLER_CT.uid in word["value"] for word in one["identifier"])]
    return f"{fetching.gateway.url}/retrieval/view?study={found[0]}"


class Watched:
    """A page with what it asked for, and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.answers: list[tuple[int, str]] = []
        self.complaints: list[str] = []
        self.withdrawn = False
        page.add_init_script("localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))")
        page.on("response", lambda answer: self.answers.append((answer.status, answer.url)))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def statuses(self, part: str) -> list[int]:
        """The statuses of all answers whose address has `part` in it."""
        return [status for status, url in self.answers if part in url]


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A page of a browser that knows nobody yet; the servers' certificates sign themselves."""
    context = browser.new_context(ignore_https_errors=True, viewport=SIZE)
    yield Watched(context.new_page())
    context.close()


def open_study(watched: Watched, fetching: Fetching) -> str:
    """From the EHR's link, over the sign-in, to the viewer; the address by which it was started."""
    page = watched.page
    page.goto(link_to(fetching))
    page.fill("input[name=login]", "doc")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("text=Open a study", timeout=SHOWN_WITHIN_MS)
    page.screenshot(path=SEEN / "view.png")
    page.set_viewport_size({"width": 390, "height": 844})
    page.screenshot(path=SEEN / "view-narrow.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size(SIZE)
    with page.expect_request(lambda request: "/viewer#" in request.url or request.url.endswith("/viewer")) as started:
        page.click("[aria-label='Open the images of North Hospital']")
    response = started.value.redirected_from
    assert response is not None
    sent = response.response()
    assert sent is not None
    return sent.headers["location"]


EVIL = "https://evil.example"


def poison(route: Route) -> None:
    """The archive's metadata, as it would be if it sent readers elsewhere."""
    answer = route.fetch()
    rows = answer.json()
    for row in rows:
        row["00081190"] = {"vr": "UR", "Value": [f"{EVIL}/studies/1"]}
        row["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{EVIL}/pixels"}
        row["00420011"] = {"vr": "OB", "BulkDataURI": "javascript:alert(1)"}
    route.fulfill(response=answer, json=rows)


def test_t101_ohif_shows_the_study_and_goes_nowhere_else(watched: Watched, fetching: Fetching, viewer: Viewer) -> None:
    """With a token for that study alone, of which nothing is in an address; the link is then used up.

    Where the archive's answers name other hosts, nothing is asked of them.
    """
    page = watched.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/metadata", poison)
    opened = open_study(watched, fetching)
    page.wait_for_selector("canvas", timeout=SHOWN_WITHIN_MS)
    page.wait_for_function("document.body.innerText.includes('Thorax nativ')", timeout=SHOWN_WITHIN_MS)
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=SEEN / "viewer.png")

    assert watched.statuses("/frames/") == [200] * MUELLER_CT.instances
    ours = (fetching.gateway.url, fetching.gate.origin, viewer.origin, "blob:", "data:")
    assert [url for url in asked if not url.startswith(ours)] == []
    refused = [url for status, url in watched.answers if status >= 400]
    assert len(refused) == len([url for url in refused if f"00100020={MUELLER_CT.person.patient_id}" in url])
    assert not [words for words in watched.complaints if "Content Security Policy" in words]
    assert page.url == f"{viewer.launch_url}?StudyInstanceUIDs={MUELLER_CT.uid}"
    said = viewer.log.read_text()
    assert "GET /viewer " in said
    assert MUELLER_CT.uid not in said
    assert "code=" not in said

    page.goto("about:blank")
    page.goto(opened)
    page.wait_for_selector("text=This link has been used", timeout=SHOWN_WITHIN_MS)
    page.screenshot(path=SEEN / "used.png")


def test_t097_ohif_is_refused_once_consent_is_withdrawn(watched: Watched, fetching: Fetching) -> None:
    """It has its token and the list of series; then consent is withdrawn, and no metadata and no image comes."""
    page = watched.page

    def withdraw(route: Route) -> None:
        if not watched.withdrawn:
            watched.withdrawn = True
            fetching.file_consent(MUELLER_CT.person, "north", {"type": "deny"})
        route.continue_()

    page.route("**/metadata", withdraw)
    open_study(watched, fetching)
    page.wait_for_selector("text=not open to you", timeout=SHOWN_WITHIN_MS)
    page.screenshot(path=SEEN / "withdrawn.png")

    assert 200 in watched.statuses("/series?")
    assert set(watched.statuses("/metadata")) == {403}
    assert watched.statuses("/frames/") == []
    again = page.goto(link_to(fetching))
    assert again is not None
    assert again.status == 404
    fetching.bar_study(MUELLER_CR, "north")
