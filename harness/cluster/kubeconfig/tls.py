"""Trust a server as kubectl does, and be known to it by a client certificate."""

from __future__ import annotations

import re
import socket
import ssl

from harness.cluster.kubeconfig import memory
from harness.cluster.kubeconfig.access import Access
from harness.errors import PreconditionFailed

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Context(ssl.SSLContext):
    """A TLS context that may know its server by another name than its address, through any proxy."""

    server_name = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Wrap two buffers, for the name that the kubeconfig gives."""
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name or server_hostname, session)

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """Wrap a socket, for the name that the kubeconfig gives."""
        name = self.server_name or server_hostname
        return super().wrap_socket(sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, name, session)


def context(access: Access) -> Context:
    """Build the TLS context for a server; raises PreconditionFailed for an authority that is none."""
    made = Context(ssl.PROTOCOL_TLS_CLIENT)
    made.server_name = access.server_name
    # As Go: any certificate of the file is trusted by itself, and old authorities lack what a strict look asks for.
    made.verify_flags = (made.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    made.hostname_checks_common_name = False
    if access.insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif access.ca:
        found = b"\n".join(_CERTIFICATE.findall(access.ca))
        try:
            made.load_verify_locations(cadata=found.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise _wrong(access, "the certificate authority holds no certificate", error) from None
    else:
        made.load_default_certs()
    return made


def show(made: ssl.SSLContext, access: Access, certificate: bytes, key: bytes) -> None:
    """Be known by a client certificate from the next connection on; raises PreconditionFailed."""
    # OpenSSL takes certificate and key from a file only; it is gone before this function returns.
    with memory.made(".pem") as pem:
        pem.write(certificate.rstrip(b"\n") + b"\n" + key)
        pem.flush()
        try:
            # A key with a passphrase is refused, as kubectl does: nobody is asked for one in the middle of a run.
            made.load_cert_chain(memory.path(pem), password=lambda: b"")
        except (ssl.SSLError, ValueError, TypeError) as error:
            raise _wrong(access, "the client certificate and its key cannot be used", error) from None


def _wrong(access: Access, what: str, error: Exception) -> PreconditionFailed:
    return PreconditionFailed(what, where=f"context {access.context}", why=str(error))
