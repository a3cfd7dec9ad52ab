"""Why is a message not taken in? In the codes of HL7 table 0357, and in words that quote nothing of it."""

from typing import Literal

from gateway.errors import GatewayError

Acknowledgement = Literal["AA", "AE", "AR"]
"""HL7 table 0008: accepted and stored; an error in what it says; rejected by its header, or before it was read."""


class MessageRefused(GatewayError):
    """Nothing of the message was stored."""

    code = "message-refused"

    def __init__(self, answer: Literal["AE", "AR"], condition: str, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer
        self.condition = condition
