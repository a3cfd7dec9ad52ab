"""Orthanc that lets nobody in whom the exchange doesn't permit: `deploy/orthanc`, as it is shipped."""

import json
from pathlib import Path
from typing import Any

from tests.services.orthanc import PASSWORD, PLUGIN, USERNAME, Orthanc
from tests.services.process import ServiceMissing

SHIPPED = Path(__file__).parents[2] / "deploy" / "orthanc"
PYTHON_PLUGIN = PLUGIN.with_name("libOrthancPython.so")
_OF_THE_SITE = ("Name", "StorageDirectory", "IndexDirectory", "HttpPort", "RemoteAccessAllowed", "PythonScript")


def orthanc_with_door(name: str, service_url: str, *, facility: str, key: str, **authorization: Any) -> Orthanc:
    """An archive of that name with the shipped settings; it asks at `service_url` as `facility`, with its key."""
    if not PYTHON_PLUGIN.exists():
        msg = "orthanc-python is not installed; run deploy/dev/install-services.sh as root"
        raise ServiceMissing(msg)
    shipped: dict[str, Any] = json.loads((SHIPPED / "orthanc.json").read_text())
    options = {name: value for name, value in shipped.items() if name not in _OF_THE_SITE}
    options["PythonScript"] = str(SHIPPED / "authorize.py")
    options["Authorization"] = shipped["Authorization"] | {
        "WebServiceRootUrl": service_url,
        "WebServiceUsername": facility,
        "WebServicePassword": key,
        "LocalUsers": {USERNAME: PASSWORD},
        **authorization,
    }
    return Orthanc(name, **options)
