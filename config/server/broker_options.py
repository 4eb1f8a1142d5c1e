"""How connections to the broker behave. Settings read this, so it imports nothing of Django."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

FOLDER_SCHEME = "folder"
REDIS_SCHEMES = ("redis", "rediss")
TASK_S = 60 * 60  # a task that isn't confirmed after this time is delivered again
ANSWER_S = 3  # longer than a worker waits for a message
# A broker's host that vanished is noticed within 25 seconds.
KEEPALIVE = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}


def choose_transport_options(url: str, folder: Path) -> dict[str, object]:
    """Return the options of Celery's connections to a broker: Redis, RabbitMQ, or files in the folder."""
    scheme = urlsplit(url).scheme
    if scheme in REDIS_SCHEMES:
        return {
            "visibility_timeout": TASK_S,
            "socket_connect_timeout": ANSWER_S,
            "socket_timeout": ANSWER_S,
            "socket_keepalive": True,
            "socket_keepalive_options": KEEPALIVE,
        }
    if scheme == FOLDER_SCHEME:
        return {
            "data_folder_in": str(folder / "messages"),
            "data_folder_out": str(folder / "messages"),
            "control_folder": str(folder / "control"),
            "polling_interval": 0.05,
        }
    return {}  # for RabbitMQ, the library's own, with a timeout of the network, do
