"""Documents as data and as PDFs: every amount exact, every text harmless, the same bytes for the same sheet."""

import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pypdf
import pytest

from meterline.customer import Address, CustomField
from meterline.invoice import state
from meterline.invoice.line import InvoiceLine, LineCredit, LineDiscount, LineTax
from meterline.invoice.model import BillTo, Invoice, Rendering
from meterline.invoice.seller import Seller
from meterline.invoice.total import totals
from meterline.payment.payment import InvoicePayment
from meterline.portal.sheet import Sheet, credit_note_sheet, invoice_sheet, receipt_sheet
from meterline.portal.typeset import pdf
from tests.core.invoice.build import START, draft, line
from tests.core.invoice.test_credit_note import note

SELLER = Seller(
    environment="live",
    name="Nordwind GmbH",
    email="billing@nordwind.example",
    tax_id="DE123456789",
    address=Address(line1="Lindenstraße 5", postal_code="10969", city="Berlin", country="DE"),
)
ADA = BillTo(
    name="Ada Lovelace",
    email="ada@example.com",
    address=Address(line1="510 Townsend St", city="San Francisco", state="CA", postal_code="94103", country="US"),
)


def invoice(*lines: InvoiceLine, currency: str = "usd", balance: int = 0, **more: object) -> Invoice:
    """A live invoice with those lines, finalized."""
    made = replace(draft(), lines=tuple(replace(each, currency=currency) for each in lines), currency=currency)
    issued, _ = state.finalized(
        made, totals=totals(made.lines), balance=balance, number="L3JZ3SV5-0006", bill_to=ADA, now=START
    )
    return replace(issued, environment="live", **more)  # type: ignore[arg-type]


def shown(of: Invoice) -> Sheet:
    return invoice_sheet(of, SELLER, link="https://billing.example/hosted/invoice/live/in_1")


def sums(sheet: Sheet) -> list[tuple[str, str]]:
    return [(each.label, each.amount) for each in sheet.sums]


def drawn(sheet: Sheet) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(pdf(sheet.plain(), issued=int(sheet.created.timestamp()))))


def words(reader: pypdf.PdfReader) -> str:
    return " ".join(page.extract_text() for page in reader.pages)


def test_the_sums_lead_from_the_lines_to_what_is_due() -> None:
    taxed = replace(
        line(10000),
        discounts=(LineDiscount(discount="di_1", amount=1000, level="invoice"),),
        credits=(LineCredit("cbtxn_1", 5000),),
        taxes=(LineTax(tax_rate="txr_1", amount=400, behavior="exclusive", taxable_amount=4000),),
    )
    of = state.credited(invoice(taxed, balance=-1000), note((), pre=400), now=START)

    assert sums(shown(of)) == [
        ("Subtotal", "$100.00"),
        ("Discount", "-$10.00"),
        ("Billing credits", "-$50.00"),
        ("Total excluding tax", "$40.00"),
        ("Tax on $40.00", "$4.00"),
        ("Total", "$44.00"),
        ("Customer balance", "-$10.00"),
        ("Credit notes", "-$4.00"),
        ("Amount due", "$30.00"),
    ]


@pytest.mark.parametrize(
    ("currency", "amount", "unit", "told"),
    [
        ("usd", 1058024, "3.6", ("$10,580.24", "$0.036")),
        ("jpy", 1234567, "0.5", ("¥1,234,567", "¥0.5")),
        ("kwd", 1234567, "0.25", ("KWD 1,234.567", "KWD 0.00025")),
        ("chf", 5, "5", ("CHF 0.05", "CHF 0.05")),
    ],
)
def test_amounts_are_exact_in_every_currency(currency: str, amount: int, unit: str, told: tuple[str, str]) -> None:
    sheet = shown(invoice(replace(line(amount), unit_amount=Decimal(unit)), currency=currency))
    assert (sheet.entries[0].amount, sheet.entries[0].unit) == told
    text = words(drawn(sheet))
    assert told[0] in text and told[1] in text


def test_it_says_who_whom_when_and_where_to_pay() -> None:
    of = invoice(
        replace(line(17510), description="Pro (at $175.10 / month)"),
        due_date=START + timedelta(days=30),
        description="Thank you.\nWrite to us.",
        footer="HRB 1234",
        custom_fields=(CustomField(name="PO number", value="4711"),),
    )
    reader = drawn(shown(of))
    text = words(reader)
    for said in (
        "Invoice", "L3JZ3SV5-0006", "1 April 2026", "1 May 2026", "Nordwind GmbH", "10969 Berlin", "DE123456789",
        "Ada Lovelace", "San Francisco, CA 94103", "$175.10 due 1 May 2026", "PO number", "4711", "Write to us.",
        "HRB 1234", "Pro (at $175.10 / month)", "Page 1 of 1",
    ):  # fmt: skip
        assert said in text, said
    first: Any = reader.pages[0]
    links = [each.get_object()["/A"]["/URI"] for each in first["/Annots"]]
    assert links == ["https://billing.example/hosted/invoice/live/in_1"]
    assert reader.metadata is not None and reader.metadata.title == "Invoice L3JZ3SV5-0006"


def test_a_long_invoice_goes_on_under_a_repeated_head() -> None:
    reader = drawn(shown(invoice(*(replace(line(100 + n), description=f"Item {n}") for n in range(250)))))
    assert len(reader.pages) > 5
    for number, page in enumerate(reader.pages, 1):
        text = page.extract_text()
        assert f"Page {number} of {len(reader.pages)}" in text
        assert "L3JZ3SV5-0006" in text
    assert all("Unit price" in page.extract_text() for page in reader.pages[:-1])
    assert all(f"Item {n}" in words(reader) for n in (0, 100, 249))


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("株式会社メーター", True),
        ("한국어", True),
        ("中文", True),
        ("Größe Ελληνικά Кириллица €₹₩₪", True),
        ("हिन्दी", True),
        ("עברית العربية ไทย", True),
        ("\U0001f600 \U00013000", False),
    ],
)
def test_letters_without_a_glyph_are_drawn_as_boxes_and_every_common_script_has_them(said: str, known: bool) -> None:  # noqa: FBT001
    """A PDF fit for archives cannot be made with a letter missing."""
    catalog: Any = drawn(shown(invoice(replace(line(100), description=said)))).trailer["/Root"]
    archival = b"pdfaid:part" in catalog["/Metadata"].get_object().get_data()
    assert archival is known


@pytest.mark.parametrize(
    "said",
    [
        '#panic("no")', "#import \"/etc/passwd\"", "$x^2$", "*bold* _it_", "@ref <label>", "\\u{41}", "//comment",
        "#read(\"document.typ\")", "`raw`", "= Heading", "[x](y)", '"quote\'', "{%x%}",
    ],
)  # fmt: skip
def test_text_is_never_markup(said: str) -> None:
    of = invoice(replace(line(100), description=f"<<{said}>>"), description=said, footer=said)
    of = replace(of, bill_to=replace(ADA, name=said), custom_fields=(CustomField(name=said, value=said),))
    text = words(drawn(shown(of))).replace("\n", " ")
    assert said.replace(" ", "") in text.replace(" ", "")


def test_marks_that_mislead_are_left_out_and_endless_words_are_broken() -> None:
    of = invoice(replace(line(100), description="a\u202e\x07b" + "x" * 400))
    plain = shown(of).plain()["entries"][0]["text"]
    assert "\u202e" not in plain and "\x07" not in plain
    assert max(len(part) for part in plain.replace("\u200b", " ").split(" ")) <= 32
    assert words(drawn(shown(of))).replace("\n", "").replace("\u200b", "").count("x") >= 400


def test_the_same_sheet_is_the_same_bytes_in_every_process() -> None:
    sheet = shown(invoice(line(100)))
    code = "import sys,json;from meterline.portal.typeset import pdf;d=json.load(sys.stdin);import hashlib;"
    code += "print(hashlib.sha256(pdf(d['sheet'], issued=d['issued'])).hexdigest())"
    issued = int(sheet.created.timestamp())
    asked = json.dumps({"sheet": sheet.plain(), "issued": issued})
    told = subprocess.run([sys.executable, "-c", code], input=asked, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == hashlib.sha256(pdf(sheet.plain(), issued=issued)).hexdigest()


def test_paper_follows_what_was_asked_or_the_country() -> None:
    of = invoice(line(100))
    assert shown(of).paper == "us-letter"
    assert shown(replace(of, rendering=Rendering(page_size="a4"))).paper == "a4"
    assert shown(replace(of, bill_to=BillTo(name="Ada", address=Address(country="DE")))).paper == "a4"


def test_a_receipt_tells_each_payment() -> None:
    of = state.paid(invoice(line(900)), amount=900, now=START + timedelta(days=2))
    link = InvoicePayment(
        environment="live",
        customer_id=of.customer_id,
        id="inpay_1",
        invoice=of.id,
        payment="pi_1",
        amount_requested=900,
        amount_paid=900,
        currency="usd",
        status="paid",
        created=START,
        paid_at=START + timedelta(days=2),
    )
    sheet = receipt_sheet(of, SELLER, paid=[(link, "Visa ending in 4242")])
    assert sheet.headline == "$9.00 paid on 3 April 2026"
    assert sheet.payments == (("Visa ending in 4242", "3 April 2026", "$9.00"),)
    assert "Visa ending in 4242" in words(drawn(sheet))


def test_a_credit_note_tells_which_way_its_money_went() -> None:
    of = invoice(line(1000))
    whole = replace(note((), post=700), to_balance=500, out_of_band=200, reason="duplicate", memo="Sorry", total=700)
    sheet = credit_note_sheet(whole, of, SELLER)
    assert sums(sheet)[-3:] == [
        ("Total credited", "$7.00"), ("To the customer balance", "$5.00"), ("Returned by other means", "$2.00"),
    ]  # fmt: skip
    text = words(drawn(sheet))
    for said in ("Credit note", "ABC-0001-CN-01", "L3JZ3SV5-0006", "Duplicate", "Sorry", "$7.00 credited"):
        assert said in text, said
    assert credit_note_sheet(replace(whole, status="void"), of, SELLER).stamp == "Void"
