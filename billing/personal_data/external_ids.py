"""Whether a customer's external id can stay after the erasure."""

import re

from customers.models import Customer

SHORTEST = 3


def is_personal(customer: Customer) -> bool:
    """Tell whether the external id itself says who the customer is: it contains an @, the name, or the email's name.

    Any other external id is a pseudonym, which only the company's own systems can resolve.

    >>> is_personal(Customer(external_id="cust-4711", name="Anna Miller"))
    False
    >>> is_personal(Customer(external_id="anna-miller", name="Anna Miller"))
    True
    >>> is_personal(Customer(external_id="u_amiller1970", name="A. M.", email="amiller1970@example.com"))
    True
    """
    external_id = _letters(customer.external_id)
    names = (_letters(customer.name), _letters(customer.email.partition("@")[0]))
    return "@" in customer.external_id or any(len(name) >= SHORTEST and name in external_id for name in names)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.casefold())
