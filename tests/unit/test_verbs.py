"""What the kit takes a statement for."""

import pytest

from shared.testing.verbs import verb_of


@pytest.mark.parametrize(
    ("statement", "verb"),
    [
        ("INSERT INTO animals (name) VALUES ($1)", "insert"),
        ("  select 1", "select"),
        ("BEGIN", "begin"),
        ("", ""),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "select"),
        ("WITH a AS (SELECT 1), b AS\n(INSERT INTO animals (name) SELECT 1 RETURNING id) SELECT id FROM b", "insert"),
        ("WITH a AS (UPDATE animals SET name = 'a' RETURNING id) SELECT id FROM a", "update"),
        ("WITH a AS (DELETE FROM animals RETURNING id) SELECT id FROM a", "delete"),
        ("WITH a AS (SELECT updated FROM inserts) SELECT * FROM a", "select"),
    ],
)
def test_the_verb_is_what_it_does(statement: str, verb: str) -> None:
    assert verb_of(statement) == verb
