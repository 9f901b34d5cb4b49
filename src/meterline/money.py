"""Money: currencies, minor units, exact arithmetic, and the only places where anything is rounded.

An amount that is owed or paid is an `int` of minor units with a lower-case currency code beside it. A price or a
quantity is an exact `Decimal`. `round_half_up` takes a rated line to minor units, `round_proration` a prorated
one, `round_debit` a wallet amount to the twelve decimals that the books hold; `round_together` rounds a sum once and
shares it out; nothing else rounds.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from functools import reduce
from math import ceil, floor

from meterline.refusal import Refusal

EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""Decimal arithmetic that fails rather than rounds; 200 digits are far beyond any number let in."""

MAX_DECIMALS = 12
"""Decimals of a unit price or a wallet amount, at most."""

_SMALLEST = Decimal(1).scaleb(-MAX_DECIMALS)
_ROUNDING = Context(prec=200, traps=[InvalidOperation, Overflow])

MAX_DIGITS = 40
"""Digits of a decimal taken from outside, at most."""

# ISK and UGX have no minor unit either, but Stripe goes on writing them with two decimals.
_ZERO_DECIMAL = frozenset({
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
})  # fmt: skip
_THREE_DECIMAL = frozenset({"bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"})
_TWO_DECIMAL = frozenset({
    "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd", "bdt", "bgn", "bmd", "bnd",
    "bob", "brl", "bsd", "btn", "bwp", "byn", "bzd", "cad", "cdf", "chf", "cny", "cop", "crc", "cup", "cve", "czk",
    "dkk", "dop", "dzd", "egp", "etb", "eur", "fjd", "fkp", "gbp", "gel", "ghs", "gip", "gmd", "gtq", "gyd", "hkd",
    "hnl", "htg", "huf", "idr", "ils", "inr", "isk", "jmd", "kes", "kgs", "khr", "kyd", "kzt", "lak", "lbp", "lkr",
    "lrd", "lsl", "mad", "mdl", "mkd", "mmk", "mnt", "mop", "mru", "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad",
    "ngn", "nio", "nok", "npr", "nzd", "pab", "pen", "pgk", "php", "pkr", "pln", "qar", "ron", "rsd", "rub", "sar",
    "sbd", "scr", "sek", "sgd", "shp", "sle", "sos", "srd", "ssp", "std", "stn", "svc", "szl", "thb", "tjs", "top",
    "try", "ttd", "twd", "tzs", "uah", "ugx", "usd", "uyu", "uzs", "wst", "xcd", "xcg", "yer", "zar", "zmw",
})  # fmt: skip
CURRENCIES = _ZERO_DECIMAL | _TWO_DECIMAL | _THREE_DECIMAL
"""The lower-case codes that amounts can be in."""

_MINIMUM = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip

_SYMBOL = {
    "usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩", "cny": "CN¥", "brl": "R$", "cad": "CA$",
    "aud": "A$", "nzd": "NZ$", "mxn": "MX$", "hkd": "HK$", "ils": "₪", "vnd": "₫", "php": "₱", "twd": "NT$",
}  # fmt: skip


def check_currency(code: str, *, param: str = "currency") -> str:
    """The currency code in lower case. Refuses one that is not known."""
    lower = code.lower()
    if lower not in CURRENCIES:
        raise Refusal(f"Invalid currency: {code}", param=param)
    return lower


def minor_digits(currency: str) -> int:
    """How many decimals of a major unit a minor unit has: 2 for usd, 0 for jpy, 3 for kwd."""
    if currency in _ZERO_DECIMAL:
        return 0
    return 3 if currency in _THREE_DECIMAL else 2


def minimum_payment(currency: str) -> int:
    """The least amount that can be collected, in minor units; 1 for currencies without a published minimum."""
    return _MINIMUM.get(currency, 1)


def to_major(amount: Decimal | int, currency: str) -> Decimal:
    """Minor units as major units, exact: 1050 is 10.50 usd."""
    return Decimal(amount).scaleb(-minor_digits(currency), EXACT)


def to_minor(amount: Decimal, currency: str) -> Decimal:
    """Major units as minor units, exact and so perhaps with decimals: 0.0005 usd is 0.05."""
    return amount.scaleb(minor_digits(currency), EXACT)


# ── rounding ────────────────────────────────────────────────────────────────────────────────────────────


def round_half_up(amount: Decimal | Fraction | int) -> int:
    """A rated line in whole minor units: to the nearest, halves away from zero (1.5 → 2, −1.5 → −2).

    A line and its exact reversal therefore cancel.
    """
    exact = Fraction(amount)
    nearest = floor(abs(exact) + Fraction(1, 2))
    return nearest if exact >= 0 else -nearest


def round_proration(amount: Decimal | Fraction | int) -> int:
    """A prorated line in whole minor units: to the nearest, halves towards −∞ (4.5 → 4, −2.5 → −3)."""
    return ceil(Fraction(amount) - Fraction(1, 2))


def round_debit(amount: Decimal, decimals: int = MAX_DECIMALS) -> Decimal:
    """A wallet amount at that many decimals of its major unit: to the nearest, halves away from zero."""
    return amount.quantize(
        _SMALLEST if decimals == MAX_DECIMALS else Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _ROUNDING
    )


# ── exact arithmetic ────────────────────────────────────────────────────────────────────────────────────


def add(*terms: Decimal) -> Decimal:
    """The exact sum; `+` would silently round beyond 28 digits."""
    return reduce(EXACT.add, terms) if terms else Decimal(0)


subtract = EXACT.subtract
"""The exact difference of two Decimals."""

multiply = EXACT.multiply
"""The exact product of a Decimal and a Decimal or an int."""


# ── splitting ───────────────────────────────────────────────────────────────────────────────────────────


def allocate(amount: int, weights: Sequence[int | Decimal | Fraction]) -> tuple[int, ...]:
    """Split an amount (minor units, either sign) in proportion to the weights, losing nothing.

    Each part is its share rounded towards zero; what is left goes, one minor unit each, to the largest
    remainders, earlier parts first. The weights are not negative and not all zero.
    """
    exact = [Fraction(weight) for weight in weights]
    whole = sum(exact, Fraction(0))
    assert whole > 0 and min(exact) >= 0, "weights are not negative and not all zero"
    size = abs(amount)
    shares = [size * weight / whole for weight in exact]
    parts = [floor(share) for share in shares]
    largest_first = sorted(range(len(parts)), key=lambda n: (parts[n] - shares[n], n))
    for n in largest_first[: size - sum(parts)]:
        parts[n] += 1
    assert sum(parts) == size, "the parts make up the whole"
    return tuple(part if amount >= 0 else -part for part in parts)


def round_together(amounts: Sequence[Fraction]) -> tuple[int, ...]:
    """Exact amounts (either sign) in whole minor units that add up to their rounded sum.

    Each is rounded down or up to the next minor unit: down, save for the largest remainders, earlier parts first. The
    exact reversal of the amounts is rounded to the reversal of the parts.
    """
    whole = sum(amounts, Fraction(0))
    if whole < 0:
        return tuple(-part for part in round_together([-amount for amount in amounts]))
    parts = [floor(amount) for amount in amounts]
    largest_first = sorted(range(len(parts)), key=lambda n: (parts[n] - amounts[n], n))
    for n in largest_first[: round_half_up(whole) - sum(parts)]:
        parts[n] += 1
    assert sum(parts) == round_half_up(whole), "the parts make up the whole"
    return tuple(parts)


def split_discount(amount_off: int, lines: Sequence[int]) -> tuple[int, ...]:
    """What a fixed discount takes off each line, in minor units: floored shares, the remainder on the last line.

    500 over 1000 and 2000 is 166 and 334. No more than the lines add up to is taken; lines are not negative.
    The last line that has any amount takes the remainder, as far as it has room.
    """
    whole = sum(lines)
    assert amount_off >= 0 and all(line >= 0 for line in lines), "a discount lowers positive lines"
    taken = min(amount_off, whole)
    if taken == 0:
        return (0,) * len(lines)
    parts = [taken * line // whole for line in lines]
    left = taken - sum(parts)
    for n in reversed(range(len(parts))):
        more = min(left, lines[n] - parts[n])
        parts[n] += more
        left -= more
    assert left == 0 and sum(parts) == taken, "the parts make up the whole"
    return tuple(parts)


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────


def parse_decimal(text: str, *, param: str | None = None, max_decimals: int = MAX_DECIMALS) -> Decimal:
    """A decimal written plainly (`-12.5`, `.5`, `0.000000000001`). Refuses exponents, NaN, infinity, spaces.

    Refuses more than `max_decimals` decimals that matter, and more than MAX_DIGITS digits.
    """
    whole, point, fraction = text.removeprefix("-").partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit()) or (point and not fraction) or len(digits) > MAX_DIGITS:
        raise Refusal(f"Invalid decimal: {text[:60]}", code="parameter_invalid_decimal", param=param)
    if len(fraction.rstrip("0")) > max_decimals:
        raise Refusal(
            f"Invalid decimal: {text}; must contain at maximum {max_decimals} decimal places.",
            code="parameter_invalid_decimal",
            param=param,
        )
    return Decimal(text)


def decimal_text(number: Decimal | int) -> str:
    """The one way to write a decimal: no exponent, no trailing zeros, no negative zero."""
    text = format(Decimal(number), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def twelve_decimals(amount: Decimal) -> str:
    """A wallet amount with all of its twelve decimals, no exponent."""
    rounded = round_debit(amount)
    # `str` is quicker, and writes an exponent only of what is small.
    return str(rounded) if rounded >= 1 else format(rounded, "f")


def display(amount: int, currency: str) -> str:
    """Minor units for people: 1058024 usd is $10,580.24, −334 usd is -$3.34, 5 chf is CHF 0.05."""
    return display_exact(Decimal(amount), currency)


def display_exact(amount: Decimal, currency: str) -> str:
    """Exact minor units for people, with as many decimals as they need: 0.04 usd is $0.0004."""
    whole, _, fraction = decimal_text(to_major(amount.copy_abs(), currency)).partition(".")
    fraction = fraction.ljust(minor_digits(currency), "0")
    sign = "-" if amount < 0 else ""
    symbol = _SYMBOL.get(currency, f"{currency.upper()} ")
    return f"{sign}{symbol}{int(whole):,}" + (f".{fraction}" if fraction else "")
