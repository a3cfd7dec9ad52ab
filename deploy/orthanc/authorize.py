"""For Orthanc's Python plugin: nobody fetches an image that the exchange doesn't permit, at this moment, to them.

Speaks the web-service contract of Orthanc's authorization plugin (`POST {WebServiceRootUrl}/tokens/validate`), for
installations that have the Python plugin and not that one, such as Debian's. Everything that is not understood, not
answered or answered otherwise than the contract says is refused. The settings are those of the section `Authorization`
of Orthanc's configuration: `orthanc.json` beside this file.

A permission is remembered for as long as the service said (`validity`), and never longer than MOST_VALIDITY_S: that is
how late a revocation may be obeyed here.
"""

import base64
import hashlib
import hmac
import http.client
import json
import re
import ssl
import threading
import time
import urllib.parse

import orthanc

MOST_VALIDITY_S = 60
TIMEOUT_S = 5.0
MOST_ANSWER_BYTES = 65536
MOST_REMEMBERED = 10_000
SHORTEST_SECRET = 12

_UID = r"[0-9]+(?:\.[0-9]+)+"
_FETCHED = re.compile(
    rf"/studies/(?P<study>{_UID})(?:/series/(?P<series>{_UID})(?:/instances/(?P<instance>{_UID}))?)?"
    r"(?P<rest>(?:/(?:metadata|rendered|thumbnail|series|instances|bulk/[0-9A-Za-z/]+|frames/[0-9,]+(?:/rendered)?))?)",
    re.ASCII,
)
_SEARCHED = re.compile(r"/(?:studies|series|instances)", re.ASCII)
_STUDY_KEYS = ("StudyInstanceUID", "0020000D")
_LEVELS = ("study", "series", "instance")
_LISTING = frozenset(("includefield", "limit", "offset", "fuzzymatching", "accept"))
_FETCHING = frozenset(("accept", "annotation", "charset", "frame", "iccprofile", "quality", "viewport", "window"))


class Service:
    """The exchange's decisions, each remembered for as long as it said."""

    def __init__(self, settings):
        url = urllib.parse.urlsplit(settings["WebServiceRootUrl"])
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("Authorization.WebServiceRootUrl must be an http(s) URL")
        _require_secret("WebServicePassword", settings["WebServicePassword"])
        self._url = url
        self._path = url.path.rstrip("/") + "/tokens/validate"
        self._tls = ssl.create_default_context(cafile=settings.get("WebServiceCertificates") or None)
        self._server_id = settings.get("ServerId", settings["WebServiceUsername"])
        login = f"{settings['WebServiceUsername']}:{settings['WebServicePassword']}"
        self._login = "Basic " + base64.b64encode(login.encode()).decode()
        self._known = {}
        self._lock = threading.Lock()

    def permits(self, level, what, token):
        """Whether whoever holds `token` may read the resource now: a UID, or at level `system` a path with its query.

        Raises where there is no answer, and remembers nothing then.
        """
        key = (level, what, hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest())
        with self._lock:
            known = self._known.get(key)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        asked_at = time.monotonic()
        granted, validity = self._ask(level, what, token)
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = (asked_at + min(validity, MOST_VALIDITY_S), granted)
        return granted

    def _ask(self, level, what, token):
        question = {
            "uri" if level == "system" else "dicom-uid": what,
            "level": level,
            "method": "get",
            "server-id": self._server_id,
            "token-key": "Authorization",
            "token-value": token,
        }
        headers = {"Authorization": self._login, "Content-Type": "application/json", "Accept": "application/json"}
        connection = self._connect()
        try:
            connection.request("POST", self._path, json.dumps(question), headers)
            answer = connection.getresponse()
            body = answer.read(MOST_ANSWER_BYTES)
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(f"the exchange answered with status {answer.status}")
        return _read_answer(json.loads(body))

    def _connect(self):
        # Neither proxies of the environment nor redirects: the key and the token go to the exchange alone.
        host, port = self._url.hostname, self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)


def _read_answer(answer):
    granted, validity = answer.get("granted"), answer.get("validity")
    if not isinstance(granted, bool) or type(validity) is not int or validity < 1:
        raise ValueError("the exchange's answer is not one of this contract")
    return granted, validity


def _require_secret(name, secret):
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"Authorization.{name} needs a secret of at least {SHORTEST_SECRET} characters")


class Door:
    """Lets local users in by their password, and everybody else to what the exchange permits them."""

    def __init__(self, configuration):
        settings = configuration["Authorization"]
        self._service = Service(settings)
        users = settings.get("LocalUsers", {})
        for name, password in users.items():
            _require_secret(f"LocalUsers.{name}", password)
        self._logins = [
            "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode() for name, password in users.items()
        ]
        self._root = configuration.get("DicomWeb", {}).get("Root", "/dicom-web/").rstrip("/")

    def admits(self, uri, method, headers, parameters):
        """Whether this request may be answered."""
        authorization = headers.get("authorization", "")
        if any(hmac.compare_digest(authorization.encode(), login.encode()) for login in self._logins):
            return True
        if method != orthanc.HttpMethod.GET or re.fullmatch(r"[Bb]earer [!-~]+", authorization) is None:
            return False
        asked = self._read(uri, parameters)
        return asked is not None and self._may_read(*asked, authorization)

    def _read(self, uri, parameters):
        """The UIDs that are asked for, from study to instance, and the path if it is one of a list.

        None where that can't be told, or no study is named.
        """
        if not uri.startswith(self._root + "/"):
            return None
        path = uri[len(self._root) :]
        fetched = _FETCHED.fullmatch(path)
        if fetched is not None:
            uids = [uid for uid in fetched.group("study", "series", "instance") if uid is not None]
            lists = fetched.group("rest") in ("/series", "/instances")
            # What the path names is not to be named otherwise behind it.
            if not set(parameters) <= (_LISTING if lists else _FETCHING):
                return None
            return uids, uri if lists else None
        if _SEARCHED.fullmatch(path) is None or not set(parameters) <= _LISTING | set(_STUDY_KEYS):
            return None
        studies = [parameters[name] for name in _STUDY_KEYS if name in parameters]
        if len(studies) != 1 or re.fullmatch(_UID, studies[0], re.ASCII) is None:
            return None
        return studies, f"{uri}?StudyInstanceUID={studies[0]}"

    def _may_read(self, uids, listed, token):
        # A path that names somebody's permitted study and another's series opens neither.
        if any(len(uid) > 64 for uid in uids) or any(_study_of(uid) != uids[0] for uid in uids[1:]):
            return False
        if any(self._service.permits(level, uid, token) for level, uid in zip(_LEVELS, uids, strict=False)):
            return True
        # A list of what this archive holds may be read where the whole of the study, over all archives, may not.
        return listed is not None and self._service.permits("system", listed, token)


def _study_of(uid):
    """The Study Instance UID of the one series or instance that has this UID here; None where it isn't one."""
    found = json.loads(orthanc.RestApiPost("/tools/lookup", uid))
    if len(found) != 1 or found[0]["Type"] not in ("Series", "Instance"):
        return None
    study = json.loads(orthanc.RestApiGet(found[0]["Path"] + "/study"))
    return study["MainDicomTags"].get("StudyInstanceUID")


_door = Door(json.loads(orthanc.GetConfiguration()))


def filter_request(uri, **request):
    """True where Orthanc shall answer. Any failure is a no; what failed is logged, without token and UID."""
    try:
        return _door.admits(uri, request["method"], request["headers"], request.get("get", {}))
    except Exception as exc:  # noqa: BLE001  # whatever goes wrong, nothing is released
        orthanc.LogWarning(f"authorize.py: refused, since {type(exc).__name__} while deciding")
        return False


orthanc.RegisterIncomingHttpRequestFilter(filter_request)
