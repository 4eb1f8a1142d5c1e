"""How connections to each kind of broker behave."""

from pathlib import Path

import pytest

from config.server.broker_options import choose_transport_options

FOLDER = Path("/srv/data/broker")


@pytest.mark.parametrize("url", ["redis://one:6379/0", "rediss://:secret@one:6379/0;rediss://two:6379/0"])
def test_redis_that_vanished_holds_no_one_up(url):
    options = choose_transport_options(url, FOLDER)
    assert options["visibility_timeout"] == 3600
    assert (options["socket_timeout"], options["socket_connect_timeout"], options["socket_keepalive"]) == (3, 3, True)


def test_the_file_broker_has_its_folder():
    assert choose_transport_options("folder://localhost", FOLDER)["data_folder_in"] == "/srv/data/broker/messages"


def test_rabbitmq_has_the_librarys_options():
    assert choose_transport_options("amqp://user:secret@one:5672//", FOLDER) == {}
