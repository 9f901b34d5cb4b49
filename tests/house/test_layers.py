"""Imports run downwards only; the contracts are in pyproject.toml."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.house import source
from tests.house.source import Module


def test_the_import_contracts_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([program, "--no-cache"], cwd=source.ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_nothing_is_imported_inside_a_function() -> None:
    assert source.offences(source.modules(), _local_imports) == {}


def _local_imports(module: Module) -> list[int]:
    return [
        inner.lineno
        for node in module.walk()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
