"""Agree terms with one subscription, which differ from the plan version's. Why: decision 221."""

from catalog.agreed.agree import agree
from catalog.agreed.content import NotInTerms
from catalog.agreed.edits import (
    FeatureExclusion,
    FreeTierEdit,
    PriceAddition,
    PriceEdit,
    PriceRemoval,
    QuantityEdit,
    QuantityNotAllowed,
    TermsEdit,
)

__all__ = [
    "FeatureExclusion",
    "FreeTierEdit",
    "NotInTerms",
    "PriceAddition",
    "PriceEdit",
    "PriceRemoval",
    "QuantityEdit",
    "QuantityNotAllowed",
    "TermsEdit",
    "agree",
]
