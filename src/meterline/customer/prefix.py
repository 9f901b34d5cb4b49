"""Invoice prefixes: what a customer's invoice numbers begin with."""

import re

from meterline.refusal import Refusal

PREFIX_LENGTH = 8
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_FORM = re.compile(r"[A-Z0-9]{1,12}")


def prefix_from(number: int) -> str:
    """A prefix of eight upper-case letters and digits, made of a (random) number."""
    letters = []
    for _ in range(PREFIX_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that is not 1 to 12 upper-case letters or digits."""
    if not _FORM.fullmatch(prefix):
        raise Refusal(
            "The invoice prefix must be between 1 and 12 characters long and consist only of uppercase letters"
            " and numbers.",
            param="invoice_prefix",
        )
