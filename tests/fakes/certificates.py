# SPDX-License-Identifier: Apache-2.0
"""A certificate of 127.0.0.1 that vouches for itself."""

import datetime
import ipaddress
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid


def write(
    directory: pathlib.Path, *, address: str = "127.0.0.1", days: int = 1, password: bytes = b""
) -> None:
    """Write ``certificate.pem``, which is its own CA file, and ``key.pem``.

    :param days: that it is good for; 0: it has expired.
    :param password: of the key; empty: it has none.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, "glance")])
    now = datetime.datetime.now(datetime.UTC)
    named = x509.IPAddress(ipaddress.ip_address(address))
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=2),
        not_valid_after=now + datetime.timedelta(days=days, seconds=-60),
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([named]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (directory / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption)
    )


def server_context(
    directory: pathlib.Path, *, clients: pathlib.Path | None = None
) -> ssl.SSLContext:
    """Return what a server with the certificate of ``directory`` speaks TLS with.

    :param clients: where the certificate is that a client has to show; None: none has to.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    if clients is not None:
        context.load_verify_locations(clients / "certificate.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context
