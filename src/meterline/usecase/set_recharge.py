"""Set the rule by which a wallet recharges itself, whoever sets it: the seller, or the customer in the portal."""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.money import CURRENCIES
from meterline.refusal import Missing, Refusal
from meterline.store import payment_method
from meterline.store import top_up as store
from meterline.wallet.recharge import RechargeRule


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRecharge:
    """What the rule is to be, in major units of the asset; null is "as it was, or as usual"."""

    enabled: bool = True
    threshold: Decimal
    target: Decimal
    monthly_cap: Decimal | None = None
    most_per_day: int | None = None
    cool_off: timedelta | None = None
    payment_method: str | None = None


async def set_recharge(tx: AsyncConnection, *, customer: Customer, asset: str, asked: AskedRecharge) -> RechargeRule:
    """The rule as it is from now on.

    Refuses an asset that no card can buy, a target that is not above the threshold, and a method of somebody else.
    """
    if asset.lower() not in CURRENCIES:
        raise Refusal(f"Only currencies recharge by themselves; {asset} is none.", code="no_currency", param="asset")
    if asked.threshold < 0:
        raise Refusal("The threshold is not negative.", code="threshold_negative", param="threshold")
    if asked.target <= asked.threshold:
        raise Refusal("The target is above the threshold.", code="target_too_low", param="target")
    if asked.monthly_cap is not None and asked.monthly_cap <= 0:
        raise Refusal("The monthly cap is more than zero.", code="cap_too_low", param="monthly_cap")
    if asked.payment_method is not None:
        known = (await payment_method.find(tx, customer.environment, [asked.payment_method])).get(asked.payment_method)
        if known is None or known.customer_id != customer.customer_id:
            raise Missing("payment method", asked.payment_method, param="payment_method")
    before = await store.rule(tx, customer.customer_id, asset)
    usual = RechargeRule(enabled=True, threshold=asked.threshold, target=asked.target) if before is None else before
    rule = replace(
        usual,
        enabled=asked.enabled,
        threshold=asked.threshold,
        target=asked.target,
        monthly_cap=asked.monthly_cap,
        most_per_day=asked.most_per_day or usual.most_per_day,
        cool_off=asked.cool_off or usual.cool_off,
        payment_method=asked.payment_method,
    )
    await _put(tx, customer, asset, rule)
    return rule


async def stop_recharge(tx: AsyncConnection, *, customer: Customer, asset: str) -> None:
    """Switch the rule off, where there is one."""
    rule = await store.rule(tx, customer.customer_id, asset)
    if rule is not None:
        await _put(tx, customer, asset, replace(rule, enabled=False))


async def _put(tx: AsyncConnection, customer: Customer, asset: str, rule: RechargeRule) -> None:
    await store.put_rule(tx, environment=customer.environment, customer_id=customer.customer_id, asset=asset, new=rule)
