"""A certificate authority for one test."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

__all__ = ["Certificates"]


class Certificates:
    """A certificate for ``localhost`` and the loopback addresses, and clients that trust it.

    :ivar client: the TLS settings of such a client
    """

    def __init__(self) -> None:
        authority = trustme.CA()
        self._certificate = authority.issue_cert("localhost", "127.0.0.1", "::1")
        self.client = ssl.create_default_context()
        self.client.load_verify_locations(cadata=authority.cert_pem.bytes().decode())

    def write(self, folder: Path) -> dict[str, str]:
        """Put the server's files into a folder, and return them as ``[listen.tls]`` wants them."""
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        certificate.write_bytes(b"".join(p.bytes() for p in self._certificate.cert_chain_pems))
        key.write_bytes(self._certificate.private_key_pem.bytes())
        return {"certificate": str(certificate), "key": str(key)}
