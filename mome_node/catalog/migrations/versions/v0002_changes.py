"""Rejections, corrections of the patient, quarantine by instance, superseded results."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UID = sa.String(64)
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add to the tables; what is not known of older rows is empty."""
    with op.batch_alter_table("studies") as studies:
        for name in ("change", "revision_change"):
            studies.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("instances") as instances:
        for name, kind, default in (
            ("patient_id", sa.Text(), ""),
            ("issuer_of_patient_id", sa.Text(), ""),
            ("accession_number", sa.Text(), ""),
            ("patient_mark", sa.String(16), ""),
            ("standing", sa.String(16), "read"),
            ("standing_reason", sa.Text(), ""),
            ("as_patient_of", _UID, ""),
        ):
            instances.add_column(sa.Column(name, kind, nullable=False, server_default=default))
    for name in ("patient_id", "issuer_of_patient_id"):
        op.execute(
            f"UPDATE instances SET {name} = (SELECT studies.{name} FROM studies "  # noqa: S608  # ours
            "WHERE studies.study_uid = instances.study_uid)"
        )
    with op.batch_alter_table("results") as results:
        results.add_column(sa.Column("superseded_at", _TIME, nullable=True))
    _rejections()
    _acts()


def _rejections() -> None:
    op.create_table(
        "rejection_notes",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("sop_instance_uid", _UID, nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("calling_ae", sa.String(64), nullable=False),
        sa.Column("authorised", sa.Boolean(), nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("settled_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["study_uid"], ["studies.study_uid"], name="fk_rejection_notes_study_uid"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_rejection_notes"),
    )
    op.create_index("ix_rejection_notes_settled_at", "rejection_notes", ["settled_at"])
    op.create_table(
        "rejections",
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("sop_instance_uid", _UID, nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer_of_patient_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_uid"], ["studies.study_uid"], name="fk_rejections_study_uid"
        ),
        sa.PrimaryKeyConstraint(
            "study_uid",
            "sop_instance_uid",
            "patient_id",
            "issuer_of_patient_id",
            name="pk_rejections",
        ),
    )


def _acts() -> None:
    op.create_table(
        "acts",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_acts"),
    )
    op.create_index("ix_acts_study_uid", "acts", ["study_uid"])
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER acts_no_{verb.lower()} BEFORE {verb} ON acts "
                "BEGIN SELECT RAISE(ABORT, 'acts are append-only'); END"
            )
