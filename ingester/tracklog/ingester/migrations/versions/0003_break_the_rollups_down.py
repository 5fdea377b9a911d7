"""Break the rollups down by method and by model."""

import sqlalchemy as sa
from alembic import op

from tracklog.ingester.schema import Json

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the columns; of windows where they are null, answers are counted from the rows."""
    for table in ("agent_performance_metrics", "agent_performance_hours"):
        for name, comment in (
            ("by_method", "{method: the same of its executions}; null where there are very many"),
            ("by_model", "{model: the same of its LLM calls}; null where there are very many"),
        ):
            op.add_column(table, sa.Column(name, Json, comment=comment))
