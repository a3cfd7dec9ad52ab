"""The limit: the least that a Flask program which fans out with libcurl can do. No token, identity, consent or audit.

`GET /ImagingStudy?patient.identifier=…|N` sends the same requests to the facilities, parses, concatenates and dumps.
"""

import os
import threading
from io import BytesIO

import orjson
import pycurl
from flask import Flask, Response, request

from bench.bare_server import BareServer

URLS = os.environ["BENCH_URLS"].split()
QUERIES = {"studies": os.environ["BENCH_STUDIES_QUERY"], "series": os.environ["BENCH_SERIES_QUERY"]}
"""What follows the PatientID in the requests that the gateway sends."""
app = Flask(__name__)
local = threading.local()


def handles() -> tuple[pycurl.CurlMulti, list[tuple[pycurl.Curl, BytesIO]]]:
    if not hasattr(local, "handles"):
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_MAXCONNECTS, 100)
        local.handles = multi, [(pycurl.Curl(), BytesIO()) for _ in range(2 * len(URLS))]
    found: tuple[pycurl.CurlMulti, list[tuple[pycurl.Curl, BytesIO]]] = local.handles
    return found


@app.get("/ImagingStudy")
def search() -> Response:
    patient = request.args["patient.identifier"].rpartition("|")[2]
    multi, easies = handles()
    wanted = []
    for number, url in enumerate(URLS):
        wanted += [f"{url}/{level}?PatientID=F{number}-{patient}{query}" for level, query in QUERIES.items()]
    for (curl, body), url in zip(easies, wanted, strict=True):
        body.seek(0)
        body.truncate()
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.TIMEOUT_MS, 3000)
        curl.setopt(pycurl.WRITEFUNCTION, body.write)
        multi.add_handle(curl)
    running = len(easies)
    while running:
        _, running = multi.perform()
        if running:
            multi.poll(1.0) if hasattr(multi, "poll") else multi.select(1.0)
    entries: list[object] = []
    for curl, body in easies:
        multi.remove_handle(curl)
        entries += orjson.loads(body.getvalue())
    return Response(orjson.dumps({"resourceType": "Bundle", "entry": entries}), content_type="application/fhir+json")


if __name__ == "__main__":
    BareServer(app).run()
