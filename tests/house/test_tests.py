"""A test that can be skipped is no test, and one that cannot fail is none either."""

import ast

from tests.house import source
from tests.house.source import Module

TESTS = [module for module in source.modules() if source.ROOT / "tests" in module.path.parents]
SKIPS = {"skip", "skipif", "xfail", "importorskip"}


def test_no_test_is_skipped() -> None:
    assert source.offences(TESTS, _skips) == {}


def test_every_test_can_fail() -> None:
    """It asserts something itself, expects an error, or hands over to a function that does."""
    assert source.offences(TESTS, _idle) == {}


def _skips(module: Module) -> list[int]:
    return [node.lineno for node in module.walk() if isinstance(node, ast.Attribute) and node.attr in SKIPS]


def _idle(module: Module) -> list[str]:
    return [
        node.name
        for node in module.walk()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(isinstance(inner, ast.Assert | ast.Call) for inner in ast.walk(node))
    ]
