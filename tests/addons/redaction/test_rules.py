"""No rule is there in vain: without it, something of the canary matrix leaks."""

import re

import pytest

from addons.redaction import Redactor, credentials, decoders, heads, known, names
from tests.addons.redaction.canary import FORMS, KEY, ODD_SECRET, SLOTS, redactor
from tests.addons.redaction.test_canary import head
from tests.addons.redaction.test_credentials import ENDPOINTS

BODY = b'{"%s":"cnry-aB3_dE9.Zx7mK0pQrStUv"}'


def leaking() -> list[str]:
    """The slots whose secret is still in the head after redaction."""
    return [slot.id for slot in SLOTS if slot.written in head(redactor(), slot)[1]]


def test_with_all_rules_nothing_leaks():
    assert leaking() == []


@pytest.mark.parametrize("word", names.SECRET_WORDS)
def test_each_word_counts(monkeypatch, word):
    rest = names._any_of(other for other in names.SECRET_WORDS if other != word)
    monkeypatch.setattr(names, "_HEADER_WORD", re.compile(rf"(?:^|_){rest}(?:$|_)"))
    monkeypatch.setattr(names, "_QUERY_WORD", re.compile(rf"(?:^|_){rest}$"))
    assert leaking()


@pytest.mark.parametrize("name", sorted(names.SECRET_HEADERS))
def test_each_header_counts(monkeypatch, name):
    monkeypatch.setattr(names, "SECRET_HEADERS", names.SECRET_HEADERS - {name})
    assert leaking()


@pytest.mark.parametrize("name", sorted(names.SECRET_QUERY))
def test_each_parameter_counts(monkeypatch, name):
    monkeypatch.setattr(names, "SECRET_QUERY", names.SECRET_QUERY - {name})
    assert leaking()


@pytest.mark.parametrize("name", sorted(names.SAS_QUERY))
def test_each_part_of_a_shared_access_signature_counts(monkeypatch, name):
    monkeypatch.setattr(names, "SAS_QUERY", names.SAS_QUERY - {name})
    assert leaking()


@pytest.mark.parametrize("name", sorted(heads._SHAPED))
def test_each_header_with_a_shape_counts(monkeypatch, name):
    shaped = {other: rule for other, rule in heads._SHAPED.items() if other != name}
    monkeypatch.setattr(heads, "_SHAPED", shaped)
    assert leaking()


@pytest.mark.parametrize("name", sorted(names.SECRET_FIELDS))
def test_each_field_that_is_learnt_counts(monkeypatch, name):
    def is_found() -> bool:
        redact = Redactor(KEY)
        redact.credential_body("response", None, None, BODY % name.encode())
        return redact.text(b"cnry-aB3_dE9.Zx7mK0pQrStUv").cuts != ()

    assert is_found()
    monkeypatch.setattr(names, "SECRET_FIELDS", names.SECRET_FIELDS - {name})
    assert not is_found()


@pytest.mark.parametrize("name", sorted(names.OPEN_FIELDS))
def test_each_field_that_stays_counts(monkeypatch, name):
    body = b'{"%s":"said"}' % name.encode()
    assert Redactor(KEY).credential_body("response", None, None, body).data == body
    monkeypatch.setattr(names, "OPEN_FIELDS", names.OPEN_FIELDS - {name})
    assert b"said" not in Redactor(KEY).credential_body("response", None, None, body).data


@pytest.mark.parametrize("pattern", credentials.ENDPOINTS)
def test_each_endpoint_counts(monkeypatch, pattern):
    rest = tuple(other for other in credentials.ENDPOINTS if other != pattern)
    monkeypatch.setattr(credentials, "ENDPOINTS", rest)
    redact = Redactor(KEY)
    assert not all(redact.is_credential(host, path) for host, path in ENDPOINTS)


@pytest.mark.parametrize("coding", sorted(decoders.CODINGS))
def test_each_coding_counts(monkeypatch, coding):
    assert Redactor(KEY).body("request", content_encoding=coding).unscanned is None
    monkeypatch.delitem(decoders.CODINGS, coding)
    body = Redactor(KEY).body("request", content_encoding=coding)
    assert body.unscanned == "unknown_coding"


def missing_forms() -> list[str]:
    found = b"\n".join(known.needles(ODD_SECRET)).split(b"\n")
    return [form.name for form in FORMS if form.written(ODD_SECRET)[1] not in found]


def test_with_all_forms_none_is_missing():
    assert missing_forms() == []


@pytest.mark.parametrize("rule", ["_base64_forms", "_url_forms", "_json_forms", "_ascii_forms"])
def test_each_kind_of_form_counts(monkeypatch, rule):
    monkeypatch.setattr(known, rule, lambda value: iter(()))
    assert missing_forms()


@pytest.mark.parametrize("table", ["_URL_SAFE", "_JSON_UNSAFE"])
@pytest.mark.parametrize("number", range(4))
def test_each_way_of_writing_counts(monkeypatch, table, number):
    rules = getattr(known, table)
    if number >= len(rules):
        return
    monkeypatch.setattr(known, table, rules[:number] + rules[number + 1 :])
    assert missing_forms()
