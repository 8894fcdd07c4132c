"""What `import dibs` gives, although it is loaded only when it is asked for."""

import pytest

import dibs


def test_every_name_is_there_and_nothing_else() -> None:
    for name in dibs.__all__:
        assert getattr(dibs, name) is not None
    assert sorted(name for names in dibs._PLACES.values() for name in names) == sorted(dibs.__all__)
    assert set(dibs.__all__) <= set(dir(dibs))
    with pytest.raises(AttributeError, match="no attribute 'Bone'"):
        _ = dibs.Bone  # type: ignore[attr-defined]
