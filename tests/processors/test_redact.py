"""Secrets do not reach the disk."""

import time
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracklog.processors.redact import REDACTED, Redactor


def redacted(fields: Any, *words: str) -> Any:
    return orjson.loads(Redactor(words)(orjson.dumps(fields)))


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "apikey",
        "apiKey",
        "API-KEY",
        "x-api-key",
        "OPENAI_API_KEY",
        "openai.api.key",
        "Authorization",
        "Proxy-Authorization",
        "password",
        "dbPassword",
        "DB_PASSWORD",
        "access_token",
        "accessToken",
        "client secret",
        "Cookie",
        "Set-Cookie",
        "password?",
    ],
)
def test_a_key_that_ends_in_a_telling_word_is_redacted(key: str) -> None:
    """The last word of a key tells, however it is spelled."""
    assert {key: REDACTED} == redacted({key: "value"})


@pytest.mark.parametrize(
    "key", ["tokens_used", "max_tokens", "monkey", "token_count", "passwords_changed", "secretary", "keys", "api"]
)
def test_a_key_that_does_not_is_kept(key: str) -> None:
    """A word elsewhere in a key does not tell."""
    assert {key: "value"} == redacted({key: "value"})


@pytest.mark.parametrize("value", ["text", 5, 1.5, True, ["a"], {"a": {"b": 1}}, ""])
def test_any_value_is_redacted_but_none(value: Any) -> None:
    """A secret may be anything; that there is none is no secret."""
    assert {"token": REDACTED, "secret": None} == redacted({"token": value, "secret": None})


def test_a_nested_secret_is_redacted() -> None:
    """It is found in what was logged, however deep."""
    request = {"headers": {"Authorization": "x"}, "messages": [{"role": "tool", "auth": {"password": "y"}}], "n": 1}
    expected = {
        "headers": {"Authorization": REDACTED},
        "messages": [{"role": "tool", "auth": {"password": REDACTED}}],
        "n": 1,
    }
    assert {"request": expected} == redacted({"request": request})


def test_headers_that_are_pairs_are_redacted() -> None:
    """A list of pairs is a mapping too."""
    headers = [["accept", "*/*"], ["authorization", "x"], ["cookie", None]]
    assert [["accept", "*/*"], ["authorization", REDACTED], ["cookie", None]] == redacted({"headers": headers})[
        "headers"
    ]


def test_two_names_are_no_pair() -> None:
    """A list of two texts that stands by itself is kept."""
    assert {"fields": ["password", "name"]} == redacted({"fields": ["password", "name"]})


def test_json_inside_a_text_is_redacted() -> None:
    """Arguments of tool calls are JSON in a text, and their secrets may have quotes in them."""
    arguments = orjson.dumps({"user": "a", "password": 'b"c\\d', "deep": {"api_key": 5}}).decode()
    cleaned = redacted({"arguments": arguments})["arguments"]
    assert {"user": "a", "password": REDACTED, "deep": {"api_key": REDACTED}} == orjson.loads(cleaned)


def test_json_inside_json_inside_a_text_is_redacted() -> None:
    """However often it was wrapped."""
    inner = orjson.dumps({"password": "hunter2"}).decode()
    assert b"hunter2" not in Redactor()(orjson.dumps({"a": orjson.dumps({"b": inner}).decode()}))


def test_a_text_of_json_without_secrets_is_the_same() -> None:
    """Its spaces and order are somebody's."""
    text = '{ "tokens_used" : 5,  "b": "no token here" }'
    assert {"a": text, "token": REDACTED} == redacted({"a": text, "token": "x"})


@pytest.mark.parametrize(
    "text",
    [
        'the config {"password": "hunter2", "user": ',
        "{'password': 'hunter2', 'user': 'me'}",
        "Config(user='me', password='hunter2')",
        "https://host/?user=me&password=hunter2&x=1",
        "export DB_PASSWORD=hunter2",
        "postgresql://me:hunter2@host/db",
        "redis://:hunter2@host",
        "line\npassword=hunter2\nline",
    ],
)
def test_a_password_in_a_text_is_redacted(text: str) -> None:
    """Assignments, printed mappings and addresses give passwords away."""
    line = Redactor()(orjson.dumps({"event": text}))
    assert b"hunter2" not in line
    orjson.loads(line)


_ALPHABET = "abcdefGHIJ0123456789abcdefGHIJ0123456789"
CREDENTIALS = [
    f"sk-{_ALPHABET[:20]}",
    f"sk-proj-{_ALPHABET}",
    f"sk-ant-api03-{_ALPHABET}-AA",
    f"sk_live_{_ALPHABET[:24]}",
    f"ghp_{_ALPHABET[:36]}",
    f"github_pat_{_ALPHABET[:22]}_{_ALPHABET}",
    f"hf_{_ALPHABET[:34]}",
    "AKIAIOSFODNN7EXAMPLE",
    f"xoxb-123456789012-{_ALPHABET[:24]}",
    f"AIza{_ALPHABET[:35]}",
    f"Bearer {_ALPHABET}",
    "Basic dXNlcjpwYXNzd29yZA==",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{_ALPHABET}",
]


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("around", ["{}", "the key is {}.", "first\n{}\nlast", "a\t{}", '"{}"', "key:{}", "({})"])
def test_what_looks_like_a_credential_is_redacted(credential: str, around: str) -> None:
    """Wherever in a text it stands: also behind a newline, whose escape ends in a letter."""
    line = Redactor()(orjson.dumps({"event": around.format(credential)}))
    secret = credential.rpartition(" ")[2]
    assert secret.encode() not in line
    assert REDACTED in orjson.loads(line)["event"]


def test_a_private_key_is_redacted_and_what_follows_is_kept() -> None:
    """A PEM block ends where it says."""
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIE+abc/=\n-----END RSA PRIVATE KEY-----"
    assert {"event": f"a {REDACTED}\nb"} == redacted({"event": f"a {pem}\nb"})


def test_a_private_key_inside_json_inside_a_text_is_redacted() -> None:
    """Its newlines are escaped twice there."""
    text = 'key file {"key": "-----BEGIN PRIVATE KEY-----\\nMIIEabc\\nMIIEdef\\n-----END PRIVATE KEY-----\\n", "a": 1'
    cleaned = redacted({"event": text})["event"]
    assert "MIIE" not in cleaned
    assert '"a": 1' in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "basic economy fares and a bearer certificate",
        "Basic information",
        "the password is wrong: try again",
        "she is a key witness; the token of love = nothing",
        "task-based-learning-for-everyone-in-school",
        "ask-me-anything-about-the-weather-in-paris",
        "https://example.org:8080/path/to@place",
        "mailto:someone@example.org",
        "0198e2b4-1111-7222-8333-444444444444",
        "risk-assessment-2026-of-the-company-x",
        "authorization: granted by the manager",
    ],
)
def test_prose_is_kept(text: str) -> None:
    """What only resembles a credential is somebody's text."""
    assert {"event": text} == redacted({"event": text})


def test_own_words_are_redacted_too() -> None:
    """A user's words are looked for like ours, also in other letters and of several words."""
    fields = {"ssn": "1", "PatientName": "x", "пароль": "y", "ПАРОЛЬ": "z", "name": "kept"}
    expected = dict.fromkeys(fields, REDACTED) | {"name": "kept"}
    assert expected == redacted(fields, "ssn", "patient_name", "пароль")


def test_words_must_be_words() -> None:
    """One text in place of several words, or a word of signs, is a mistake that would redact nothing."""
    with pytest.raises(TypeError, match="words"):
        Redactor("ssn")
    with pytest.raises(ValueError, match="letter"):
        Redactor(["--"])


@given(
    st.text(st.sampled_from("\"\\{}[]:=,@/ \n'") | st.sampled_from("abk1"), max_size=60), st.sampled_from(CREDENTIALS)
)
@example("':\\", CREDENTIALS[0])
@example('": "', CREDENTIALS[0])
@example('\\": \\"', CREDENTIALS[0])
def test_what_is_left_is_json(noise: str, credential: str) -> None:
    """No replacement breaks a line, whatever stands around the secret."""
    for text in (
        f"{noise}password{noise}",
        f'{noise}"password": "{noise}',
        f"{noise}{credential}{noise}",
        f"://{noise}:{noise}@",
        f"token={noise}",
        f"-----BEGIN PRIVATE KEY-----{noise}",
    ):
        cleaned = redacted({"a": text, "b": [text, {"c": text}]})
        assert list(cleaned) == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "sk-" * 300_000,
        "eyJ-" * 250_000,
        "eyJaaaaaaaaaa." * 70_000,
        "bearer " * 140_000,
        "://a" * 250_000,
        "password=" * 100_000,
        "\\" * 500_000 + "password': '",
        "-----BEGIN PRIVATE KEY-----" * 40_000,
        "'token': " * 100_000,
        "authorization: " * 70_000,
        "basic " + "a" * 1_000_000,
        '"' * 500_000 + "token" + " " * 500_000,
        "[" * 900 + "token",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    """A million letters that a stranger chose cost well under the seconds that a careless pattern would take."""
    line = orjson.dumps({"event": text})
    redact = Redactor()
    began = time.process_time()
    redact(line)
    assert time.process_time() - began < 2
