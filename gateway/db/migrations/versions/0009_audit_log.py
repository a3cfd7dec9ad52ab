"""The log over the audit's records: leaves, subtrees, checkpoints; and triggers that keep the audit append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.BigInteger()
HASH = sa.LargeBinary(32)

_NO = "the audit is append-only"
_PRUNED = (
    "EXISTS (SELECT 1 FROM audit_leaf WHERE audit_leaf.seq = OLD.seq"
    " AND audit_leaf.log_index < (SELECT max(up_to) FROM audit_retention))"
)
_LOGGED = "EXISTS (SELECT 1 FROM audit_leaf WHERE audit_leaf.seq = OLD.seq)"
_RECORD_COLUMNS = "seq, id, recorded_at, kind, outcome, sealed"
# Trigger, event and table, and what excuses it: nothing, mostly.
_REFUSALS = (
    ("audit_record_unchanged", f"UPDATE OF {_RECORD_COLUMNS} ON audit_record", None),
    ("audit_record_kept", "DELETE ON audit_record", _PRUNED),
    ("audit_unlogged_kept", "DELETE ON audit_unlogged", _LOGGED),
    *(
        (f"{table}_{word}", f"{event} ON {table}", None)
        for table in ("audit_leaf", "audit_node", "audit_checkpoint", "audit_retention")
        for word, event in (("unchanged", "UPDATE"), ("kept", "DELETE"))
    ),
)
_TABLES = (
    *("audit_record", "audit_unlogged", "audit_leaf", "audit_node", "audit_checkpoint", "audit_retention"),
    "audit_delivery",
)


def upgrade() -> None:
    """The tables; every record that is there waits for its place in the log."""
    _create_log()
    _create_checkpoints()
    op.execute("INSERT INTO audit_unlogged (seq) SELECT seq FROM audit_record")
    (_watch_sqlite if op.get_bind().dialect.name == "sqlite" else _watch_postgresql)()


def downgrade() -> None:
    """Records without a log over them."""
    if op.get_bind().dialect.name == "sqlite":
        for name in ("audit_record_added", "audit_record_unchanged", "audit_record_kept"):
            op.execute(f"DROP TRIGGER {name}")
    else:
        op.execute("DROP FUNCTION audit_record_added() CASCADE")
        op.execute("DROP FUNCTION audit_append_only() CASCADE")
        op.execute("DROP FUNCTION audit_record_kept() CASCADE")
        op.execute("DROP FUNCTION audit_unlogged_kept() CASCADE")
    for table in reversed(_TABLES[1:]):
        op.drop_table(table)


def _create_log() -> None:
    op.create_table(
        "audit_unlogged",
        sa.Column("seq", ROW_ID, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_unlogged"),
    )
    op.create_table(
        "audit_leaf",
        sa.Column("log_index", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("seq", ROW_ID, nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.PrimaryKeyConstraint("log_index", name="pk_audit_leaf"),
        sa.UniqueConstraint("seq", name="uq_audit_leaf_seq"),
    )
    op.create_table(
        "audit_node",
        sa.Column("level", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("place", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("hash", HASH, nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name="pk_audit_node"),
    )


def _create_checkpoints() -> None:
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("root", HASH, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_audit_checkpoint"),
    )
    op.create_table(
        "audit_delivery",
        sa.Column("destination", sa.String(512), nullable=False),
        sa.Column("size", ROW_ID, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_try_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("destination", name="pk_audit_delivery"),
    )
    op.create_table(
        "audit_retention",
        sa.Column("up_to", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("pruned_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("up_to", name="pk_audit_retention"),
    )


def _watch_sqlite() -> None:
    op.execute(
        "CREATE TRIGGER audit_record_added AFTER INSERT ON audit_record"
        " BEGIN INSERT INTO audit_unlogged (seq) VALUES (NEW.seq); END"
    )
    for name, event, excuse in _REFUSALS:
        unless = f"WHEN NOT {excuse} " if excuse else ""
        op.execute(f"CREATE TRIGGER {name} BEFORE {event} {unless}BEGIN SELECT RAISE(ABORT, '{_NO}'); END")


def _watch_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_record_added() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN INSERT INTO audit_unlogged (seq) SELECT seq FROM added; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_record_added AFTER INSERT ON audit_record REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_record_added()"
    )
    refuse = f"RAISE EXCEPTION '{_NO}' USING ERRCODE = 'insufficient_privilege';"
    op.execute(f"CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {refuse} END $$")
    for name, event, excuse in _REFUSALS:
        function = "audit_append_only"
        if excuse:
            function = name
            op.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$"
                f" BEGIN IF NOT {excuse} THEN {refuse} END IF; RETURN OLD; END $$"
            )
        op.execute(f"CREATE TRIGGER {name} BEFORE {event} FOR EACH ROW EXECUTE FUNCTION {function}()")
    for table in _TABLES[:-1]:
        op.execute(
            f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} FOR EACH STATEMENT"
            " EXECUTE FUNCTION audit_append_only()"
        )
