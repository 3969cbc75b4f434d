"""What availability notices name."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_UID = sa.String(64)


def upgrade() -> None:
    """Add the table; no study is asked to exist: a notice may come before the first image."""
    op.create_table(
        "availability",
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("sop_instance_uid", _UID, nullable=False),
        sa.Column("series_uid", _UID, nullable=False),
        sa.Column("sop_class_uid", _UID, nullable=False),
        sa.Column("availability", sa.String(16), nullable=False),
        sa.Column("calling_ae", sa.String(64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "sop_instance_uid", name="pk_availability"),
    )
