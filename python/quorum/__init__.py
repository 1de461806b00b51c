"""Quorum: private marts from the product events of many tenants."""

__version__ = "0.1.0"
