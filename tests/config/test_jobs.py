"""Garbage collection is paused during a job and runs again afterwards."""

import gc

import pytest

from config.jobs import gc_paused


def test_garbage_collection_resumes_after_a_job_and_after_a_failure():
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), gc_paused():
        1 / 0  # noqa: B018  a failing job
    assert gc.isenabled()


def test_a_nested_pause_ends_with_the_outer_pause():
    with gc_paused():
        with gc_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
