"""One noun, one file name in every column, and no drawer for odds and ends."""

import ast

from tests.house import source
from tests.house.source import CORE, PACKAGE, Module

DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "shared", "lib"}
NOT_KEPT = {"money", "period", "refusal", "rating"}
"""Values and computations: there is no row of them."""
PARTS = {"catalog": {"product", "price"}, "meter": {"meter", "event"}}
"""Packages whose nouns are kept one by one."""


def test_no_module_is_a_drawer() -> None:
    assert source.offences(source.modules(), _drawers) == {}


def test_every_noun_of_the_core_is_kept_under_its_own_name() -> None:
    kept = {path.stem for path in (PACKAGE / "store").iterdir()}
    nouns = {module.path.relative_to(PACKAGE).parts[0].removesuffix(".py") for module in source.core()} - NOT_KEPT
    missing = {noun: PARTS.get(noun, {noun}) - kept for noun in sorted(nouns)}
    assert {noun: names for noun, names in missing.items() if names} == {}


def test_every_core_noun_is_declared_as_core() -> None:
    """A new package is either core, and held to its rules, or a named part of the shell."""
    shell = {"store", "gateway", "usecase", "worker", "api", "portal", "console", "demo", "cli", "app", "config"}
    found = {module.path.relative_to(PACKAGE).parts[0].removesuffix(".py") for module in source.shipped()}
    assert found - shell - set(CORE) - {"__init__", "__main__"} == set()


def test_use_cases_are_named_by_what_they_do() -> None:
    """`usecase/pay_invoice.py` holds `pay_invoice` or another function that begins with its verb."""
    usecases = [module for module in source.shipped() if module.path.parent == PACKAGE / "usecase"]
    assert source.offences(usecases, _without_its_verb) == {}


def _drawers(module: Module) -> list[str]:
    words = set(module.path.stem.split("_")) | set(module.path.relative_to(source.ROOT).parts[:-1])
    return sorted(words & DRAWERS)


def _without_its_verb(module: Module) -> list[str]:
    name = module.path.stem
    public = {node.name.lower() for node in module.tree.body if isinstance(node, DEFINITIONS)}
    fitting = name == "__init__" or any(each.partition("_")[0] == name.partition("_")[0] for each in public)
    return [] if fitting or name.replace("_", "") in public else sorted(public)


DEFINITIONS = ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef
