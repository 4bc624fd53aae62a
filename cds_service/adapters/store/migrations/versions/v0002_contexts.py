"""What a questionnaire that went out is to be filled from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "contexts",
        sa.Column("assertion", sa.String(200), sa.ForeignKey("assertions.id"), primary_key=True),
        sa.Column("policy", sa.String(200), primary_key=True),
        sa.Column("patient", sa.String(64), primary_key=True),
        sa.Column("questionnaire", sa.Text, nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("coverage", sa.LargeBinary, nullable=False),
        sa.Column("situation", sa.LargeBinary, nullable=False),
        sa.Column("made_at", sa.DateTime, nullable=False, index=True),
    )


def downgrade() -> None:
    op.drop_table("contexts")
