"""The Product Catalog in the admin."""

from catalog.admin import addons, aliases, features, plans, prices, versions

__all__ = ["addons", "aliases", "features", "plans", "prices", "versions"]
