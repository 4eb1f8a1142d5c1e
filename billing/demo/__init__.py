"""The demo company: an AI API seller with its catalog, customers and usage, for `manage.py demo`.

`catalog` and `customers` define the company's plans and customers, `usage` and `mistakes` the events of the customers.
`reminders` are about unpaid invoices. `sender` sends the events, `worker` waits for the Celery worker, `access` creates
the logins. Every row is found by its key, so that a second run creates nothing twice.
"""
