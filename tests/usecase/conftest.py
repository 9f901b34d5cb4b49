"""A world per test, on the module's database."""

import pytest

from meterline.store.database import Database
from tests.usecase.world import World


@pytest.fixture
def world(database: Database) -> World:
    """The customers, prices and subscriptions of one environment."""
    return World(database=database)
