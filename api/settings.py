"""How the API listens and whom it lets in."""

import ipaddress

import msgspec

from storage.errors import ConfigError

_TOKEN_MIN_CHARACTERS = 22  # 128 bits in base64


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    `token` None lets every process of this user in, and nobody else.

    `allowed_hosts` are further names by which browsers and clients may call the API, as they stand
    in a Host header: `name` (any port that it listens on) or `name:port`.
    """

    host: str = "127.0.0.1"
    port: int = 8889  # 0: any free one
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    version: str

    def check(self) -> None:
        """Raises ConfigError if these settings would let strangers in."""
        if is_loopback(self.host):
            return
        if self.token is None:
            raise ConfigError(
                f"{self.host} can be reached from other machines: add `--auth token`, "
                "or listen on 127.0.0.1"
            )
        if len(self.token) < _TOKEN_MIN_CHARACTERS:
            raise ConfigError(
                f"the token has {len(self.token)} characters: "
                f"beyond loopback it needs {_TOKEN_MIN_CHARACTERS} or more"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`; a name counts as not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
