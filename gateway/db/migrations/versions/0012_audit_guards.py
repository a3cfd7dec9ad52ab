"""The audit's triggers also keep whose a record is and what it is found by; retention marks lie within the log."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_NO = "the audit is append-only"
_BEFORE = "seq, id, recorded_at, kind, outcome, sealed"
_NOW = "seq, id, recorded_at, kind, outcome, patient_key, sealed"
_IS_GONE = "NOT EXISTS (SELECT 1 FROM audit_record WHERE audit_record.seq = OLD.seq)"
_IS_WITHIN = "NEW.up_to BETWEEN 0 AND (SELECT coalesce(max(log_index) + 1, 0) FROM audit_leaf)"
# Trigger, event and table, what excuses it, and the row that PostgreSQL goes on with.
_REFUSALS = (
    ("audit_term_unchanged", "UPDATE ON audit_term", None, ""),
    ("audit_term_kept", "DELETE ON audit_term", _IS_GONE, "OLD"),
    ("audit_retention_within", "INSERT ON audit_retention", _IS_WITHIN, "NEW"),
)


def upgrade() -> None:
    """What the triggers of 0009 let pass is refused."""
    _watch_record(_NOW)
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name, event, excuse, row in _REFUSALS:
        if sqlite:
            unless = f"WHEN NOT ({excuse}) " if excuse else ""
            op.execute(f"CREATE TRIGGER {name} BEFORE {event} {unless}BEGIN SELECT RAISE(ABORT, '{_NO}'); END")
            continue
        function = name if excuse else "audit_append_only"
        if excuse:
            op.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NOT ({excuse}) THEN"
                f" RAISE EXCEPTION '{_NO}' USING ERRCODE = 'insufficient_privilege'; END IF; RETURN {row}; END $$"
            )
        op.execute(f"CREATE TRIGGER {name} BEFORE {event} FOR EACH ROW EXECUTE FUNCTION {function}()")
    if not sqlite:
        op.execute(
            "CREATE TRIGGER audit_term_whole BEFORE TRUNCATE ON audit_term FOR EACH STATEMENT"
            " EXECUTE FUNCTION audit_append_only()"
        )


def downgrade() -> None:
    """As 0009 had it."""
    _watch_record(_BEFORE)
    if op.get_bind().dialect.name == "sqlite":
        for name, *_ in _REFUSALS:
            op.execute(f"DROP TRIGGER {name}")
        return
    for name in ("audit_term_unchanged", "audit_term_whole"):
        op.execute(f"DROP TRIGGER {name} ON audit_term")
    for name in ("audit_term_kept", "audit_retention_within"):
        op.execute(f"DROP FUNCTION {name}() CASCADE")


def _watch_record(columns: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_record_unchanged")
        does = f"BEGIN SELECT RAISE(ABORT, '{_NO}'); END"
    else:
        op.execute("DROP TRIGGER audit_record_unchanged ON audit_record")
        does = "FOR EACH ROW EXECUTE FUNCTION audit_append_only()"
    op.execute(f"CREATE TRIGGER audit_record_unchanged BEFORE UPDATE OF {columns} ON audit_record {does}")
