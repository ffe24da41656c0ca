"""The page of all faults is made of the faults, and says all of each."""

from __future__ import annotations

from harness.documents import catalogue
from harness.faults import FAULTS
from tests.unit.documents.test_documents_document import ROOT


def test_the_page_is_as_the_faults_are() -> None:
    made = "python -m harness.documents.catalogue > docs/faults.md"
    assert (ROOT / "docs" / "faults.md").read_text() == catalogue.build(), made


def test_each_fault_has_its_row_and_its_section_with_every_parameter() -> None:
    page = catalogue.build()
    for name, kind in FAULTS.items():
        assert f"| [`{name}`](#{name}) |" in page
        (section,) = [one for one in page.split("\n## ") if one.startswith(f"{name}\n")]
        assert all(f"| `{one.name}` | {one.type} |" in section for one in kind.parameters)
        assert kind.evidence in section
