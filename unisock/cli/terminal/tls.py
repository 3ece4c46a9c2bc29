"""The TLS options of the command line."""

from __future__ import annotations

import ssl
import sys

import click

from ...errors import ConfigError
from ..output import on_terminal

__all__ = ["ask_passphrase", "client_tls"]


def client_tls(
    *,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    passphrase: str | None = None,
    check: bool = True,
) -> ssl.SSLContext | None:
    """How a server's certificate is checked, and which is shown to it; `None` for what is usual.

    :param passphrase: of the key; `None` asks for it if the key has one
    :raises ConfigError: a file is not what it should be
    """
    if not any((ca, certificate, key)) and check:
        return None
    if key is not None and certificate is None:
        raise ConfigError("--key goes with --cert: the certificate that the key is for")
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"--ca {ca}: {_why(error)}; it has to be a PEM file") from error
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:

        def password() -> str:
            return ask_passphrase() if passphrase is None else passphrase

        try:
            context.load_cert_chain(certificate, key, password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"--cert {certificate}: {_why(error)}; certificate and key have to be PEM files, "
                "and --passphrase that of the key"
            ) from error
    return context


def ask_passphrase() -> str:
    """Let the user type the passphrase of the key.

    :raises ConfigError: there is no terminal to type it at
    """
    if not _somebody_there():
        raise ConfigError("the key needs a passphrase; write --passphrase TEXT")
    answer: str = click.prompt("passphrase of the key", hide_input=True, err=True)
    return answer


def _somebody_there() -> bool:
    """Whether there is a terminal, though it may not be standard input."""
    if on_terminal(sys.stdin):
        return True
    try:
        with open("/dev/tty"):
            return True
    except OSError:
        return False


def _why(error: OSError) -> str:
    return error.strerror or getattr(error, "reason", None) or str(error)
