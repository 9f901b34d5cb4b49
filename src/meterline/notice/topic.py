"""The topics that webhooks of the wallet dialect are told, and when."""

from collections.abc import Mapping

TOPICS: Mapping[str, str] = {
    "customer.created": "a customer is there",
    "customer.updated": "a customer is called something else",
    "subscription.scheduled": "a subscription is made that begins later",
    "subscription.action_required": "a fixed fee cannot be paid: the customer has to act before usage is debited",
    "subscription.activated": "usage is debited by a subscription from now on",
    "subscription.deactivated": "a subscription ended",
    "transaction.completed": "value was moved by hand: an adjustment, a charge, a grant or a refund",
    "wallet.low": "what is available falls to the level of an alert",
    "wallet.depleted": "what is available falls to zero or below",
    "wallet.recovered": "what is available rises above zero, or above a level",
    "topup.created": "somebody is asked for money",
    "topup.succeeded": "the money arrived, and the wallet has its value",
    "topup.failed": "the payment was refused",
    "autotopup.attempted": "a wallet recharges itself",
    "autotopup.blocked": "a wallet would recharge itself and may not",
    "autotopup.failed": "the payment of an automatic top-up was refused",
    "grant.expiring": "a grant of which something is left ends soon",
    "grant.expired": "a grant ended with its time",
    "hold.expired": "a hold ended with its time",
    "event.parked": "usage is kept that nothing prices yet",
    "budget.refused": "a budget refuses a call",
    "price.published": "a version of a product can be subscribed to",
}
"""In the order in which they are documented."""
