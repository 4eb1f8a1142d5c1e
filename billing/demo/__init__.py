"""The demo company: an AI API seller with its catalog, customers and usage, for `manage.py demo`.

`catalog` and `clients` say what it sells and to whom, `usage` and `mistakes` what its customers send, `sending` and
`running` do it, `access` lets a person in. Everything is found again by its key, so a second run adds nothing
twice.
"""
