"""A customer's account over a range of days: what was charged, paid and credited, with a running balance."""
