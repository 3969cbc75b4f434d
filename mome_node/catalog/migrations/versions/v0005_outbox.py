"""Profiles and withdrawals of results; what destinations confirm, and how their queues stand."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_UID = sa.String(64)
_TIME = sa.DateTime(timezone=True)
_NEVER = "1970-01-01 00:00:00.000000"  # until the rows that are there have their own
_RESULTS = sa.table("results", sa.column("sop_instance_uid"), sa.column("created_at"))
_DELIVERIES = sa.table(
    "deliveries",
    *(sa.column(n) for n in ("sop_instance_uid", "sent_at", "attempts", "queued_at", "tried_at")),
)
_MADE_AT = (
    sa.select(_RESULTS.c.created_at)
    .where(_RESULTS.c.sop_instance_uid == _DELIVERIES.c.sop_instance_uid)
    .scalar_subquery()
)
_WITHDRAW_SUPERSEDED = """
    UPDATE deliveries SET state = 'withdrawn' WHERE state = 'failed' AND sop_instance_uid IN
    (SELECT sop_instance_uid FROM results WHERE superseded_at IS NOT NULL)
"""


def upgrade() -> None:
    """Add columns and tables. What was sent before was accepted, and never confirmed."""
    with op.batch_alter_table("studies") as studies:
        studies.add_column(sa.Column("issue", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("results") as results:
        results.add_column(sa.Column("profile", sa.String(16), nullable=False, server_default=""))
        results.add_column(
            sa.Column("superseded_as", sa.String(16), nullable=False, server_default="")
        )
        results.add_column(sa.Column("rejected_by", _UID, nullable=False, server_default=""))
    op.create_index("ix_results_superseded_as", "results", ["superseded_as"])
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.add_column(sa.Column("tried_at", _TIME, nullable=True))
        deliveries.add_column(sa.Column("transaction_uid", _UID, nullable=True))
        deliveries.add_column(
            sa.Column("confirm_attempts", sa.Integer(), nullable=False, server_default="0")
        )
        deliveries.add_column(
            sa.Column("queued_at", _TIME, nullable=False, server_default=sa.text(f"'{_NEVER}'"))
        )
    may_be_there = sa.or_(_DELIVERIES.c.sent_at.is_not(None), _DELIVERIES.c.attempts > 0)
    op.execute(sa.update(_DELIVERIES).values(queued_at=_MADE_AT))
    op.execute(sa.update(_DELIVERIES).where(may_be_there).values(tried_at=_MADE_AT))
    op.execute("UPDATE deliveries SET state = 'accepted only' WHERE state = 'sent'")
    op.execute(_WITHDRAW_SUPERSEDED)
    op.create_index("ix_deliveries_transaction_uid", "deliveries", ["transaction_uid"])
    op.create_table(
        "destination_queues",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("paused_at", _TIME, nullable=True),
        sa.Column("pause_cause", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", _TIME, nullable=True),
        sa.Column("next_attempt_at", _TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_destination_queues"),
    )
    op.create_table(
        "confirmations",
        sa.Column("transaction_uid", _UID, nullable=False),
        sa.Column("destination", sa.String(128), nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("deadline", _TIME, nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("settled_at", _TIME, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("transaction_uid", name="pk_confirmations"),
    )
    op.create_index("ix_confirmations_settled_at", "confirmations", ["settled_at"])
