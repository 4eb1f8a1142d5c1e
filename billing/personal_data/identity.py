"""How stored texts name a customer: by ids, which say whose a text is, and by names, which must not stay in it.

A name alone never selects anything. A customer can be called `draft`, or as another customer is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.contenttypes.models import ContentType

from billing.personal_data.external_ids import is_personal
from billing.personal_data.owned import public_ids_of
from config.personal_data.entries import entries_about, read_entry
from config.personal_data.keys import ERASED
from customers.models import Customer, CustomerAlias

ERASED_NAME = "Erased"
SHORTEST = 2
EXTERNAL_ID = "external_customer_id"
FREE = {"metadata", "properties"}  # what clients write there doesn't say whose the object is
FORMER = ("name", "email", "alias")


@dataclass(frozen=True)
class Identity:
    """The ids and names of one customer, each read once."""

    customer: Customer

    @cached_property
    def public_ids(self) -> set[str]:
        """The public ids of the customer and of the customer's objects."""
        return public_ids_of(self.customer)

    @cached_property
    def external_ids(self) -> list[str]:
        """The external id and its aliases. Others may use these words for something else."""
        return [self.customer.external_id, *self.customer.aliases.values_list("alias", flat=True)]

    @cached_property
    def names(self) -> list[str]:
        """The name, email and aliases, and those that the change log remembers, the longest first."""
        texts = {self.customer.name, self.customer.email, *self.external_ids[1:], *_former(self.customer)}
        names = (text for text in texts if len(text) >= SHORTEST and text not in {ERASED_NAME, ERASED})
        return sorted(names, key=lambda text: (-len(text), text))

    @cached_property
    def replacements(self) -> dict[str, str]:
        """What replaces each name within a sentence. The external id gets its own: open alarms differ by it."""
        own = {self.customer.external_id: f"erased-{self.customer.public_id}"} if is_personal(self.customer) else {}
        kept = set(self.external_ids[:1]) - set(own)
        return own | {name: ERASED_NAME for name in self.names if name not in own and name not in kept}

    def is_named_in(self, content: Any) -> bool:
        """Tell whether parsed JSON has an id of the customer's objects, or the external id where events have it."""
        return any(
            text in self.public_ids or (key == EXTERNAL_ID and text in self.external_ids)
            for key, text in _texts_in(content)
        )

    def replace_names(self, text: str) -> str:
        """Return a sentence without the customer's names. Words that only contain a name stay as they are."""
        if not self.replacements:
            return text
        longest_first = sorted(self.replacements, key=len, reverse=True)
        pattern = "|".join(word_pattern(name) for name in longest_first)
        return re.sub(pattern, lambda match: self.replacements[match[0]], text)


def word_pattern(text: str) -> str:
    r"""Return a regular expression of a text that isn't part of a longer word.

    >>> re.sub(word_pattern("Ann (B.)"), "Erased", "Ann (B.), Ann (B.)a"), re.sub(word_pattern("Ann"), "-", "Anna, Ann")
    ('Erased, Ann (B.)a', 'Anna, -')
    """
    return rf"(?<!\w){re.escape(text)}(?!\w)"


def _texts_in(content: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, str):
        yield key, content
    elif isinstance(content, list):
        for item in content:
            yield from _texts_in(item, key)
    elif isinstance(content, dict):
        for name, item in content.items():
            if name not in FREE:
                yield from _texts_in(item, name)


def _former(customer: Customer) -> Iterator[str]:
    """Yield the names, emails and aliases in the change log, as long as its key exists."""
    types = ContentType.objects.get_for_models(Customer, CustomerAlias).values()
    for entry in entries_about(customer.pk).filter(content_type__in=list(types)):
        changes = read_entry(entry).changes or {}
        for name in FORMER:
            yield from (value for value in changes.get(name, ()) if isinstance(value, str) and value != "None")
