"""What a command needs of the gateway: its settings, keys and database, opened when first asked for."""

import os
import pwd
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType

import orjson
from sqlalchemy import Engine

from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.record import AuditRecord, Outcome, Who
from gateway.config import Settings
from gateway.db.crypto import KeyRing
from gateway.db.key_check import open_keys
from gateway.db.session import open_database


class Operator:
    """The gateway's parts for one run of a command; closed at the end where it is used with `with`."""

    def __enter__(self) -> "Operator":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        opened = vars(self)
        if "audit" in opened:
            self.audit.close()
        if "engine" in opened:
            self.engine.dispose()

    @cached_property
    def name(self) -> str:
        """Who runs the command, as the system knows them."""
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return f"uid {os.getuid()}"

    @property
    def now(self) -> datetime:
        """This moment: a command line is a face, and faces read the clock."""
        return datetime.now(UTC)

    @cached_property
    def settings(self) -> Settings:
        """From the environment. Raises ConfigurationError."""
        return Settings.from_env(os.environ)

    @cached_property
    def keys(self) -> KeyRing:
        """The key file, made on first use in development, and known to be the database's."""
        return open_keys(self.settings.keys_file, self.engine, may_create=not self.settings.production)

    @cached_property
    def engine(self) -> Engine:
        """The database, with its schema up to date in development."""
        engine = open_database(self.settings.database_url, threads=self.settings.threads)
        if not self.settings.production:
            from gateway.db.upgrade import upgrade_to_head

            upgrade_to_head(engine)
        return engine

    @cached_property
    def audit(self) -> StoredAuditLog:
        """The audit log."""
        return open_audit_log(self.engine, self.keys)

    def note(
        self,
        reason: str,
        *,
        outcome: Outcome = "success",
        patient: str | None = None,
        details: Sequence[tuple[str, str]] = (),
    ) -> None:
        """What the operator did is in the audit. Raises AuditUnavailable."""
        self.audit.record([self.record_of(reason, outcome=outcome, patient=patient, details=details)])

    def record_of(
        self,
        reason: str,
        *,
        outcome: Outcome = "success",
        patient: str | None = None,
        resources: Sequence[str] = (),
        details: Sequence[tuple[str, str]] = (),
    ) -> AuditRecord:
        """The audit record of what the operator did, for those that are stored together."""
        return AuditRecord(
            id=str(uuid.uuid4()),
            recorded=self.now,
            kind="operator",
            outcome=outcome,
            reason=reason,
            who=Who(subject_id=self.name, subject_role="operator"),
            patient=patient,
            resources=tuple(resources),
            details=tuple(details),
        )


def print_json(value: object) -> None:
    """`value` as JSON on standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
