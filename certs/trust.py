"""
How a child process, and nothing else on the machine, is made to trust the authority.

By environment variables alone: no system store, no keychain, no browser profile is ever written.
Which client reads which variable was tried on the wire (Claude Code 2.1.330, Codex 0.169, Gemini
CLI, Qwen Code, opencode, Copilot CLI); the others stand in those tools' own documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from certs import bundle, files
from certs.authority import Authority
from certs.errors import CertificateError


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One environment variable that names a certificate file."""

    name: str
    adds: bool  # to the client's roots; False: the file is taken instead of them
    clients: str  # who reads it


VARIABLES = (
    Variable(
        name="NODE_EXTRA_CA_CERTS",
        adds=True,
        clients="Claude Code, Gemini CLI, Qwen Code, opencode, Copilot CLI; Node, Bun",
    ),
    Variable(
        name="SSL_CERT_FILE",
        adds=False,
        clients="Codex, Claude Code, opencode, Copilot CLI; OpenSSL, Go, Python's ssl, uv",
    ),
    Variable(name="CODEX_CA_CERTIFICATE", adds=False, clients="Codex"),
    Variable(name="REQUESTS_CA_BUNDLE", adds=False, clients="Python's requests, pip"),
    Variable(name="CURL_CA_BUNDLE", adds=False, clients="curl, requests"),
    Variable(name="GIT_SSL_CAINFO", adds=False, clients="git"),
    Variable(name="DENO_CERT", adds=True, clients="Deno"),
    Variable(name="AWS_CA_BUNDLE", adds=False, clients="AWS CLI and SDKs"),
    Variable(name="CARGO_HTTP_CAINFO", adds=False, clients="cargo"),
)


def child_environment(
    authority: Authority, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """
    The variables to set for a child, and the files that they name, brought up to date.

    `environ` is what the child would have had: certificates that it names stay trusted.
    CertificateError when the authority has been removed since it was loaded.
    """
    named = [Path(path) for path in _named(environ or {})]
    try:
        with files.locked(authority.folder, create=False):
            current = authority.certificate_path.read_bytes()
            trust = bundle.for_child(authority.folder, bundle.certificates(current), named)
    except FileNotFoundError as error:
        raise CertificateError(
            f"{authority.folder} holds no authority any more; start the proxy again"
        ) from error
    return {
        variable.name: str(trust.trusted if variable.adds else trust.bundle)
        for variable in VARIABLES
    }


def _named(environ: Mapping[str, str]) -> list[str]:
    values = (environ.get(variable.name, "") for variable in VARIABLES)
    return list(dict.fromkeys(value for value in values if value))
