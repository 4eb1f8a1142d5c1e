"""What the customers app tells the apps above it, after the commit. Every signal carries `by`, who did it, or None."""

from django.dispatch import Signal

customer_created = Signal()
"""`customer`: events of its external id may be waiting."""

customer_activated = Signal()
"""`customer`: was archived, is billed again."""

external_id_mapped = Signal()
"""`alias`: a CustomerAlias that was made or pointed elsewhere."""

subscription_changed = Signal()
"""`subscription`: was made, moved, cancelled, paused or resumed; its phases say how it stands."""
