"""A folder for sealed events, and the right of the application's role to remove them from the ledger."""

import pytest

from config.db.privileges import restrict_application
from tests.owner import as_owner


@pytest.fixture
def history(db, settings, tmp_path):
    """Seal events into a folder, which is empty at first."""
    settings.EVENT_HISTORY = (tmp_path / "history").as_uri()
    settings.DATA_DIR = tmp_path
    settings.SEAL_AFTER_DAYS = 0
    with as_owner():
        restrict_application()
    return tmp_path / "history"
