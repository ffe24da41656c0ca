"""The table of cases is what the tests say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import cases

MARKED = """
import pytest

@pytest.mark.case(2, "a kind | with a bar", "an"
                  " answer")
def test_second(): ...

class TestGroup:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.case(1, "first", "right"))])
    async def test_first(self, x): ...

@pytest.mark.case(2, "a kind | with a bar", "an answer")
def test_third(): ...
"""


def test_the_committed_table_is_what_the_markers_say():
    committed = (cases.ROOT / "docs" / "cases.md").read_text()
    assert committed == cases.table(cases.found(cases.ROOT / "tests")), "make cases"


def test_a_case_is_found_at_tests_of_every_form(tmp_path: Path):
    (tmp_path / "test_it.py").write_text(MARKED)
    rows = cases.table(cases.found(tmp_path)).splitlines()[-2:]
    assert rows == [
        "| 1 | first | right | `test_it.py::TestGroup::test_first` |",
        r"| 2 | a kind \| with a bar | an answer | `test_it.py::test_second`<br>`test_it.py::test_third` |",
    ]


def test_a_marker_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path):
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.case(1, KIND, 'right')\ndef test_it(): ...\n")
    with pytest.raises(ValueError, match=r"test_it.py:2: a case has"):
        cases.found(tmp_path)
