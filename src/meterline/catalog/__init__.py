"""What is sold: products, prices, and the tax on them. See README.md."""

from meterline.catalog.model import (
    ANY,
    ByDimension,
    CustomAmount,
    Graduated,
    Package,
    Percentage,
    PerUnit,
    PriceModel,
    QuantityModel,
    RateRow,
    StairStep,
    Step,
    Tier,
    Volume,
    flat_fee,
)
from meterline.catalog.price import (
    Adjustment,
    CurrencyOption,
    Price,
    Recurring,
    TaxBehavior,
    UsageType,
)
from meterline.catalog.product import Product
from meterline.catalog.tax_rate import TaxRate

__all__ = [
    "ANY",
    "Adjustment",
    "ByDimension",
    "CurrencyOption",
    "CustomAmount",
    "Graduated",
    "Package",
    "PerUnit",
    "Percentage",
    "Price",
    "PriceModel",
    "Product",
    "QuantityModel",
    "RateRow",
    "Recurring",
    "StairStep",
    "Step",
    "TaxBehavior",
    "TaxRate",
    "Tier",
    "UsageType",
    "Volume",
    "flat_fee",
]
