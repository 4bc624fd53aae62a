"""The first tables: assertions, decisions, cards that were sent, feedback."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "assertions",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("payer", sa.String(200), nullable=False),
        sa.Column("made_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column("assertion", sa.String(200), sa.ForeignKey("assertions.id"), primary_key=True),
        sa.Column("policy", sa.String(200), primary_key=True),
        sa.Column("code", sa.String(200), primary_key=True),
        sa.Column("patient", sa.String(64), primary_key=True),
        sa.Column("modifiers", sa.Text, nullable=False),
        sa.Column("order_date", sa.Date, nullable=False),
        sa.Column("covered", sa.String(20), nullable=False),
        sa.Column("pa_needed", sa.String(20), nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("pa_id", sa.String(200)),
        sa.Column("pa_reference", sa.String(200)),
        sa.Column("pa_from", sa.Date),
        sa.Column("pa_until", sa.Date),
        sa.Column("decided_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "cards",
        sa.Column("uuid", sa.String(36), primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("sent_at", sa.DateTime, nullable=False, index=True),
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("card", sa.String(36), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("suggestions", sa.Text, nullable=False),
        sa.Column("reason_system", sa.String(200), nullable=False),
        sa.Column("reason_code", sa.String(200), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("outcome_at", sa.DateTime, nullable=False),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("card", "outcome"),
    )


def downgrade() -> None:
    for name in ("feedback", "cards", "decisions", "assertions"):
        op.drop_table(name)
