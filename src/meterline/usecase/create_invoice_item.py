"""Add an amount to a customer's bill: to a draft, or waiting for the next invoice."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import PerUnit, Price, Product, TaxBehavior, TaxRate
from meterline.catalog.tax_rate import check_behavior
from meterline.customer import Customer
from meterline.invoice.discount import named
from meterline.invoice.item import InvoiceItem, priced
from meterline.invoice.state import require_editable
from meterline.period import Period
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import invoice_item
from meterline.store import price as prices
from meterline.store import product as products
from meterline.store import subscription as subscriptions
from meterline.store.identifier import public
from meterline.usecase.change_balance import fix_currency
from meterline.usecase.create_price import create_price
from meterline.usecase.edit_draft import put_item, tell_item
from meterline.usecase.find_tax_rates import find_tax_rates
from meterline.usecase.lock_invoice import Locked, lock_invoice
from meterline.usecase.moment import moment
from meterline.usecase.redeem_coupon import AskedDiscount, redeem_for_item
from meterline.usecase.use_discounts import ids_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceData:
    """A price made up in the call, of an existing product; `unit_amount` in minor units."""

    currency: str
    product: str
    unit_amount: Decimal
    tax_behavior: TaxBehavior = "unspecified"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAmount:
    """How much, in one of the ways in which it can be said: `amount`, a price, a made-up price, or a unit amount.

    `param` is where the caller said it (`lines[0]`), empty at the top.
    """

    param: str = ""
    amount: int | None = None
    price: str | None = None
    price_data: PriceData | None = None
    unit_amount: Decimal | None = None
    quantity: Decimal | None = None

    @property
    def says_anything(self) -> bool:
        """Whether any of it was said."""
        return self != AskedAmount(param=self.param)

    def at(self, name: str) -> str:
        """The caller's spelling of one of its parameters."""
        return f"{self.param}[{name}]" if self.param else name


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedItem:
    """An item as the caller asks for it. Null is "not said".

    `tax_rates` are ids; none at all leaves tax to the invoice. `tax_behavior` is said of an amount without a price.
    """

    amount: AskedAmount
    currency: str | None = None
    description: str | None = None
    discountable: bool | None = None
    discounts: Sequence[AskedDiscount] | None = None
    period: Period | None = None
    tax_rates: Sequence[str] | None = None
    tax_behavior: TaxBehavior = "unspecified"
    metadata: Mapping[str, str] = field(default_factory=dict)


async def create_invoice_item(
    tx: AsyncConnection,
    *,
    environment: str,
    customer: str,
    asked: AskedItem,
    now: datetime,
    invoice: str | None = None,
    subscription: str | None = None,
) -> InvoiceItem:
    """The new item. `now` is the wall clock; a customer on a test clock has another now.

    Raises Missing for what does not exist, Refusal for amounts that do not fit or an invoice that is final.
    """
    owner = await customers.get(tx, environment, customer)
    now = await moment(tx, environment=environment, test_clock=owner.test_clock, now=now)
    await _require_subscription(tx, owner, subscription)
    locked = None
    if invoice is not None:
        if invoice not in await invoices.find(tx, environment, [invoice]):
            raise Missing("invoice", invoice, param="invoice")
        locked = await lock_invoice(tx, environment=environment, id=invoice)
        require_editable(locked.invoice)
    owner = await customers.lock(tx, owner.customer_id)
    currency = asked.currency or (locked.invoice.currency if locked else owner.currency)
    reuse = await _reusable(tx, owner, subscription, locked)
    default_rates = locked.invoice.default_tax_rates if locked else ()
    item = await new_item(tx, owner, asked, currency=currency, default_rates=default_rates, now=now, reuse=reuse)
    item = replace(item, subscription=subscription, invoice=invoice)
    owner = await fix_currency(tx, owner, item.currency, now=now)
    await invoice_item.add(tx, [item])
    await tell_item(tx, "invoiceitem.created", item, now=now)
    if locked is not None:
        await put_item(tx, replace(locked, customer=owner), item, now=now)
    return item


async def _reusable(
    tx: AsyncConnection, customer: Customer, subscription: str | None, locked: Locked | None
) -> set[str]:
    """The discounts of what the item will belong to, which it may name as its own."""
    found = {*ids_of(customer), *(() if locked is None else locked.invoice.discounts)}
    if subscription is None:
        return found
    owner = (await subscriptions.find(tx, customer.environment, [subscription]))[subscription]
    return found | {*owner.discounts, *(id for item in owner.items for id in item.discounts)}


async def new_item(
    tx: AsyncConnection,
    customer: Customer,
    asked: AskedItem,
    *,
    currency: str | None,
    now: datetime,
    reuse: Collection[str] = (),
    default_rates: tuple[TaxRate, ...] = (),
) -> InvoiceItem:
    """The item that is asked for, not stored, and its discounts, which are. `currency` is used where the price does
    not say it; `reuse` are the discounts that it may name, `default_rates` the tax rates of the invoice it is for.
    """
    price = await one_time_price(tx, customer.environment, asked.amount, now=now)
    product: Product | None = None
    if price is not None:
        product = (await products.find(tx, customer.environment, [price.product])).get(price.product)
    known = price.currency if price is not None else currency
    if known is None:
        raise Refusal("Missing required param: currency.", code="parameter_missing", param="currency")
    blank = InvoiceItem(
        environment=customer.environment,
        customer_id=customer.customer_id,
        id=public("ii"),
        customer=customer.id,
        test_clock=customer.test_clock,
        date=now,
        amount=0,
        currency=known,
        quantity=Decimal(1),
        period=asked.period or Period(start=now, end=now),
        description=asked.description or (product.name if product else None),
        tax_rates=await asked_rates(tx, customer.environment, asked, price, default=default_rates),
        metadata=asked.metadata,
    )
    sized = priced(
        blank,
        amount=asked.amount.amount,
        price=price,
        unit_amount=asked.amount.unit_amount,
        quantity=asked.amount.quantity,
        param=asked.amount.param,
    )
    fair = sized.amount >= 0 if asked.discountable is None else asked.discountable
    discounts = await redeem_for_item(tx, sized, asked.discounts or (), reuse=reuse, now=now)
    return replace(sized, discountable=fair, discounts=named(discounts))


async def asked_rates(
    tx: AsyncConnection,
    environment: str,
    asked: AskedItem,
    price: Price | None,
    *,
    already: tuple[TaxRate, ...] | None = None,
    default: tuple[TaxRate, ...] = (),
) -> tuple[TaxRate, ...] | None:
    """The tax rates of an item, which has `already` some; null leaves tax to the `default` ones of its invoice.

    Raises Missing, or Refusal for rates that cannot be together or contradict the price.
    """
    rates, param = already, asked.amount.at("tax_rates")
    if asked.tax_rates is not None:
        found = await find_tax_rates(tx, environment, asked.tax_rates, already=already or (), param=param)
        rates = found or None
    behavior = asked.tax_behavior if price is None else price.tax_behavior
    check_behavior(behavior, default if rates is None else rates, param=param)
    return rates


async def one_time_price(tx: AsyncConnection, environment: str, asked: AskedAmount, *, now: datetime) -> Price | None:
    """The price that an amount refers to; one made up in the call is stored, unlisted. Raises Missing, Refusal."""
    if asked.price_data is not None:
        return await _made_up(tx, environment, asked.price_data, now=now, param=asked.at("price_data"))
    if asked.price is None:
        return None
    price = await prices.get(tx, environment, asked.price, param=asked.at("pricing") + "[price]")
    if price.recurring is not None:
        raise Refusal(
            "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.",
            param=asked.at("pricing") + "[price]",
        )
    if not price.active:
        raise Refusal(
            f"The price specified is inactive. This field only accepts active prices: {price.id}",
            param=asked.at("pricing") + "[price]",
        )
    return price


async def _made_up(tx: AsyncConnection, environment: str, asked: PriceData, *, now: datetime, param: str) -> Price:
    return await create_price(
        tx,
        new=Price(
            environment=environment,
            id=public("price"),
            product=asked.product,
            currency=asked.currency,
            model=PerUnit(unit=asked.unit_amount),
            tax_behavior=asked.tax_behavior,
            inline=True,
            created=now,
        ),
        at=param,
        now=now,
    )


async def _require_subscription(tx: AsyncConnection, customer: Customer, subscription: str | None) -> None:
    if subscription is None:
        return
    found = (await subscriptions.find(tx, customer.environment, [subscription])).get(subscription)
    if found is None or found.customer_id != customer.customer_id:
        raise Missing("subscription", subscription, param="subscription")
