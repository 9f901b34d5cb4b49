"""Invoice numbers: a prefix of the customer's, and a count that never goes back."""

_DIGITS = 4


def number(prefix: str, sequence: int) -> str:
    """`L3JZ3SV5-0006` for the sixth invoice finalized for the customer with that prefix. `sequence` is from 1."""
    assert sequence >= 1
    return f"{prefix}-{sequence:0{_DIGITS}d}"
