"""Messages reach public addresses only, however the address is written and whatever its name resolves to."""

import ipaddress
import socket
import threading
import time
from contextlib import suppress

import pytest

from config.webhooks import posting
from config.webhooks.posting import post
from config.webhooks.targets import TargetRefused, check_url, is_public, resolve
from tests.config.webhooks.receiver import receiving


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1",
        "fec0::1", "192.88.99.1", "168.63.129.16", "::ffff:168.63.129.16",
    ],
)  # fmt: skip
def test_private_addresses_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_internet_addresses_are_public(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "example.com/hooks", "https://", "https://user:word@example.com/",
        "https://example.com/#here", "https://localhost/", "https://LOCALHOST./", "https://db.internal/",
        "https://printer.local/", "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://127.1/",
        "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest", "https://example.com:99999/",
        "https://exa mple.com/", "https://[broken/", "https://example.com/" + "x" * 1000,
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_https_is_refused(url):
    with pytest.raises(TargetRefused):
        check_url(url)


@pytest.mark.parametrize(
    "url", ["https://example.com/hooks?source=billing", "https://example.com:8443/", "https://1.1.1.1/"]
)
def test_a_public_https_address_is_accepted(url):
    assert check_url(url).scheme == "https"


def resolving_to(monkeypatch, *addresses):
    asked = []

    def look_up(host, port, *given, **options):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    resolving_to(monkeypatch, "93.184.216.34", "10.0.0.5")
    with pytest.raises(TargetRefused, match=r"resolves to 10\.0\.0\.5, a private address"):
        resolve("hooks.example.com", 443)


def test_nothing_is_sent_to_a_name_that_resolves_to_this_machine(monkeypatch):
    with receiving() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        resolving_to(monkeypatch, "127.0.0.1")
        answer = post(f"https://hooks.example.com:{port}/", "{}", {})
        assert answer.error == "hooks.example.com resolves to 127.0.0.1, a private address."
        assert receiver.received == []


def test_the_checked_address_is_connected_to_and_the_name_is_not_looked_up_again(monkeypatch, settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True
    with receiving() as receiver:
        asked = resolving_to(monkeypatch, "127.0.0.1")
        port = receiver.url.split(":")[2].split("/")[0]
        answer = post(f"http://hooks.example.com:{port}/a?b=c", "{}", {"webhook-id": "msg_1"})
        assert (answer.status, receiver.received[0].path) == (200, "/a?b=c")
        assert receiver.received[0].headers["host"] == f"hooks.example.com:{port}"
    assert [host for host in asked if host != "127.0.0.1"] == ["hooks.example.com"]


def test_a_response_that_never_ends_is_cut_off(monkeypatch, settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True
    monkeypatch.setattr(posting, "TOTAL_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip():
            line, _ = listener.accept()
            with line, suppress(OSError):
                line.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                for _ in range(100):
                    time.sleep(0.1)
                    line.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        answer = post(f"http://127.0.0.1:{listener.getsockname()[1]}/", "{}", {})
        dripping.join(10)
    assert (answer.status, answer.error) == (None, "No complete response within 1 seconds.")
    assert answer.duration_ms < 5_000


def test_an_unknown_host_name_is_a_failed_attempt(monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert post("https://nobody.example.com/", "{}", {}).error == "nobody.example.com can't be looked up."
