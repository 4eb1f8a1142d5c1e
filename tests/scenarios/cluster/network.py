"""Hosts on this machine: network namespaces, each with a name, an address and a cable to one switch.

A host can be cut off by unplugging its cable, and die by losing cable and processes at once, as a machine without power
does: its peers are not notified. Nothing of it is visible outside the namespaces, and the kernel removes all of it with
the last process.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

NETWORK = "10.77.0"
UNSHARE = ("unshare", "--net", "--uts")


def forbids_namespaces() -> str:
    """Return why the kernel gives us no network of our own, or an empty string if it does."""
    trial = subprocess.run(
        [*UNSHARE, "ip", "link", "add", "trial", "type", "bridge"], capture_output=True, text=True, check=False
    )
    return trial.stderr.strip() if trial.returncode else ""


@dataclass
class Namespace:
    """A network namespace, kept by a process that does nothing."""

    name: str
    keeper: "subprocess.Popen[bytes]"

    @classmethod
    def make(cls, name: str) -> "Namespace":
        keeper = subprocess.Popen([*UNSHARE, "sleep", "infinity"])
        while Path(f"/proc/{keeper.pid}/comm").read_text() != "sleep\n":  # still entering its namespaces
            time.sleep(0.005)
        namespace = cls(name, keeper)
        namespace.run("hostname", name)
        return namespace

    def entered(self, *command: str) -> list[str]:
        """Return a command that runs another one in this namespace."""
        return ["nsenter", "--target", str(self.keeper.pid), "--net", "--uts", *command]

    def run(self, *command: str, **options: Any) -> str:
        """Run a command here, and return its output. It may not fail."""
        finished = subprocess.run(
            self.entered(*command),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            **options,
        )
        output: str = finished.stdout
        assert finished.returncode == 0, f"{self.name}: {' '.join(command)}\n{output}"
        return output


@dataclass
class Host(Namespace):
    """A host with its processes. Their output is in the folder `<name>`."""

    switch: Namespace
    number: int
    folder: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def port(self) -> str:
        """Return the name of the switch's port that this host's cable is in."""
        return f"port{self.number}"

    def start(self, name: str, *command: str, env: Mapping[str, str] | None = None, **options: Any) -> None:
        """Start a process here."""
        log: IO[bytes]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.entered(*command),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )

    def stop(self, name: str, number: int = signal.SIGTERM, timeout_s: float = 30) -> None:
        """End a process of this host in order, or with another signal."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number) if number == signal.SIGKILL else process.send_signal(number)
        process.wait(timeout_s)

    def unplug(self) -> None:
        """Cut the host off. Nothing that is sent to it or by it arrives, and no one is notified."""
        self.switch.run("ip", "link", "set", self.port, "down")

    def plug_in(self) -> None:
        self.switch.run("ip", "link", "set", self.port, "up")

    def die(self) -> None:
        """Lose power: the host is cut off, and its processes are gone."""
        self.unplug()
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)


class Network:
    """A switch and the hosts that are plugged into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.switch = Namespace.make("switch")
        self.hosts: dict[str, Host] = {}
        self.switch.run("sh", "-ec", "ip link add bridge type bridge; ip link set bridge up")

    def add_host(self, name: str) -> Host:
        number = len(self.hosts) + 11
        folder = self.folder / name
        folder.mkdir()
        folder.chmod(0o755)
        namespace = Namespace.make(name)
        host = Host(name, namespace.keeper, self.switch, number, folder)
        self.switch.run(
            *("sh", "-ec"),
            f"ip link add {host.port} type veth peer name eth0 netns {host.keeper.pid};"
            f" ip link set {host.port} master bridge up",
        )
        host.run("sh", "-ec", f"ip link set lo up; ip addr add {host.address}/24 dev eth0; ip link set eth0 up")
        self.hosts[name] = host
        return host

    def remove(self) -> None:
        """End every process of every host, and the network."""
        for host in self.hosts.values():
            for name in list(host.processes):
                host.stop(name, signal.SIGKILL)
        for namespace in (*self.hosts.values(), self.switch):
            namespace.keeper.kill()
            namespace.keeper.wait()


def wait_until(condition: Any, what: str, timeout_s: float = 60) -> None:
    """Wait until a condition holds. Fails with what didn't happen."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"{what} didn't happen within {timeout_s:.0f} seconds"
        time.sleep(0.1)


def as_user(uid: int, gid: int, *command: str) -> Sequence[str]:
    """Return a command that runs another one as a user without rights."""
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *command]
