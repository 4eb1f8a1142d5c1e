"""The self-test: known usage goes through everything that billing does, every few minutes, and leaves nothing behind.

`sending` sends events over HTTP, like a client. `company` makes a customer with a plan, and `billed` counts, invoices
and finalizes, in one transaction of the real tables, which `running` rolls back. `status` is for Home and the alarm.
"""
