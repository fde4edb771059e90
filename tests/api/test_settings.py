"""What may be listened on, and with what."""

import pytest

from api.settings import ApiSettings, is_loopback
from storage.errors import ConfigError

TOKEN = "c2l4dGVlbiByYW5kb20gYnl0ZXM"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_needs_no_token(host):
    assert is_loopback(host)
    ApiSettings(version="0.1.0", host=host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.lan", "localhost.evil.com"])
def test_beyond_it_a_token_of_128_bits(host):
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="other machines"):
        ApiSettings(version="0.1.0", host=host).check()
    with pytest.raises(ConfigError, match="21 characters"):
        ApiSettings(version="0.1.0", host=host, token=TOKEN[:21]).check()
    ApiSettings(version="0.1.0", host=host, token=TOKEN).check()
