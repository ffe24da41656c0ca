"""Write the table of cases from real life from the tests that carry them: `python -m tests.cases > docs/cases.md`.

A test belongs to a case by `@pytest.mark.case(row, kind, right)`. The tests are read, not imported, so that the table
needs neither a cluster nor what they need.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARKER = "pytest.mark.case"
HEAD = """\
# Cases from real life

Each is of a kind that users of tools like this one have reported, in our own words, with the answer that is right and
the tests that hold it. `make cases` writes this table from the tests.

| # | case | right answer | tests |
|---|---|---|---|
"""


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """One marker: the case's number, its kind, the right answer, and the test that it stands at."""

    row: int
    kind: str
    right: str
    test: str


def found(root: Path) -> list[Case]:
    """Return the cases of every test below a folder; raises ValueError for a marker that is not plain text."""
    files = sorted(root.rglob("test_*.py"))
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    # To take a file apart takes a hundred times as long as to see that there is nothing in it.
    marked = {file: text for file, text in texts.items() if MARKER in text}
    return sorted(case for file, text in marked.items() for case in _cases(ast.parse(text), file))


def table(cases: Iterable[Case]) -> str:
    """Write the table, one row for each kind of each case."""
    tests: dict[tuple[int, str, str], list[str]] = {}
    for case in cases:
        tests.setdefault((case.row, case.kind, case.right), []).append(f"`{case.test}`")
    rows = (
        f"| {row} | {_cell(kind)} | {_cell(right)} | {'<br>'.join(dict.fromkeys(names))} |\n"
        for (row, kind, right), names in tests.items()
    )
    return HEAD + "".join(rows)


def _cases(module: ast.Module, file: Path) -> Iterator[Case]:
    path = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name
    for name, node in _tests(module.body, ""):
        # Also those of single parameters, in `marks`.
        for decorator in node.decorator_list:
            for call in ast.walk(decorator):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == MARKER:
                    try:
                        row, kind, right = (ast.literal_eval(argument) for argument in call.args)
                    except ValueError as error:
                        where = f"{path}:{call.lineno}"
                        raise ValueError(f"{where}: a case has a number, a kind and a right answer") from error
                    yield Case(row, kind, right, f"{path}::{name}")


def _tests(
    body: list[ast.stmt], within: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield within + node.name, node
            yield from _tests(node.body, f"{within}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + node.name, node


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(table(found(ROOT / "tests")))
