"""The keeper's container gets the resident program and nothing else of the harness."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tarfile

from harness.keeper import container


def test_the_archive_runs_without_the_harness(tmp_path):
    with tarfile.open(fileobj=io.BytesIO(container.archive())) as tar:
        tar.extractall(tmp_path, filter="data")
    argv = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'keeper')!r});"]
    argv[-1] += "import harness.keeper.resident.__main__ as m; print(m.__file__)"
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert str(tmp_path) in done.stdout


def test_the_resident_program_needs_the_standard_library_alone():
    for file in container.RESIDENT.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names or name.startswith("harness.keeper.resident"), (file, name)
