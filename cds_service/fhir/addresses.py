"""Addresses of FHIR servers, read strictly: one that two readers could read in two ways is none. Calls nothing."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

# No user part, no backslash, no space, no letter beyond ASCII, no fragment: with each of them programs disagree about
# which host is meant.
_ADDRESS = re.compile(
    r"(https?)://"
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)"
    r"(?::([0-9]{1,5}))?"
    r"((?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?)"
    r"(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?|-]*)?"
)
_PORTS = {"http": 80, "https": 443}
# RFC 6750: what a bearer token can be; anything else would end the header line or the request
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")


class Address(NamedTuple):
    """An absolute http(s) address, host in lower case and port told; `query` with its question mark."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port left out where it is the scheme's own."""
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def text(self) -> str:
        return f"{self.origin}{self.path}{self.query}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine by its own wording. A name that only resolves to this machine is not: the next
        answer of its name server may be another one."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def read_address(text: object) -> Address | None:
    """An absolute http(s) address; None for whatever is not plainly one."""
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) and len(text) <= 4096 else None
    if match is None:
        return None
    scheme, host = match[1].lower(), match[2].lower()
    port = int(match[3]) if match[3] else _PORTS[scheme]
    if not 0 < port < 65536 or not _is_host(host):
        return None
    return Address(scheme, host, port, match[4], match[5] or "")


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        # digits alone are an address in an old spelling (2130706433, 127.1) to some readers, and a name to others
        return ".." not in host and (not host.replace(".", "").isdigit() or _is_ip(host, 4))
    return _is_ip(host[1:-1], 6)


def _is_ip(text: str, version: int) -> bool:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    # an IPv4 address inside an IPv6 one is this machine to some readers, and not to others
    return found.version == version and getattr(found, "ipv4_mapped", None) is None


def read_base(text: object) -> Address | None:
    """The base address of a FHIR server, without a slash at its end; None where it has a query or climbs."""
    address = read_address(text)
    if address is None or address.query or "%" in address.path:
        return None
    if any(part in (".", "..") for part in address.path.split("/")):
        return None
    return address._replace(path=address.path.rstrip("/"))


_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def in_query(text: str) -> str:
    """The text as a value in a query (RFC 3986: all but the unreserved characters escaped)."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())


def is_token(text: object) -> bool:
    """Whether it can stand in an Authorization header as a bearer token (RFC 6750)."""
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def is_id(text: object) -> bool:
    """Whether it is an id as FHIR has them, and no step up a path."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None and text.strip(".") != ""
