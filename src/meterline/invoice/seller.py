"""Who sells: what documents say of the business behind an environment."""

from dataclasses import dataclass

from meterline.customer import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """The business of one environment, as it stands on its invoices. All of it is for people to read."""

    environment: str
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    url: str | None = None
    tax_id: str | None = None
    address: Address | None = None
