"""Tell the ingesters of one host apart, each of which follows paths of its own."""

import sqlalchemy as sa
from alembic import op

from tracklog.ingester.schema import Json, Key, Time

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a host have several, each of which started at a time of its own; SQLite changes no key of a table."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("tracklog_ingesters_pkey", "tracklog_ingesters", type_="primary")
        op.create_primary_key("tracklog_ingesters_pkey", "tracklog_ingesters", ["host", "started_at"])
        return
    op.rename_table("tracklog_ingesters", "tracklog_ingesters_before")
    op.create_table(
        "tracklog_ingesters",
        sa.Column("host", Key, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("paths", Json, nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes_seen", sa.BigInteger(), nullable=False, comment="the size of all files when it last looked"),
        sa.Column("bytes_behind", sa.BigInteger(), nullable=False, comment="of these, not yet in the database"),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("looked_at", Time, nullable=False),
        sa.Column("stopped_at", Time),
        sa.PrimaryKeyConstraint("host", "started_at"),
    )
    op.execute("INSERT INTO tracklog_ingesters SELECT * FROM tracklog_ingesters_before")
    op.drop_table("tracklog_ingesters_before")
