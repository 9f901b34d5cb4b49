"""PDFs at the addresses that the objects name: invoices, receipts, credit notes, with the seller on them."""

import io
from collections.abc import Callable, Iterator

import httpx
import pypdf
import pytest
import stripe

from tests.wire.billing import customer_with, draft_of


@pytest.fixture
def reader(base_url: str) -> Iterator[httpx.Client]:
    """Somebody with nothing but links."""
    with httpx.Client(base_url=base_url, timeout=60) as opened:
        yield opened


def said_at(reader: httpx.Client, url: str | None) -> str:
    """What the PDF at an address says."""
    assert url is not None
    answer = reader.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["cache-control"] == "no-store"
    return " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.content)).pages)


def test_an_invoice_is_downloaded_once_it_is_final(
    client: stripe.StripeClient, raw: httpx.Client, reader: httpx.Client
) -> None:
    seller = {"name": "Nordwind GmbH", "tax_id": "DE123456789", "address[city]": "Berlin"}
    assert raw.post("/ops/seller", data=seller).json()["name"] == "Nordwind GmbH"
    assert raw.get("/v1/account").json()["business_profile"]["name"] == "Nordwind GmbH"
    draft = draft_of(client, customer_with(client, name="Ada Lovelace"), 12345)
    assert draft.invoice_pdf is None
    assert reader.get(f"/hosted/invoice/test/{draft.id}/pdf").status_code == 404

    invoice = client.v1.invoices.finalize_invoice(draft.id)

    text = said_at(reader, invoice.invoice_pdf)
    for said in ("Nordwind GmbH", "Berlin", "DE123456789", "Ada Lovelace", "$123.45 due", str(invoice.number), "TEST"):
        assert said in text, said
    answer = reader.get(str(invoice.invoice_pdf))
    assert answer.headers["content-disposition"] == f'inline; filename="Invoice-{invoice.number}.pdf"'
    assert reader.get(str(invoice.invoice_pdf)).content == answer.content
    assert f"/hosted/invoice/test/{invoice.id}/pdf" in reader.get(str(invoice.hosted_invoice_url)).text


def test_a_receipt_names_the_card_and_is_there_once_it_is_paid(
    client: stripe.StripeClient, reader: httpx.Client
) -> None:
    invoice = client.v1.invoices.finalize_invoice(draft_of(client, customer_with(client), 900).id)
    address = f"/hosted/invoice/test/{invoice.id}/receipt"
    assert reader.get(address).status_code == 404
    client.v1.invoices.pay(str(invoice.id))
    text = said_at(reader, address)
    for said in ("Receipt", "$9.00 paid on", "Visa ending in 4242", "Payment history"):
        assert said in text, said


def test_a_credit_note_and_what_it_does_to_its_invoice(client: stripe.StripeClient, reader: httpx.Client) -> None:
    invoice = client.v1.invoices.finalize_invoice(draft_of(client, customer_with(client), 10000).id)
    note = client.v1.credit_notes.create({"invoice": str(invoice.id), "amount": 2000, "memo": "Sorry"})
    text = said_at(reader, note.pdf)
    for said in ("Credit note", note.number, "$20.00 credited", "Lowers what is due", "Sorry"):
        assert said in text, said
    assert "Credit notes" in said_at(reader, invoice.invoice_pdf) and "$80.00 due" in said_at(
        reader, invoice.invoice_pdf
    )
    assert "-$20.00" in reader.get(str(invoice.hosted_invoice_url)).text
    client.v1.credit_notes.void_credit_note(note.id)
    assert "VOID" in said_at(reader, note.pdf)


def test_addresses_that_lead_nowhere(
    client: stripe.StripeClient, reader: httpx.Client, raw: httpx.Client, add_key: Callable[..., str]
) -> None:
    invoice = client.v1.invoices.finalize_invoice(draft_of(client, customer_with(client), 500).id)
    for address in (
        f"/hosted/invoice/live/{invoice.id}/pdf",
        "/hosted/invoice/test/in_nothing/pdf",
        "/hosted/credit_note/test/cn_nothing/pdf",
        f"/hosted/credit_note/test/{invoice.id}/pdf",
    ):
        assert reader.get(address).status_code == 404
    other = add_key("sk_test_sellsElsewhere", environment="sandbox_elsewhere")
    elsewhere = raw.get("/ops/seller", headers={"authorization": f"Bearer {other}"}).json()
    assert (elsewhere["object"], elsewhere["name"]) == ("seller", None)


def test_the_seller_is_set_and_unset_field_by_field(raw: httpx.Client) -> None:
    raw.post("/ops/seller", data={"name": "Nordwind", "email": "a@nordwind.example", "address[line1]": "Hafen 1"})
    changed = raw.post("/ops/seller", data={"email": "", "address": ""}).json()
    assert (changed["name"], changed["email"], changed["address"]) == ("Nordwind", None, None)
    assert raw.post("/ops/seller", data={"logo": "x"}).json()["error"]["code"] == "parameter_unknown"
