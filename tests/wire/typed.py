"""Holds responses to the typed SDK: every field that it declares is there, with a value that its type allows.

The SDK's annotations say what an object can hold, not what is always sent: an `Optional` field may be null or
missing. Missing is the exception, so exceptions are listed here with their reason; everything else is required.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, ForwardRef, Literal, Union, cast, get_args, get_origin

import stripe
from stripe._object_classes import get_object_class
from stripe._stripe_object import StripeObject, UntypedStripeObject

Rule = Callable[[Mapping[str, Any]], bool]
"""Says of an object, by what it holds, whether a field of it may be missing."""


def always(_: Mapping[str, Any]) -> bool:
    return True


EXPANDED: Rule = always  # sent to who asks with `expand[]`
WHEN_SET: Rule = always  # sent where it has a value
NOT_OFFERED: Rule = always  # belongs to a feature that is absent here


_OTHER_METHODS = stripe.PaymentMethod._inner_class_types.keys() - {"billing_details", "card"}
"""A payment method has a hash of its own type; the only type here is `card`."""

ABSENT: dict[str, dict[str, Rule]] = {
    "account": dict.fromkeys(
        ["company", "controller", "external_accounts", "future_requirements", "groups", "individual", "requirements",
         "tos_acceptance"],
        NOT_OFFERED,
    ),
    "account.business_profile": dict.fromkeys(stripe.Account.BusinessProfile.__annotations__, NOT_OFFERED),
    "account.capabilities": dict.fromkeys(stripe.Account.Capabilities.__annotations__, NOT_OFFERED),
    "account.settings": dict.fromkeys(stripe.Account.Settings.__annotations__, NOT_OFFERED),
    "balance": dict.fromkeys(
        ["connect_reserved", "instant_available", "issuing", "refund_and_dispute_prefunding"], NOT_OFFERED
    ),
    "balance.available.source_types": dict.fromkeys(["bank_account", "fpx"], NOT_OFFERED),
    "balance.pending.source_types": dict.fromkeys(["bank_account", "fpx"], NOT_OFFERED),
    "coupon": dict.fromkeys(["applies_to", "currency_options"], EXPANDED),
    "credit_note.pretax_credit_amounts": dict.fromkeys(["credit_balance_transaction", "discount"], WHEN_SET),
    "credit_note_line_item": {"invoice_line_item": WHEN_SET},
    "credit_note_line_item.pretax_credit_amounts": dict.fromkeys(["credit_balance_transaction", "discount"], WHEN_SET),
    "customer": {
        **dict.fromkeys(["invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids"], EXPANDED),
        **dict.fromkeys(["business_name", "individual_name"], WHEN_SET),
        **dict.fromkeys(["cash_balance", "customer_account"], NOT_OFFERED),
    },
    "customer.shipping": dict.fromkeys(["carrier", "tracking_number"], NOT_OFFERED),
    "event.data": {"previous_attributes": WHEN_SET},
    "event": dict.fromkeys(["account", "context"], NOT_OFFERED),
    "invoice": {
        **dict.fromkeys(["confirmation_secret", "payments"], EXPANDED),
        "threshold_reason": NOT_OFFERED,
    },
    "invoice.customer_shipping": dict.fromkeys(["carrier", "tracking_number"], NOT_OFFERED),
    "invoice.issuer": {"account": WHEN_SET},
    "invoice.parent.subscription_details": {"subscription_proration_date": WHEN_SET},
    "invoice_payment.payment": dict.fromkeys(["charge", "payment_record"], NOT_OFFERED),
    "invoice.total_pretax_credit_amounts": dict.fromkeys(["credit_balance_transaction", "discount"], WHEN_SET),
    "line_item.pretax_credit_amounts": dict.fromkeys(["credit_balance_transaction", "discount"], WHEN_SET),
    "charge": dict.fromkeys(
        ["authorization_code", "level3", "presentment_details", "radar_options", "refunds", "transfer"], NOT_OFFERED
    ),
    "charge.fraud_details": dict.fromkeys(["stripe_report", "user_report"], WHEN_SET),
    "charge.payment_method_details": dict.fromkeys(
        stripe.Charge.PaymentMethodDetails.__annotations__.keys() - {"card", "type"}, NOT_OFFERED
    ),
    "charge.payment_method_details.card": dict.fromkeys(
        ["capture_before", "description", "electronic_commerce_indicator", "iin", "issuer", "moto",
         "setup_credential_usage", "stored_credential_usage", "transaction_link_id"],
        NOT_OFFERED,
    ),
    "dispute.payment_method_details": dict.fromkeys(["amazon_pay", "klarna", "paypal"], NOT_OFFERED),
    "refund.destination_details": dict.fromkeys(
        stripe.Refund.DestinationDetails.__annotations__.keys() - {"card", "type"}, NOT_OFFERED
    ),
    "refund.destination_details.card": {"reference": WHEN_SET},
    "charge.outcome": dict.fromkeys(["risk_score", "rule"], NOT_OFFERED),
    "payment_intent": dict.fromkeys(
        ["hooks", "managed_payments", "payment_details", "payment_record",
         "presentment_details"],
        NOT_OFFERED,
    ),
    "payment_method": dict.fromkeys(_OTHER_METHODS, NOT_OFFERED),
    "payment_method.card": dict.fromkeys(["description", "iin", "issuer"], NOT_OFFERED),
    "price": dict.fromkeys(["currency_options", "tiers"], EXPANDED),
    "price.currency_options": {"tiers": EXPANDED},
    "product": {"tax_details": WHEN_SET},
    "plan": {"tiers": EXPANDED},
    "promotion_code.restrictions": {"currency_options": EXPANDED},
    "subscription": dict.fromkeys(["presentment_details"], NOT_OFFERED),
    "subscription.invoice_settings.issuer": {"account": WHEN_SET},
    "subscription_item": {"quantity": WHEN_SET},
    "test_helpers.test_clock.status_details": {"advancing": WHEN_SET},
    "webhook_endpoint": {"secret": WHEN_SET},
}  # fmt: skip

LEGACY: dict[str, set[str]] = {"subscription": {"plan", "quantity"}}
"""Still sent, though no longer declared: of a subscription with a single item."""


def assert_typed(body: object, *, absent: Iterable[str] = ()) -> None:
    """Fail unless an object, or every object of a list, is what the SDK declares.

    `body` is JSON or an SDK object. `absent` names further fields that may be missing: `invoice.payments`.
    """
    plain = body.to_dict(for_json=True) if isinstance(body, StripeObject) else body
    assert isinstance(plain, Mapping), f"not an object: {plain!r}"
    faults = list(_faults(plain, frozenset(absent)))
    assert not faults, "\n".join(faults)


def _faults(plain: Mapping[str, Any], absent: frozenset[str]) -> Iterable[str]:
    if plain.get("object") in {"list", "search_result"}:
        for each in plain["data"]:
            yield from _faults(each, absent)
        return
    if plain.get("deleted") is True:
        assert plain.keys() == {"id", "object", "deleted"}, f"a deleted object says no more: {plain}"
        return
    kind = str(plain["object"])
    known = get_object_class("V1", kind)
    if known is StripeObject:
        known = get_object_class("V2", kind)
    assert known is not StripeObject, f"the SDK does not know {kind}"
    yield from _compare(plain, known, kind, absent)


def _compare(plain: Mapping[str, Any], known: type[StripeObject], path: str, absent: frozenset[str]) -> Iterable[str]:
    declared = _declared(known)
    inner = cast("Mapping[str, type[StripeObject]]", getattr(known, "_inner_class_types", {}))
    for name, hint in declared.items():
        if name not in plain:
            rule = ABSENT.get(path, {}).get(name)
            if f"{path}.{name}" not in absent and (rule is None or not rule(plain)):
                yield f"{path}.{name} is missing"
            continue
        yield from _fits(plain[name], hint, f"{path}.{name}", inner.get(name), absent)
    for name in plain.keys() - declared.keys() - LEGACY.get(path, set()):
        yield f"{path}.{name} is not declared"


def _declared(known: type[StripeObject]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in reversed(known.__mro__):
        if issubclass(each, StripeObject) and each is not StripeObject:
            found |= inspect.get_annotations(each)
    return {name: hint for name, hint in found.items() if name not in ("OBJECT_NAME", "deleted")}


def _fits(value: Any, hint: Any, path: str, inner: type[StripeObject] | None, absent: frozenset[str]) -> Iterable[str]:
    """What is wrong with a value, given the annotation of its field."""
    options = get_args(hint) if get_origin(hint) is Union else (hint,)
    if value is None:
        if type(None) not in options:
            yield f"{path} is null"
        return
    if not any(_allows(option, value) for option in options):
        yield f"{path} is {value!r}, which {hint} does not allow"
        return
    members = value if isinstance(value, list) else [value]
    for member in members:
        if isinstance(member, Mapping):
            yield from _inside(member, path, inner, absent)


def _inside(
    member: Mapping[str, Any], path: str, inner: type[StripeObject] | None, absent: frozenset[str]
) -> Iterable[str]:
    if isinstance(member.get("object"), str):
        yield from _faults(member, absent)
    elif inner is not None and path.endswith(".currency_options"):
        for option in member.values():
            yield from _compare(option, inner, path, absent)
    elif inner is not None:
        yield from _compare(member, inner, path, absent)


def _allows(hint: Any, value: Any) -> bool:
    origin = get_origin(hint)
    if hint is Any:
        return True
    if origin is Union:
        return any(_allows(option, value) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(_allows(get_args(hint)[0], each) for each in value)
    if hint is Decimal:
        return isinstance(value, str) and Decimal(value).is_finite()
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint in (int, str, bool):
        return type(value) is hint
    if isinstance(hint, ForwardRef | str) or origin is UntypedStripeObject:
        return isinstance(value, Mapping | list)
    # Whatever is left is an SDK class, plain or generic, and so an object.
    return isinstance(value, Mapping)
