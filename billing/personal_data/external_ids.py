"""Whether a customer's external id can stay after the erasure."""

import re

from customers.models import Customer

SHORTEST = 3


def is_personal(customer: Customer) -> bool:
    """Tell whether the external id itself says who the customer is: it has an @, or a word of the name or the email.

    Any other external id is a pseudonym, which only the company's own systems can resolve.

    >>> is_personal(Customer(external_id="cust-4711", name="Anna Miller"))
    False
    >>> is_personal(Customer(external_id="alder-labs", name="Alder Labs BV"))
    True
    >>> is_personal(Customer(external_id="u_amiller1970", name="A. M.", email="amiller1970@example.com"))
    True
    """
    external_id = "".join(_words(customer.external_id))
    words = _words(f"{customer.name} {customer.email.rpartition('.')[0]}")
    return "@" in customer.external_id or any(len(word) >= SHORTEST and word in external_id for word in words)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())
