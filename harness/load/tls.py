"""How the load speaks TLS: as the document says, and by default as a browser does, mistrusting."""

from __future__ import annotations

import ssl

from harness.errors import UsageError
from harness.model.load import LoadSpec

PROTOCOLS = {"": ["h2", "http/1.1"], "1.1": ["http/1.1"], "2": ["h2"]}
# A record keeps so few characters of a reason.
_SHORT = {
    "self-signed certificate": "self-signed",
    "self-signed certificate in certificate chain": "unknown authority",
    "unable to get local issuer certificate": "unknown authority",
    "certificate has expired": "expired",
}


def context(load: LoadSpec) -> ssl.SSLContext:
    """Make what TLS is spoken with; raises UsageError when a certificate or key cannot be used."""
    tls = load.tls
    try:
        found = ssl.create_default_context(cafile=tls.ca or None)
        if tls.certificate:
            found.load_cert_chain(tls.certificate, tls.key or None, password=_no_password)
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "reason", None) or str(error)
        raise UsageError(
            "the load cannot speak TLS", where="load.tls", why=why, hint="certificate and key must belong together"
        ) from error
    # Newer Pythons refuse authorities for their form that every other client takes; a verdict must not hang on that.
    found.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not tls.verify:
        found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    found.set_alpn_protocols(PROTOCOLS[load.http])
    return found


def reason(error: ssl.SSLError) -> str:
    """Say in a few words why TLS failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        told = error.verify_message
        told = "another host" if "ostname mismatch" in told or "IP address mismatch" in told else _SHORT.get(told, told)
        return f"certificate refused, {told}"
    return f"no TLS, {(error.reason or 'it ended').replace('_', ' ').lower()}"


def _no_password() -> str:
    raise UsageError(
        "the key is encrypted",
        where="load.tls.key",
        why="nobody can type its password here",
        hint="openssl pkey -in KEY -out PLAIN",
    )
