"""How is a message acknowledged? ACK with MSA, and ERR that says why not (HL7 v2.5.1 §2.9.2). Pure."""

from datetime import datetime

from gateway.hl7v2.message import Header
from gateway.hl7v2.refusal import Acknowledgement

_CONDITIONS = {
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "207": "Application internal error",
}
"""HL7 table 0357."""
_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\r": " ", "\n": " "})


def acknowledge(
    header: Header, answer: Acknowledgement, control_id: str, now: datetime, *, condition: str = "", words: str = ""
) -> bytes:
    """The acknowledgement of the message with that header; `control_id` is the acknowledgement's own."""
    time = f"{now:%Y%m%d%H%M%S}+0000"
    version = header.version if header.version.startswith("2.") else "2.5.1"
    facility = "^".join(_escaped(part) for part in header.facility)
    kind = f"ACK^{_escaped(header.event)}^ACK" if header.event else "ACK"
    lines = [
        f"MSH|^~\\&|GATEWAY||{_escaped(header.application)}|{facility}|{time}||{kind}|{control_id}|"
        f"{_escaped(header.processing) or 'P'}|{_escaped(version)}||||||UNICODE UTF-8",
        f"MSA|{answer}|{_escaped(header.control_id)}|{_escaped(words)}".rstrip("|"),
    ]
    if answer != "AA":
        lines.append(f"ERR|||{condition}^{_CONDITIONS[condition]}^HL70357|E||||{_escaped(words)}")
    return ("\r".join(lines) + "\r").encode()


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)[:200]
