"""What several tests of the ingester begin with."""

from pathlib import Path

import pytest

from ingester import kept


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Give a log directory with a bit of everything."""
    kept.write(tmp_path / "logs")
    return tmp_path / "logs"
