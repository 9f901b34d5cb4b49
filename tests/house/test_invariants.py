"""The page of invariants names tests that exist, and all twenty of them."""

import re

from tests.house import source

PAGE = source.ROOT / "docs" / "explanation" / "invariants.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROW = re.compile(r"^\| (\d+) \|.*$", re.MULTILINE)


def test_every_invariant_is_shown_by_tests_that_are_there() -> None:
    rows = {int(row.group(1)): row.group(0) for row in ROW.finditer(PAGE.read_text())}
    assert sorted(rows) == list(range(1, 21))
    for number, row in rows.items():
        named = NAMED.findall(row)
        assert named, number
        for file, test in named:
            assert re.search(rf"^(async )?def {test}\(", (source.ROOT / file).read_text(), re.MULTILINE), (number, test)
