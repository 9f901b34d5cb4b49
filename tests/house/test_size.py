"""A function fits a screen, a file is one thing. The limits are ratchets: nothing may cross them."""

from tests.house import source
from tests.house.source import Module

FUNCTION_LINES = 70
CORE_LINES = 400
SHELL_LINES = 600
TEST_LINES = 800


def test_functions_fit_a_screen() -> None:
    assert source.offences(source.modules(), _long_functions) == {}


def test_files_are_one_thing() -> None:
    assert source.offences(source.core(), lambda module: _over(module, CORE_LINES)) == {}
    assert source.offences(source.shipped(), lambda module: _over(module, SHELL_LINES)) == {}
    assert source.offences(source.modules(), lambda module: _over(module, TEST_LINES)) == {}


def _long_functions(module: Module) -> list[str]:
    return [f"{name}: {lines} lines" for name, lines in source.functions(module) if lines > FUNCTION_LINES]


def _over(module: Module, limit: int) -> list[str]:
    lines = len(module.text.splitlines())
    return [f"{lines} lines"] if lines > limit else []
