"""SQL lives in `store/` and nowhere else."""

import ast
import re

from tests.house import source
from tests.house.source import PACKAGE, Module

SQL = re.compile(
    r"^\s*(select\b.+\bfrom\s+\w+|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s"
    r"|(create|alter|drop)\s+table\s|with\s+\w+\s+as\s*\()",
    re.IGNORECASE | re.DOTALL,
)
QUERIES = {"select", "insert", "update", "delete", "text", "func"}


def test_no_sql_outside_the_store() -> None:
    outside = [module for module in source.shipped() if PACKAGE / "store" not in module.path.parents]
    assert source.offences(outside, _statements) == {}
    assert source.offences(outside, _composed) == {}


def test_the_rule_sees_sql() -> None:
    assert SQL.match("SELECT id\n FROM customer")
    assert SQL.match("with fresh as (insert into event values (1)) select 1")
    assert not SQL.match("Select one of these options.")


def _statements(module: Module) -> list[int]:
    return [
        node.lineno
        for node in module.walk()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]


def _composed(module: Module) -> list[str]:
    imported = {
        alias.name
        for node in module.walk()
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sqlalchemy")
        for alias in node.names
    }
    return sorted(imported & QUERIES)
