"""Finished questionnaires that were sent here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "responses",
        sa.Column("patient", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("questionnaire", sa.Text, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("authored", sa.String(40), nullable=False),
        sa.Column("assertion", sa.String(200)),
        sa.Column("order", sa.Text),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.DateTime, nullable=False, index=True),
    )


def downgrade() -> None:
    op.drop_table("responses")
