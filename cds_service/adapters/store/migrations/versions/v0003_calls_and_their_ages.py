"""Every call of a hook, and indexes by which what is old is found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_AGES = (("assertions", "made_at"), ("decisions", "decided_at"), ("feedback", "received_at"))


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("called_at", sa.DateTime, nullable=False, index=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("hook_instance", sa.String(200), nullable=False),
        sa.Column("crd_version", sa.String(20), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("answer_digest", sa.String(64), nullable=False),
        sa.Column("program", sa.String(200), nullable=False),
        sa.Column("said", sa.Text, nullable=False),
    )
    for table, column in _AGES:
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    for table, column in _AGES:
        op.drop_index(f"ix_{table}_{column}", table)
    op.drop_table("calls")
