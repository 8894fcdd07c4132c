"""Ports for servers of the tests' own."""

import random
import socket

# Below the ports that Linux gives to outgoing connections: a stopped server finds its port again.
PORTS = (15_000, 32_000)


def free_port() -> int:
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
