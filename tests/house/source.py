"""The project's files as these tests read them."""

import ast
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "meterline"
CORE = (
    "money", "period", "refusal", "discount", "customer", "meter", "catalog", "ledger", "rating", "subscription",
    "wallet", "limit", "invoice", "payment", "notice",
)  # fmt: skip
"""The nouns of the core: plain data and pure functions."""


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file, parsed."""

    path: Path
    tree: ast.Module
    text: str

    @property
    def name(self) -> str:
        """Its path from the root of the repository."""
        return str(self.path.relative_to(ROOT))

    def walk(self) -> Iterator[ast.AST]:
        """Every node."""
        return ast.walk(self.tree)


@cache
def modules() -> tuple[Module, ...]:
    """Every Python file of the project, generated revisions left out."""
    found = []
    for top in ("src", "tests", "clients", "examples", "benchmarks", "tools"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if "node_modules" not in path.parts and path.parent.name != "versions":
                text = path.read_text()
                found.append(Module(path, ast.parse(text), text))
    return tuple(found)


def shipped() -> list[Module]:
    """The modules of the package."""
    return [module for module in modules() if PACKAGE in module.path.parents]


def core() -> list[Module]:
    """The modules of the core."""
    return [module for module in shipped() if module.path.relative_to(PACKAGE).parts[0].removesuffix(".py") in CORE]


def offences(modules: Iterable[Module], find: Callable[[Module], Sequence[object]]) -> dict[str, Sequence[object]]:
    """What `find` has to complain about, by file; empty is good."""
    return {module.name: found for module in modules if (found := find(module))}


def functions(module: Module) -> Iterator[tuple[str, int]]:
    """Each function of a module with its length in lines."""
    for node in module.walk():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the repository that is kept, or would be: what git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())
