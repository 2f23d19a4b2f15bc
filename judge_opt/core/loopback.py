"""Which addresses and Host headers name this machine: the guard of every server that we open.

On loopback the Host header must name loopback: that stops a web page which has its own name point to
127.0.0.1 (DNS rebinding).
"""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_loopback(header: str) -> bool:
    """Whether a Host header, with or without a port, names loopback."""
    host = header.rsplit(":", 1)[0] if not header.endswith("]") else header
    return is_loopback(host.strip("[]").lower())
