"""The Product Catalog in the admin."""

from catalog.admin import aliases, features, plans, prices, versions

__all__ = ["aliases", "features", "plans", "prices", "versions"]
