"""TLS with a host that gave its certificate (go-plugin's AutoMTLS): each side proves that it is the
one that the other has launched, or was launched by.
"""

import base64
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hsu_worker.errors import LaunchError

#: The name that go-plugin's hosts ask for.
HOST_NAME: Final = "localhost"
#: Longer than any process lives.
_VALID_FOR: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate of this process, made for it, and how it talks to the host."""

    context: ssl.SSLContext
    """Presents the certificate, and takes connections from the host alone."""
    announced: str
    """The certificate, as the handshake line holds it."""


def make_identity(host: str) -> Identity:
    """Make a key and a certificate; the key leaves this process never.

    Args:
        host: The host's certificate, in PEM.

    Raises:
        LaunchError: `cryptography` is missing, or the host's certificate is none.
    """
    try:
        key, certificate, encoded = _make()
    except ImportError:
        raise LaunchError(
            "the host that launched this process asks for TLS (AutoMTLS), and the package "
            "cryptography is missing; install it with: pip install 'hsu-worker[tls]'"
        ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # gRPC's clients insist that it is agreed on.
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(cadata=host)
    except (ssl.SSLError, ValueError):
        raise LaunchError("PLUGIN_CLIENT_CERT holds no certificate in PEM") from None
    # ssl takes them from files only; the folder is this user's, and gone a moment later.
    with TemporaryDirectory(prefix="hsu-plugin-") as folder:
        file = Path(folder, "identity.pem")
        file.touch(mode=0o600)
        file.write_bytes(key + certificate)
        context.load_cert_chain(file)
    return Identity(context, base64.b64encode(encoded).decode().rstrip("="))


def _make() -> tuple[bytes, bytes, bytes]:
    """A key and its certificate in PEM, and the certificate in DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST_NAME)])
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST_NAME)]), critical=False)
        # The host trusts it as the authority that has signed it.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
        certificate.public_bytes(serialization.Encoding.DER),
    )
