"""Which addresses lead out of this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Say whether only this machine is meant."""
    if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_local(host: str) -> bool:
    """Say whether a server's host is this machine: a socket, or loopback."""
    return not host or host.startswith(("/", "@")) or is_loopback(host)


def is_wide(network: str) -> bool:
    """Say whether a trusted address is more than the few machines of a proxy: wider than /24, or /64 with IPv6."""
    if network.strip() == "*":
        return True
    try:
        parsed = ipaddress.ip_network(network.strip(), strict=False)
    except ValueError:
        return False
    return parsed.prefixlen < (24 if parsed.version == 4 else 64)
