"""The product's settings, with one more door: a view that does nothing, to compare with."""

from config.settings import *  # noqa: F403  all of them, as they are

ROOT_URLCONF = "tests.bench.urls"
