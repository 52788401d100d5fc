"""A street with a round of two kilometres, on a database of the test's own."""

import pytest

from fieldsvc.store.database import Database
from tests.tracking.conftest import Street


@pytest.fixture
async def street(database: Database) -> Street:
    made = Street(database)
    await made.walk()
    return made
