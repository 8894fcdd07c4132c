"""PostgreSQL and Redis as the tests start them: the kit's."""

from shared.testing.family import children_of, is_alive
from shared.testing.missing import REQUIRE, missing
from shared.testing.ports import free_port
from shared.testing.postgres_server import PrivatePostgres, postgres_programs, postgres_user
from shared.testing.redis_server import PrivateRedis, redis_program

__all__ = [
    "REQUIRE",
    "PrivatePostgres",
    "PrivateRedis",
    "children_of",
    "free_port",
    "is_alive",
    "missing",
    "postgres_programs",
    "postgres_user",
    "redis_program",
]
