"""What a payer does on a page: type a card in, press a button, confirm with the bank."""

from playwright.async_api import Page, expect

VISA, DECLINED, ASKS_ITS_HOLDER = "4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0027 6000 3184"


async def type_card(page: Page, number: str = VISA) -> None:
    """Fill in the card's fields."""
    await page.get_by_label("Card number").fill(number)
    await page.get_by_label("Expiry").fill("12 / 34")
    await page.get_by_label("Security code").fill("123")


async def introduce(page: Page) -> None:
    """Say who pays."""
    await page.get_by_label("E-mail").fill("ada@example.com")
    await page.get_by_label("Name on the card").fill("Ada Lovelace")


async def press(page: Page, name: str) -> None:
    """Press the button of that name, wherever it leads."""
    await page.get_by_role("button", name=name).first.click()


async def reads(page: Page, text: str) -> None:
    """The page says so, once it is there."""
    await expect(page.locator("body")).to_contain_text(text)
