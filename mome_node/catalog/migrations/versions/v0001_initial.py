"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UID = sa.String(64)
_SHA256 = sa.String(64)
_KEY = sa.String(128)
_STATE = sa.String(16)
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables of an empty database."""
    _studies_and_their_history()
    _instances()
    _results_and_outbox()
    op.create_table(
        "flags",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_flags"),
    )


def _studies_and_their_history() -> None:
    op.create_table(
        "studies",
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer_of_patient_id", sa.Text(), nullable=False),
        sa.Column("state", _STATE, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("first_received_at", _TIME, nullable=False),
        sa.Column("last_received_at", _TIME, nullable=False),
        sa.Column("last_input_at", _TIME, nullable=True),
        sa.Column("input_count", sa.Integer(), nullable=False),
        sa.Column("assembled_at", _TIME, nullable=True),
        sa.Column("assembled_inputs", sa.Integer(), nullable=False),
        sa.Column("inputs_digest", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", name="pk_studies"),
    )
    op.create_index("ix_studies_state", "studies", ["state"])
    op.create_table(
        "events",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("source", _STATE, nullable=True),
        sa.Column("target", _STATE, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_study_uid", "events", ["study_uid"])
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER events_no_{verb.lower()} BEFORE {verb} ON events "
                "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
            )


def _instances() -> None:
    op.create_table(
        "instances",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("series_uid", _UID, nullable=False),
        sa.Column("sop_instance_uid", _UID, nullable=False),
        sa.Column("sop_class_uid", _UID, nullable=False),
        sa.Column("transfer_syntax_uid", _UID, nullable=False),
        sa.Column("key", _KEY, nullable=False),
        sa.Column("sha256", _SHA256, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("calling_ae", sa.String(64), nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("role_using", sa.Boolean(), nullable=False),
        sa.Column("superseded_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["study_uid"], ["studies.study_uid"], name="fk_instances_study_uid"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
        sa.UniqueConstraint(
            "study_uid",
            "sop_instance_uid",
            "sha256",
            name="uq_instances_study_uid_sop_instance_uid_sha256",
        ),
    )
    op.create_index("ix_instances_key", "instances", ["key"])


def _results_and_outbox() -> None:
    op.create_table(
        "results",
        sa.Column("sop_instance_uid", _UID, nullable=False),
        sa.Column("sop_class_uid", _UID, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("key", _KEY, nullable=False),
        sa.Column("sha256", _SHA256, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"], name="fk_results_study_uid"),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_results"),
    )
    op.create_index("ix_results_key", "results", ["key"])
    op.create_index("ix_results_study_uid_revision", "results", ["study_uid", "revision"])
    op.create_table(
        "deliveries",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("sop_instance_uid", _UID, nullable=False),
        sa.Column("destination", sa.String(128), nullable=False),
        sa.Column("state", _STATE, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", _TIME, nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("sent_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["sop_instance_uid"],
            ["results.sop_instance_uid"],
            name="fk_deliveries_sop_instance_uid",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint(
            "sop_instance_uid", "destination", name="uq_deliveries_sop_instance_uid_destination"
        ),
    )
    op.create_index(
        "ix_deliveries_state_next_attempt_at", "deliveries", ["state", "next_attempt_at"]
    )
