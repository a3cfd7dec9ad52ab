"""The services that other tests rely on are real, and start empty."""

import pytest
import redis
from sqlalchemy import Engine, text

from gateway.db.session import reading, writing

pytestmark = pytest.mark.integration


def test_each_test_gets_a_database_of_its_own(engine: Engine) -> None:
    """What one test writes is not in the next one's database."""
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE mine (n integer)"))
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM mine")).scalar() == 0


test_each_test_gets_a_database_of_its_own_again = test_each_test_gets_a_database_of_its_own


def test_redis_answers_and_holds_nothing(redis_url: str) -> None:
    """A real Redis, empty."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        assert client.dbsize() == 0
