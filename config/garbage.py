"""When Python looks for cyclic garbage in the workers."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left_for_later() -> Iterator[None]:
    """Look for none meanwhile: for a bounded piece of work in a process of its own.

    Nearly all of its many objects go by themselves when it ends, and until then looking through them finds nothing.
    Within another call it changes nothing.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
