"""Two-person approval: an action that a rule covers is requested by one colleague and approved by another.

Domain functions ask the gate (`gate.py`) right before they act, with what they are about to do. The gate lets them act,
or raises `ApprovalNeeded`, which pages and endpoints turn into a request. Approving a request calls the same function
again, and the gate lets it pass if it does exactly what was requested.
"""
