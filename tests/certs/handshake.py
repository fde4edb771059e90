"""One TLS handshake over a real socket, with a leaf that mitmproxy's own store makes."""

import ipaddress
import socket
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from mitmproxy.certs import CertStore


def leaf_file(folder: Path, target: Path, *hosts: str) -> Path:
    """Key and leaf for `hosts`, as the proxy would show them, in one file."""
    store = CertStore.from_store(folder, "mitmproxy", 2048)
    entry = store.get_cert(hosts[0], [_general_name(host) for host in hosts])
    key = entry.privatekey.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    target.write_bytes(key + entry.cert.to_pem())
    return target


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def verify(leaf: Path, host: str, trusted: Path) -> None:
    """A client that trusts `trusted` alone asks for `host`; ssl.SSLError if it refuses."""
    server_side, client_side = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf)
    server = threading.Thread(target=_serve, args=(context, server_side))
    server.start()
    try:
        client = ssl.create_default_context(cafile=trusted)
        with client_side, client.wrap_socket(client_side, server_hostname=host) as stream:
            assert stream.recv(2) == b"ok"
    finally:
        client_side.close()
        server.join()


def _serve(context: ssl.SSLContext, connection: socket.socket) -> None:
    with connection:
        try:
            with context.wrap_socket(connection, server_side=True) as stream:
                stream.sendall(b"ok")
        except OSError:  # the client refused the leaf, which the test sees on its own side
            return
