"""One noun, one file name in every column, and no drawer for odds and ends."""

from tests.house import source
from tests.house.source import CORE, PACKAGE, Module

DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "shared", "lib"}
NOT_KEPT = {"money", "period", "refusal", "rating"}
"""Values and computations: there is no row of them."""
PARTS = {
    "catalog": {"product", "price"},
    "discount": {"coupon", "discount", "promotion_code"},
    "meter": {"meter", "event"},
    "limit": {"alert"},
}
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


def test_use_cases_are_verbs() -> None:
    """`usecase/pay_invoice.py`, never `usecase/invoice.py`: a file named after a noun takes in everything about it."""
    names = {module.path.stem for module in source.shipped() if module.path.parent == PACKAGE / "usecase"}
    kept = {path.stem for path in (PACKAGE / "store").iterdir()}
    assert names & (kept | set(CORE)) == {"__init__"}


def _drawers(module: Module) -> list[str]:
    words = set(module.path.stem.split("_")) | set(module.path.relative_to(source.ROOT).parts[:-1])
    return sorted(words & DRAWERS)
