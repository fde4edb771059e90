import os
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mitmproxy.certs
import pytest

from certs import authority, bundle
from certs.errors import CertificateError, DamagedError, FolderError, HostError
from tests.certs.handshake import leaf_file, verify

PERMITTED = ("anthropic.com", "openai.com")
NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)


def trusted(folder: Path) -> list[bytes]:
    return list(bundle.certificates((folder / "trusted.pem").read_bytes()))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_first_use_makes_everything_and_a_second_one_nothing(tmp_path):
    folder = tmp_path / "data" / "ca"
    assert authority.load(folder) is None
    made = authority.ensure(folder, permitted=["*.OpenAI.com", "anthropic.com"], now=NOW)
    assert made.permitted == PERMITTED
    assert made.subject.startswith("CN=Wirescribe CA for ")
    assert made.not_before < NOW < made.not_after == NOW + timedelta(days=365)
    assert len(bytes.fromhex(made.fingerprint_sha256)) == 32
    assert authority.load(folder) == made

    before = content(folder)
    assert authority.ensure(folder, permitted=PERMITTED, now=NOW) == made
    assert content(folder) == before


def test_every_path_of_the_authority_is_there(tmp_path):
    made = authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    key = made.key_path.read_bytes()
    assert key.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert key.endswith(made.certificate_path.read_bytes())
    for path in (made.certificate_path, made.trusted_path, made.bundle_path):
        assert b"PRIVATE KEY" not in path.read_bytes()
        assert made.certificate_path.read_bytes() in path.read_bytes()


def test_nothing_is_open_to_others_mitmproxy_included(tmp_path):
    former = os.umask(0)
    try:
        folder = tmp_path / "ca"
        authority.ensure(folder, permitted=PERMITTED)
        before = content(folder)
        mitmproxy.certs.CertStore.from_store(folder, "mitmproxy", 2048)
    finally:
        os.umask(former)
    assert content(folder) == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_the_dh_parameters_are_mitmproxys_own(tmp_path):
    authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    written = (tmp_path / "ca" / "mitmproxy-dhparam.pem").read_bytes()
    assert written == mitmproxy.certs.DEFAULT_DHPARAM


@pytest.mark.parametrize("host", ["openai.com", "api.openai.com", "a.b.anthropic.com"])
@pytest.mark.parametrize("file", ["bundle.pem", "trusted.pem", "mitmproxy-ca-cert.pem"])
def test_a_leaf_for_a_permitted_host_verifies(tmp_path, host, file):
    authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    verify(leaf_file(tmp_path / "ca", tmp_path / "leaf.pem", host), host, tmp_path / "ca" / file)


@pytest.mark.parametrize(
    "hosts",
    [
        ["example.com"],
        ["notopenai.com"],
        ["openai.com.example.com"],
        ["localhost"],
        ["127.0.0.1"],
        ["::1"],
        ["api.openai.com", "example.com"],
        ["api.openai.com", "127.0.0.1"],
    ],
)
def test_a_leaf_for_any_other_host_is_refused(tmp_path, hosts):
    made = authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    leaf = leaf_file(tmp_path / "ca", tmp_path / "leaf.pem", *hosts)
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        verify(leaf, hosts[0], made.bundle_path)


@pytest.mark.parametrize("host", ["::1", "localhost", "api.openai.com"])
def test_this_machine_is_permitted_when_the_caller_says_so(tmp_path, host):
    """127.0.0.1 is not among them: names.py says what OpenSSL makes of an IPv4 leaf."""
    permitted = (*PERMITTED, "127.0.0.1", "::1", "localhost")
    made = authority.ensure(tmp_path / "ca", permitted=permitted)
    leaf = leaf_file(tmp_path / "ca", tmp_path / "leaf.pem", host)
    verify(leaf, host, made.bundle_path)


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1"])
def test_an_authority_without_limit_vouches_for_any_host(tmp_path, host):
    made = authority.ensure(tmp_path / "ca", permitted=None)
    assert made.permitted is None
    verify(leaf_file(tmp_path / "ca", tmp_path / "leaf.pem", host), host, made.bundle_path)


@pytest.mark.parametrize(
    ("later", "renewed"),
    [
        (timedelta(days=334), False),
        (timedelta(days=336), True),
        (timedelta(days=365), True),
        (timedelta(days=4000), True),
        (-timedelta(days=1), False),
        (-timedelta(days=3), True),
    ],
)
def test_it_is_renewed_by_itself_thirty_days_before_it_expires(tmp_path, later, renewed):
    first = authority.ensure(tmp_path, permitted=PERMITTED, now=NOW)
    second = authority.ensure(tmp_path, permitted=PERMITTED, now=NOW + later)
    assert (second != first) is renewed
    assert authority.load(tmp_path) == second
    if renewed:
        assert second.not_after == NOW + later + timedelta(days=365)


@pytest.mark.parametrize(
    ("had", "wanted", "renewed"),
    [
        (PERMITTED, PERMITTED[:1], False),
        (PERMITTED, ["api.openai.com"], False),
        (PERMITTED, [*PERMITTED, "example.com"], True),
        (PERMITTED, [*PERMITTED, "127.0.0.1"], True),
        (PERMITTED, None, True),
        (None, None, False),
        (None, PERMITTED, True),
    ],
)
def test_it_is_renewed_when_it_may_not_do_what_is_wanted_or_far_more(
    tmp_path, had, wanted, renewed
):
    first = authority.ensure(tmp_path, permitted=had, now=NOW)
    assert (authority.renewal_reason(first, wanted, NOW) is not None) is renewed
    second = authority.ensure(tmp_path, permitted=wanted, now=NOW)
    assert (second != first) is renewed
    assert authority.renewal_reason(second, wanted, NOW) is None


def test_leafs_of_a_proxy_that_still_runs_stay_trusted_after_a_renewal(tmp_path):
    authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    former = leaf_file(tmp_path / "ca", tmp_path / "former.pem", "api.openai.com")
    key = (tmp_path / "ca" / "mitmproxy-ca.pem").read_bytes()
    made = authority.ensure(tmp_path / "ca", permitted=[*PERMITTED, "example.com"])
    current = leaf_file(tmp_path / "ca", tmp_path / "current.pem", "example.com")
    verify(former, "api.openai.com", made.bundle_path)
    verify(former, "api.openai.com", made.trusted_path)
    verify(current, "example.com", made.bundle_path)
    former_key = key.partition(b"-----BEGIN CERTIFICATE")[0]
    assert not any(former_key in data for data in content(tmp_path / "ca").values())


def test_former_authorities_go_when_they_expire_and_are_never_many(tmp_path):
    for day in range(12):
        permitted = None if day % 2 else PERMITTED
        authority.ensure(tmp_path, permitted=permitted, now=NOW + timedelta(days=day))
    assert len(trusted(tmp_path)) == 1 + authority.FORMER_LIMIT
    last = authority.ensure(tmp_path, permitted=None, now=NOW + timedelta(days=365 + 8, hours=1))
    assert len(trusted(tmp_path)) == 1 + 3
    assert bundle.certificates(last.certificate_path.read_bytes()) == tuple(trusted(tmp_path)[:1])


def test_a_renewal_that_the_user_asks_for_ends_all_former_trust(tmp_path):
    authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    leaf = leaf_file(tmp_path / "ca", tmp_path / "leaf.pem", "api.openai.com")
    made = authority.renew(tmp_path / "ca", permitted=PERMITTED)
    assert len(trusted(tmp_path / "ca")) == 1
    with pytest.raises(ssl.SSLCertVerificationError):
        verify(leaf, "api.openai.com", made.bundle_path)


def test_files_that_were_lost_or_changed_are_mended_at_the_next_start(tmp_path):
    made = authority.ensure(tmp_path, permitted=PERMITTED)
    before = content(tmp_path)
    made.bundle_path.unlink()
    made.certificate_path.unlink()
    made.trusted_path.write_bytes(
        b"-----BEGIN CERTIFICATE-----\nMIIAAA==\n-----END CERTIFICATE-----\n"
    )
    assert authority.ensure(tmp_path, permitted=PERMITTED) == made
    assert content(tmp_path) == before


def test_a_start_that_died_before_the_key_was_written_loses_no_trust(tmp_path, monkeypatch):
    """Killed in mid-renewal: the key in place is still one that the trusted files hold."""
    first = authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    real = authority.files.write

    def dies(path: Path, data: bytes) -> None:
        if path.name == "mitmproxy-ca.pem":
            raise KeyboardInterrupt
        real(path, data)

    monkeypatch.setattr(authority.files, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        authority.ensure(tmp_path / "ca", permitted=None)
    monkeypatch.undo()
    assert authority.load(tmp_path / "ca") == first
    leaf = leaf_file(tmp_path / "ca", tmp_path / "leaf.pem", "openai.com")
    verify(leaf, "openai.com", first.bundle_path)
    authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    assert (
        first.certificate_path.read_bytes()
        == ssl.DER_cert_to_PEM_cert(trusted(tmp_path / "ca")[0]).encode()
    )


def test_processes_that_start_together_make_one_authority(tmp_path):
    script = (
        "import sys; from pathlib import Path; from certs import authority;"
        "print('ready', flush=True); sys.stdin.readline();"
        "made = authority.ensure(Path(sys.argv[1]), permitted=['openai.com']);"
        "print(made.fingerprint_sha256)"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "ca")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in starts:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    answers = {process.communicate("go\n")[0] for process in starts}
    assert [process.returncode for process in starts] == [0] * 4
    made = authority.load(tmp_path / "ca")
    assert made is not None
    assert answers == {made.fingerprint_sha256 + "\n"}
    assert len(trusted(tmp_path / "ca")) == 1


def test_a_damaged_key_file_says_what_to_do_and_renewing_mends_it(tmp_path):
    made = authority.ensure(tmp_path, permitted=PERMITTED)
    made.key_path.write_bytes(made.key_path.read_bytes()[:200])
    for attempt in (authority.load, lambda folder: authority.ensure(folder, permitted=PERMITTED)):
        with pytest.raises(DamagedError, match="wirescribe ca renew"):
            attempt(tmp_path)
    assert authority.renew(tmp_path, permitted=PERMITTED) == authority.load(tmp_path)


def test_a_folder_that_is_not_private_is_never_used(tmp_path):
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca").chmod(0o777)
    (tmp_path / "link").symlink_to("ca")
    for folder in (tmp_path / "ca", tmp_path / "link"):
        with pytest.raises(FolderError) as caught:
            authority.ensure(folder, permitted=PERMITTED)
        assert str(folder) in str(caught.value)
        for attempt in (authority.load, authority.remove):
            with pytest.raises(FolderError):
                attempt(folder)
    assert list((tmp_path / "ca").iterdir()) == []


def test_a_planted_key_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere.pem").write_bytes(b"x")
    folder = tmp_path / "ca"
    folder.mkdir(mode=0o700)
    (folder / "mitmproxy-ca.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(FolderError, match="is a link"):
        authority.ensure(folder, permitted=PERMITTED)


def test_a_bad_host_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(HostError):
        authority.ensure(tmp_path / "ca", permitted=["https://openai.com"])
    assert not (tmp_path / "ca").exists()
    assert issubclass(HostError, CertificateError)


def test_removing_leaves_nothing(tmp_path):
    folder = tmp_path / "ca"
    assert authority.remove(folder) == ()
    authority.ensure(folder, permitted=PERMITTED)
    (folder / ".tmp-0123").write_bytes(b"half a key")
    deleted = authority.remove(folder)
    assert [path.name for path in deleted] == [
        "bundle.pem",
        "mitmproxy-ca-cert.pem",
        "mitmproxy-ca.pem",
        "mitmproxy-dhparam.pem",
        "trusted.pem",
    ]
    assert not folder.exists()
    assert authority.remove(folder) == ()


def test_removing_leaves_what_is_not_ours(tmp_path):
    folder = tmp_path / "ca"
    authority.ensure(folder, permitted=PERMITTED)
    (folder / "notes.txt").write_text("mine")
    authority.remove(folder)
    assert content(folder) == {"notes.txt": b"mine"}
