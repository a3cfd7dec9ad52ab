"""The first schema: facilities, clients, patients, consents, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BLIND_INDEX = sa.LargeBinary(16)
SEALED = sa.LargeBinary()
INSTANT = sa.BigInteger()
UUID = sa.String(36)


def upgrade() -> None:
    """Every table of the first version."""
    _create_key_check()
    _create_adapters()
    _create_audit()
    _create_auth()
    _create_consent()
    _create_mpi()
    _create_matching()
    _create_stewardship()
    _create_hl7v2()


def downgrade() -> None:
    """An empty database."""
    for table in (
        "hl7v2_patient_order",
        *("mpi_review_task", "mpi_verdict", "mpi_decision", "mpi_match", "mpi_hot_key", "mpi_block_key"),
        *("mpi_conflict", "mpi_link_event", "mpi_record_identifier", "mpi_record", "mpi_person"),
        *("consent_version", "consent"),
        *("auth_used_assertion", "auth_client"),
        "audit_record",
        *("sighting", "facility_revision", "facility"),
        "key_check",
    ):
        op.drop_table(table)


def _create_key_check() -> None:
    op.create_table(
        "key_check",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("sealed", SEALED, nullable=False),
        sa.Column("hashed", BLIND_INDEX, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_key_check"),
    )


def _create_adapters() -> None:
    op.create_table(
        "facility",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("content", SEALED, nullable=False),
        sa.Column("content_key", BLIND_INDEX, nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_facility"),
    )
    op.create_table(
        "facility_revision",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_facility_revision"),
    )
    op.create_table(
        "sighting",
        sa.Column("record_id", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("facility_id", sa.String(32), nullable=False),
        sa.Column("study_key", BLIND_INDEX, nullable=False),
        sa.Column("person_id", UUID, nullable=False),
        sa.Column("study_id", BLIND_INDEX, nullable=False),
        sa.Column("content_key", BLIND_INDEX, nullable=False),
        sa.Column("with_series", sa.Boolean(), nullable=False),
        sa.Column("first_seen", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("record_id", "facility_id", "study_key", name="pk_sighting"),
    )
    op.create_index("ix_sighting_study_key", "sighting", ["study_key"])
    op.create_index("ix_sighting_study_id", "sighting", ["study_id"])


def _create_audit() -> None:
    op.create_table(
        "audit_record",
        sa.Column("seq", ROW_ID, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("patient_key", BLIND_INDEX, nullable=True),
        sa.Column("sealed", SEALED, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_record"),
        sa.UniqueConstraint("id", name="uq_audit_record_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_record_recorded_at", "audit_record", ["recorded_at"])
    op.create_index("ix_audit_record_patient_key_seq", "audit_record", ["patient_key", "seq"])


def _create_auth() -> None:
    op.create_table(
        "auth_client",
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("jwks", sa.Text(), nullable=True),
        sa.Column("jwks_uri", sa.Text(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("purpose_of_use", sa.Text(), nullable=False),
        sa.Column("token_exchange", sa.Boolean(), nullable=False),
        sa.Column("facility", sa.String(32), nullable=True),
        sa.Column("registered_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("disabled_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_auth_client"),
    )
    op.create_table(
        "auth_used_assertion",
        sa.Column("digest", BLIND_INDEX, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_auth_used_assertion"),
    )
    op.create_index("ix_auth_used_assertion_expires_at", "auth_used_assertion", ["expires_at"])


def _create_consent() -> None:
    op.create_table(
        "consent",
        sa.Column("key", BLIND_INDEX, nullable=False),
        sa.Column("person_id", UUID, nullable=False),
        sa.Column("identifier_key", BLIND_INDEX, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_consent"),
    )
    op.create_index("ix_consent_person_id", "consent", ["person_id"])
    op.create_index("ix_consent_identifier_key", "consent", ["identifier_key"])
    op.create_table(
        "consent_version",
        sa.Column("key", BLIND_INDEX, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("person_id", UUID, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("content", SEALED, nullable=False),
        sa.PrimaryKeyConstraint("key", "version", name="pk_consent_version"),
        sa.ForeignKeyConstraint(["key"], ["consent.key"], name="fk_consent_version_key"),
    )


def _create_mpi() -> None:
    op.create_table(
        "mpi_person",
        sa.Column("id", UUID, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("survivor_id", UUID, nullable=True),
        sa.Column("merged_into_id", UUID, nullable=True),
        sa.Column("retired_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_mpi_person"),
        sa.ForeignKeyConstraint(["survivor_id"], ["mpi_person.id"], name="fk_mpi_person_survivor_id"),
        sa.ForeignKeyConstraint(["merged_into_id"], ["mpi_person.id"], name="fk_mpi_person_merged_into_id"),
    )
    op.create_index("ix_mpi_person_survivor_id", "mpi_person", ["survivor_id"])
    op.create_index("ix_mpi_person_merged_into_id", "mpi_person", ["merged_into_id"])
    op.create_table(
        "mpi_record",
        sa.Column("record_id", ROW_ID, nullable=False),
        sa.Column("identifier_key", BLIND_INDEX, nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("content", SEALED, nullable=False),
        sa.Column("content_key", BLIND_INDEX, nullable=False),
        sa.Column("person_id", UUID, nullable=False),
        sa.Column("linked_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("comparable", SEALED, nullable=True),
        sa.PrimaryKeyConstraint("record_id", name="pk_mpi_record"),
        sa.UniqueConstraint("identifier_key", name="uq_mpi_record_identifier_key"),
        sa.ForeignKeyConstraint(["person_id"], ["mpi_person.id"], name="fk_mpi_record_person_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_mpi_record_person_id", "mpi_record", ["person_id"])
    op.create_table(
        "mpi_record_identifier",
        sa.Column("record_id", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("identifier_key", BLIND_INDEX, nullable=False),
        sa.PrimaryKeyConstraint("record_id", "identifier_key", name="pk_mpi_record_identifier"),
        sa.ForeignKeyConstraint(["record_id"], ["mpi_record.record_id"], name="fk_mpi_record_identifier_record_id"),
    )
    op.create_index(
        "ix_mpi_record_identifier_identifier_key_record_id", "mpi_record_identifier", ["identifier_key", "record_id"]
    )
    op.create_table(
        "mpi_link_event",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("record_id", ROW_ID, nullable=False),
        sa.Column("person_id", UUID, nullable=False),
        sa.Column("previous_person_id", UUID, nullable=True),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.String(64), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mpi_link_event"),
        sa.ForeignKeyConstraint(["record_id"], ["mpi_record.record_id"], name="fk_mpi_link_event_record_id"),
        sa.ForeignKeyConstraint(["person_id"], ["mpi_person.id"], name="fk_mpi_link_event_person_id"),
        sa.ForeignKeyConstraint(["previous_person_id"], ["mpi_person.id"], name="fk_mpi_link_event_previous_person_id"),
        sqlite_autoincrement=True,
    )
    for column in ("record_id", "person_id", "previous_person_id"):
        op.create_index(f"ix_mpi_link_event_{column}", "mpi_link_event", [column])
    op.create_table(
        "mpi_conflict",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("identifier_key", BLIND_INDEX, nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("persons", sa.Integer(), nullable=False),
        sa.Column("noticed_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_mpi_conflict"),
        sa.UniqueConstraint("identifier_key", name="uq_mpi_conflict_identifier_key"),
        sqlite_autoincrement=True,
    )


def _create_matching() -> None:
    op.create_table(
        "mpi_block_key",
        sa.Column("key", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("record_id", ROW_ID, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("key", "record_id", name="pk_mpi_block_key"),
        sa.ForeignKeyConstraint(["record_id"], ["mpi_record.record_id"], name="fk_mpi_block_key_record_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mpi_hot_key",
        sa.Column("key", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("key", name="pk_mpi_hot_key"),
    )
    op.create_table(
        "mpi_match",
        sa.Column("record_id", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("other_id", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("algorithm", sa.String(64), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("record_id", "other_id", name="pk_mpi_match"),
        sa.ForeignKeyConstraint(["record_id"], ["mpi_record.record_id"], name="fk_mpi_match_record_id"),
        sa.ForeignKeyConstraint(["other_id"], ["mpi_record.record_id"], name="fk_mpi_match_other_id"),
    )
    op.create_index("ix_mpi_match_other_id", "mpi_match", ["other_id"])


def _create_stewardship() -> None:
    op.create_table(
        "mpi_decision",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("note", SEALED, nullable=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("undone_at", INSTANT, nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_mpi_decision"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "mpi_verdict",
        sa.Column("decision_id", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("record_id", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("other_id", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("same", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", "record_id", "other_id", name="pk_mpi_verdict"),
        sa.ForeignKeyConstraint(["decision_id"], ["mpi_decision.id"], name="fk_mpi_verdict_decision_id"),
        sa.ForeignKeyConstraint(["record_id"], ["mpi_record.record_id"], name="fk_mpi_verdict_record_id"),
        sa.ForeignKeyConstraint(["other_id"], ["mpi_record.record_id"], name="fk_mpi_verdict_other_id"),
    )
    op.create_table(
        "mpi_review_task",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("record_id", ROW_ID, nullable=False),
        sa.Column("other_id", ROW_ID, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("guards", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.String(64), nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("decision_id", ROW_ID, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_mpi_review_task"),
        sa.ForeignKeyConstraint(["record_id"], ["mpi_record.record_id"], name="fk_mpi_review_task_record_id"),
        sa.ForeignKeyConstraint(["other_id"], ["mpi_record.record_id"], name="fk_mpi_review_task_other_id"),
        sa.ForeignKeyConstraint(["decision_id"], ["mpi_decision.id"], name="fk_mpi_review_task_decision_id"),
        sqlite_autoincrement=True,
    )
    for table, columns in {
        "mpi_verdict": ("record_id", "other_id"),
        "mpi_review_task": ("record_id", "other_id", "decision_id"),
    }.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}", table, [column])


def _create_hl7v2() -> None:
    op.create_table(
        "hl7v2_patient_order",
        sa.Column("patient_key", BLIND_INDEX, nullable=False),
        sa.Column("event_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("patient_key", name="pk_hl7v2_patient_order"),
    )
