"""The kit's servers, under the name by which the tests ask for them."""

from shared.testing.missing import REQUIRE, missing
from shared.testing.ports import free_port
from shared.testing.postgres_server import PrivatePostgres, postgres_programs, postgres_user
from shared.testing.redis_server import PrivateRedis, redis_program

__all__ = [
    "REQUIRE",
    "PrivatePostgres",
    "PrivateRedis",
    "free_port",
    "missing",
    "postgres_programs",
    "postgres_user",
    "redis_program",
]
