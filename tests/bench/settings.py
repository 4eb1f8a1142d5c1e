"""The product's settings, with an additional empty view for comparison."""

from config.settings import *  # noqa: F403  all settings

ROOT_URLCONF = "tests.bench.urls"
