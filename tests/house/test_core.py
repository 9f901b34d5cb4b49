"""The core is plain data and pure functions: no float, no clock, no identifiers or chance of its own, no SQL."""

import ast

from tests.house import source
from tests.house.source import CORE, PACKAGE, Module

OUTSIDE = {"time", "random", "secrets", "uuid", "logging", "asyncio", "socket", "os", "subprocess", "pathlib"}
CLOCKS = {"now", "utcnow", "today"}
IDENTIFIERS = {"uuid1", "uuid4", "uuid6", "uuid7"}


def test_the_core_is_there() -> None:
    nouns = {module.path.relative_to(PACKAGE).parts[0].removesuffix(".py") for module in source.core()}
    assert {"money", "period", "meter", "catalog", "rating", "subscription", "invoice"} <= nouns


def test_no_float() -> None:
    assert source.offences(source.core(), _floats) == {}


def test_no_clock_and_no_chance() -> None:
    assert source.offences(source.core(), _clocks) == {}


def test_nothing_of_the_outside_world_is_imported() -> None:
    assert source.offences(source.core(), _outside) == {}


def test_nothing_is_of_any_type() -> None:
    assert source.offences(source.core(), _anys) == {}


def test_the_time_is_an_argument_without_a_default() -> None:
    """`now=None` would be a hidden clock."""
    assert source.offences(source.shipped(), _optional_times) == {}


def test_every_core_package_opens_with_a_page() -> None:
    packages = [PACKAGE / noun for noun in CORE if (PACKAGE / noun / "__init__.py").exists()]
    missing = [package.name for package in packages if not (package / "README.md").exists()]
    assert packages
    assert missing == []


def _floats(module: Module) -> list[int]:
    return [
        node.lineno
        for node in module.walk()
        if (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
    ]


def _clocks(module: Module) -> list[str]:
    return [
        f"{node.func.attr} in line {node.lineno}"
        for node in module.walk()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS | IDENTIFIERS
    ]


def _outside(module: Module) -> list[str]:
    """The type UUID is plain data; making one is not."""
    imported = set()
    for node in module.walk():
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] != ["UUID"]:
            imported.add(str(node.module).partition(".")[0])
    return sorted(imported & OUTSIDE)


def _anys(module: Module) -> list[int]:
    return [node.lineno for node in module.walk() if isinstance(node, ast.Name) and node.id == "Any"]


def _optional_times(module: Module) -> list[str]:
    return [
        node.name
        for node in module.walk()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        if argument.arg == "now" and default is not None
    ]
