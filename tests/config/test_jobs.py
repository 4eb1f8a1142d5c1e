"""A worker looks for cyclic garbage between pieces of work, not amid one."""

import gc

import pytest

from config.jobs import gc_paused


def test_it_is_looked_for_again_afterwards_also_after_a_failure():
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), gc_paused():
        1 / 0  # noqa: B018  a failure of the work's own
    assert gc.isenabled()


def test_one_piece_within_another_leaves_it_to_the_outer():
    with gc_paused():
        with gc_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
