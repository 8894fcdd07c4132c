"""What is told of a server that is away."""

import logging

import pytest

from api.at_hand import AtHand
from api.problems import ProblemError
from shared.absence import SAME_S, Absence


def test_an_absence_is_told_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    absence = Absence("Redis", logging.getLogger())
    absence.is_over()
    for _ in range(3):
        absence.goes_on("refused")
    absence.is_over()
    absence.is_over()
    assert caplog.messages == ["Redis is away (refused); waiting for it", "Redis is back"]


def test_who_hears_late_of_an_absence_does_not_begin_another(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    absence = Absence("Redis", logging.getLogger(), clock=lambda: now)
    absence.goes_on("refused")
    absence.is_over()
    absence.goes_on("late")
    absence.is_over()
    assert len(caplog.messages) == 2
    now = SAME_S + 1
    absence.goes_on("again")
    assert caplog.messages[2:] == ["Redis is away (again); waiting for it"]


def test_each_app_of_a_process_tells_of_its_own_servers(caplog: pytest.LogCaptureFixture) -> None:
    one, other = AtHand(), AtHand()
    for at_hand in (one, one, other):
        with pytest.raises(ProblemError), at_hand.queue():
            raise ConnectionError
    assert caplog.messages == ["Redis is away (ConnectionError); waiting for it"] * 2
