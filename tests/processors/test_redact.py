"""Secrets do not reach the disk."""

import contextlib
import dataclasses
import io
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from processors.written import all_lines, files
from tracklog.processors import BaseAgent, ExecutionLog, configure, execution
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
        "password1",
        "password_",
        "OPENAI_API_KEY_2",
        "token2",
        "api_keys",
        "passwords",
        "secrets",
        "cookies",
        "refreshTokens",
        "openai_key",
        "passphrase",
        "pwd",
        "basic_auth",
        "credentials",
    ],
)
def test_a_key_that_ends_in_a_telling_word_is_redacted(key: str) -> None:
    """The last word of a key tells, however it is spelled."""
    assert {key: REDACTED} == redacted({key: "value"})


@pytest.mark.parametrize(
    "key",
    [
        *("tokens_used", "max_tokens", "monkey", "token_count", "passwords_changed", "secretary", "keys", "api"),
        *(
            "author",
            "authenticated",
            "auth_type",
            "oauth",
            "OAuth",
            "OAuth2",
            "auth0",
            "cache_key",
            "cookies2024_count",
            "5",
            "tokens",
        ),
    ],
)
def test_a_key_that_does_not_is_kept(key: str) -> None:
    """A word elsewhere in a key does not tell."""
    assert {key: "value"} == redacted({key: "value"})


@pytest.mark.parametrize("value", ["text", 5, 1.5, ["a"], {"a": {"b": 1}}, ""])
def test_any_value_is_redacted_but_none(value: Any) -> None:
    """A secret may be anything; that there is none is no secret."""
    assert {"token": REDACTED, "secret": None} == redacted({"token": value, "secret": None})


@pytest.mark.parametrize(
    "fields",
    [
        {"has_password": True, "requires_token": False, "nested": [{"has_api_key": True}], "pairs": [["secret", True]]},
        {
            "time_to_first_token": 0.31,
            "cost_per_token": "0.00001",
            "price_per_token": 1e-5,
            "maxToken": 512,
        },
        {"api_keys": 3, "secrets": 0, "AuthTokens": 2, "auth": True},
        {"PWD": "/home/me", "OLDPWD": "/", "event": "PWD=/home/me"},
        {"argv": ["--has-password", "true", "--eos-token", "</s>", "--max-token", "5", "--token", "--verbose"]},
        {
            "eos_token": "</s>",
            "pad_token": 0,
            "nextPageToken": "CAUQAA",
            "progressToken": 7,
            "args": '{"page_token": "CAUQAA"}',
        },
        {"content": [{"token": "Hello", "logprob": -0.31, "top_logprobs": [{"token": "Hi", "logprob": -1.5}]}]},
        {"properties": {"password": {"type": "string", "description": "the user's"}, "user": {"type": "string"}}},
        {"properties": {"token": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}}},
        {"parameters": {"properties": {"secret": {"type": "OBJECT", "properties": {"password": {"$ref": "#/a"}}}}}},
        {"event": "time_to_first_token=0.31s cost_per_token='1e-05' has_password=True token=None"},
        {"event": "first\neos_token=</s>&page_token=CAUQAA"},
        {"event": "{'eos_token': '</s>', 'has_password': 'false'}"},
        {"event": "model sk-estimator-random-forest-v2 of sk-learn-contrib-extras-2024"},
    ],
    ids=str,
)
def test_what_only_sounds_like_a_secret_is_kept(fields: dict[str, Any]) -> None:
    """That there is a secret, measures, pieces of text, places in a list, and what describes a tool are none."""
    assert fields == redacted(fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"password": 1234, "pin_secret": 0.5, "token": 123456}, ["password", "pin_secret", "token"]),
        ({"max_password": 12, "first_secret": 3}, ["max_password", "first_secret"]),
        ({"first_token": "abc"}, ["first_token"]),
        ({"passwords": "1234", "secrets": ["1"]}, ["passwords", "secrets"]),
        ({"pwd": "/home/me/x", "db_pwd": "/x", "passwords": [1234]}, ["db_pwd", "passwords"]),
        ({"auth": ["me", "abc"], "credential": "abc", "auth_2": 5}, ["auth", "credential", "auth_2"]),
        ({"token": "abc", "log": -1}, ["token"]),
        ({"password": "abc", "logprob": -1}, ["password"]),
        ({"token": {"type": "bearer", "value": "abc"}}, ["token"]),
        ({"token": {"type": "string", "value": "abc"}}, ["token"]),
        ({"token": {"description": "abc"}}, ["token"]),
        ({"token": {"type": [{}]}}, ["token"]),
    ],
    ids=str,
)
def test_what_a_secret_may_be_is_redacted(fields: dict[str, Any], expected: list[str]) -> None:
    """A number under the name of a password is one, and an object that is no schema holds one."""
    assert fields | dict.fromkeys(expected, REDACTED) == redacted(fields)


def test_the_values_in_a_schema_of_a_secret_are_redacted() -> None:
    """What a tool takes by default, and the examples it gives, may be secrets."""
    schema = {"type": "string", "title": "Password", "default": "a", "enum": ["b", None], "const": {"c": "d"}}
    cleaned = {**schema, "default": REDACTED, "enum": [REDACTED, None], "const": {"c": REDACTED}}
    assert {"properties": {"password": cleaned}} == redacted({"properties": {"password": schema}})


def test_a_number_that_a_text_assigns_to_a_password_is_redacted() -> None:
    """Only measures are kept."""
    expected = {"event": f"password={REDACTED} first_password={REDACTED} max_token={REDACTED}"}
    assert expected == redacted({"event": "password=1234 first_password=5 max_token=abc"})


def test_a_nested_secret_is_redacted() -> None:
    """It is found in what was logged, however deep."""
    request = {"headers": {"Authorization": "x"}, "messages": [{"role": "tool", "auth": {"password": "y"}}], "n": 1}
    expected = {
        "headers": {"Authorization": REDACTED},
        "messages": [{"role": "tool", "auth": {"password": REDACTED}}],
        "n": 1,
    }
    assert {"request": expected} == redacted({"request": request})


def test_an_object_of_credentials_keeps_its_shape() -> None:
    """Whatever it holds is a secret, under whichever key."""
    credentials = {"user": "me", "pass": "x", "pin": 1, "mfa": True, "old": [{"pass": "y"}], "expires": None}
    expected = {"user": REDACTED, "pass": REDACTED, "pin": REDACTED, "mfa": True, "old": [{"pass": REDACTED}]}
    cleaned = redacted({"credentials": credentials, "auth": {}, "credentials_path": "/x"})
    assert {"credentials": {**expected, "expires": None}, "auth": {}, "credentials_path": "/x"} == cleaned


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--api-key", "abc", "-v", "--password", "hunter"], ["run", "--api-key", 0, "-v", "--password", 0]),
        (["-token", "abc", "def"], ["-token", 0, "def"]),
        (["--token"], ["--token"]),
        (["--secrets", "1234"], ["--secrets", 0]),
        (["password", "--token", 5, "--secret", None], ["password", "--token", 5, "--secret", None]),
        ([["--api-key", "abc"]], [["--api-key", 0]]),
    ],
    ids=str,
)
def test_arguments_of_a_command_line_are_redacted(arguments: list[Any], expected: list[Any]) -> None:
    """What follows an option that is named like a secret; also where the line was seen without it before."""

    def filled(value: Any) -> Any:
        return [*map(filled, value)] if isinstance(value, list) else REDACTED if value == 0 else value

    redactor = Redactor()
    fields: dict[str, Any] = {"argv": ["--api-key", "--token", "-token", "--password", "--secret"]}
    redactor.redacted(fields, orjson.dumps(fields))
    fields = {"argv": arguments, "text": orjson.dumps(arguments).decode()}
    cleaned = orjson.loads(redactor.redacted(fields, orjson.dumps(fields)))
    assert filled(expected) == cleaned["argv"] == orjson.loads(cleaned["text"])


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


def test_numbers_in_json_inside_a_text_stand_as_they_did() -> None:
    """Also those that no number of 64 bits is, and under a name that is there twice."""
    numbers = '{"id":123456789012345678901234,"x":[1.10,-0,1E5,1e999,NaN],"x":2.50,"max_token":1.0,"password":'
    assert {"a": f'{numbers}"{REDACTED}"}}'} == redacted({"a": f'{numbers}"x"}}'})


def test_a_secret_that_is_there_twice_inside_a_text_is_gone_twice() -> None:
    """A name may be repeated, and so may the objects around it."""
    text = '{"password":%s,"password":%s,"c":{"token":%s},"c":1,"token":%s,"token":%s}'
    secrets = ('"a"', '"b"', '"c"', "1.5", '{"d":1}')
    assert {"a": text % ((f'"{REDACTED}"',) * 5)} == redacted({"a": text % secrets})


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
        "postgresql://me:p@hunter2@host/db",
        "postgresql://me:pa/hunter2@host/db",
        "line\npassword=hunter2\nline",
        "OPENAI_KEY=hunter2 PASSWORD_2=hunter2 token1=hunter2 passphrase=hunter2",
        "Driver={SQL Server};Uid=me;Pwd=hunter2;",
        "AccountName=me;AccountKey=hunter2/Zq==;EndpointSuffix=x",
        "login --user me --password hunter2 --verbose",
        "first\n--db-password 'hunter2'",
        """["login", "--password", "hunter2", """,
        "['login', '--password', 'hunter2']",
        "api_key: hunter2hunter2",
        "Cookie: a=1; session=hunter2; b=3",
        "> Cookie: session=hunter2\n> Accept: */*",
        """curl -H 'Set-Cookie: a="hunter2"; sid="hunter2"; Path=/'""",
    ],
)
def test_a_password_in_a_text_is_redacted(text: str) -> None:
    """Assignments, printed mappings and addresses give passwords away."""
    line = Redactor()(orjson.dumps({"event": text}))
    assert b"hunter2" not in line
    orjson.loads(line)


_ALPHABET = "abcdefGHIJ0123456789abcdefGHIJ0123456789"
_HEX = "0123456789abcdef" * 4
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
    f"gsk_{_ALPHABET}{_ALPHABET[:12]}",
    f"xai-{_ALPHABET}{_ALPHABET}",
    f"r8_{_ALPHABET[:37]}",
    f"lsv2_pt_{_HEX[:32]}_{_HEX[:10]}",
    f"lsv2_sk_{_HEX[:32]}_{_HEX[:10]}",
    f"tvly-dev-{_ALPHABET[:32]}",
    f"tvly-{_ALPHABET[:32]}",
    f"pplx-{_ALPHABET}{_ALPHABET[:8]}",
    f"pcsk_{_ALPHABET[6:12]}_{_ALPHABET}{_ALPHABET[:23]}",
    f"glpat-{_ALPHABET[:10]}-{_ALPHABET[:9]}",
    f"npm_{_ALPHABET[:36]}",
    f"pypi-AgEIcHlwaS5vcmcC{_ALPHABET}",
    f"SG.{_ALPHABET[:22]}.{_ALPHABET}{_ALPHABET[:3]}",
    f"ya29.{_ALPHABET}-{_ALPHABET}",
    f"GOCSPX-{_ALPHABET[:28]}",
    f"AQ.Ab8RN6{_ALPHABET}",
    f"whsec_{_ALPHABET[:32]}",
    f"dop_v1_{_HEX}",
]


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("around", ["{}", "the key is {}.", "first\n{}\nlast", "a\t{}", '"{}"', "key:{}", "({})"])
def test_what_looks_like_a_credential_is_redacted(credential: str, around: str) -> None:
    """Wherever in a text it stands: also behind a newline, whose escape ends in a letter."""
    line = Redactor()(orjson.dumps({"event": around.format(credential)}))
    secret = credential.rpartition(" ")[2]
    assert secret.encode() not in line
    assert REDACTED in orjson.loads(line)["event"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"https://hooks.slack.com/services/T0000000/B0000000/{_ALPHABET[:24]}", "https://hooks.slack.com/services/"),
        (f"https://hooks.slack.com/workflows/T0000000/A1/{_ALPHABET[:18]}", "https://hooks.slack.com/workflows/"),
        (f"https://api.telegram.org/bot123456789:{_ALPHABET[:35]}/send", "https://api.telegram.org/bot123456789:"),
    ],
)
def test_a_url_that_lets_one_write_is_redacted(url: str, expected: str) -> None:
    """What stands before its secret says whose it is."""
    end = "/send" if url.endswith("/send") else ""
    assert {"event": f"POST {expected}{REDACTED}{end} 200"} == redacted({"event": f"POST {url} 200"})


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
        "https://example.org:8080/path?to=me@place#there:me@place",
        "mailto:someone@example.org",
        "0198e2b4-1111-7222-8333-444444444444",
        "risk-assessment-2026-of-the-company-x",
        "authorization: granted by the manager",
        "the fields ('password', 'name', 'email')",
        "the primary key = 'id'",
        "pass --password or --token; --api-key is optional, and so is --secret, not --cookie.",
        "the fields ['password', 'name'], the states ('AUTH', 'SELECTED'); --- token 5 ---",
        "Cookie: a small cake; the author = 'me', authenticated: yes",
        "npm_config_cache and r8_compile, msg.sender.address, xai-explainable-artificial-intelligence",
        "https://example.org/bot/1:2 of hooks.slack.com/services/help",
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


def test_a_word_is_taken_away_by_a_dash() -> None:
    """Also ours, in keys and in texts; of several that a key ends in, the longest decides, or else the last."""
    fields = {"cookie": "a", "refresh_token": "b", "device_token": "c", "page_token": "d", "event": "token=e; secret=f"}
    expected = {**fields, "device_token": REDACTED, "page_token": REDACTED, "event": f"token=e; secret={REDACTED}"}
    assert expected == redacted(fields, "-cookie", "-token", "device_token", "page_token", "-refresh_token")
    assert {"ssn": "1"} == redacted({"ssn": "1"}, "ssn", "-ssn")


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
        f"('password', '{noise}')",
        f"{{b'password': b'{noise}'}}",
        f'password = "{noise}"',
        f"--password {noise}",
        f"'--password', '{noise}'",
        f"Cookie: a={noise}; b={noise}",
        f"https://hooks.slack.com/services/{noise}",
        f'{{"password":"x","n":{noise}}}',
    ):
        cleaned = redacted({"a": text, "b": [text, {"c": text}]})
        assert list(cleaned) == ["a", "b"]


TEXTS = st.sampled_from(
    [
        "plain",
        "--api-key",
        "--eos-token",
        "password",
        "a token",
        "x" * 300,
        *CREDENTIALS,
        "secret=1",
        "u://a:b@c",
        "ssn",
        "",
    ]
)
LINES = st.dictionaries(
    st.sampled_from(
        [
            "event",
            "count",
            "password",
            "max_token",
            "auth",
            "api_keys",
            "api_key",
            "SSN",
            "note",
            "tokens_used",
            CREDENTIALS[0],
        ]
    ),
    TEXTS
    | st.integers(-9, 9)
    | st.none()
    | st.booleans()
    | st.recursive(
        TEXTS | st.just(7),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
        max_leaves=6,
    ),
    max_size=5,
)


@given(st.lists(LINES, min_size=1, max_size=8))
def test_what_was_learned_changes_nothing(lines: list[dict[str, Any]]) -> None:
    """A redactor that has seen the like before gives what one gives that sees it for the first time."""
    redactor = Redactor(("ssn",))
    for fields in lines * 3:
        line = orjson.dumps(fields)
        assert Redactor(("ssn",))(line) == redactor.redacted(fields, line)


def test_what_is_learned_is_bounded() -> None:
    """Where keys and texts are data, they do not fill the memory."""
    redactor = Redactor()
    for number in range(20_000):
        fields = {"event": "the same", f"k{number}": f"{number}" * 40, "nested": {f"n{number}": [f"{-number}" * 40]}}
        line = orjson.dumps(fields)
        assert line is redactor.redacted(fields, line)
    assert len(redactor._keys) <= 4096
    assert sum(map(len, redactor._texts)) <= 1 << 20


def test_what_an_object_is_meanwhile_does_not_count() -> None:
    """What was written is looked through, whatever another thread has made of the object since."""
    fields: dict[str, Any] = {"event": "sent", "headers": {"note": "Bearer abcdef0123456789"}}
    line = orjson.dumps(fields)
    fields["headers"].clear()
    assert b'{"event":"sent","headers":{"note":"Bearer [redacted]"}}' == Redactor().redacted(fields, line)


@pytest.mark.parametrize(
    "text",
    [
        "sk-" * 300_000,
        "eyJ-" * 250_000,
        "eyJaaaaaaaaaa." * 70_000,
        "bearer " * 140_000,
        "://a" * 250_000,
        "://a:b" * 170_000,
        "://a:" + "b" * 1_000_000,
        "password=" * 100_000,
        "\\" * 500_000 + "password': '",
        "-----BEGIN PRIVATE KEY-----" * 40_000,
        "'token': " * 100_000,
        "authorization: " * 70_000,
        "basic " + "a" * 1_000_000,
        '"' * 500_000 + "token" + " " * 500_000,
        "[" * 900 + "token",
        "('password', 'a" * 60_000,
        "('" + "password" * 100_000 + "', '" + "a" * 100_000,
        "password = '" * 80_000,
        "password" + " " * 900_000 + "= '",
        "--a" * 350_000 + "token",
        " --aaaaaa" * 110_000 + "token",
        "--token " * 125_000,
        "--token " + "a" * 1_000_000,
        "token=a " * 125_000,
        "a_" * 500_000 + "token=1",
        "cookie: " * 120_000,
        "cookie: a=b" + "; a=b" * 200_000,
        "cookie: a=" + '\\"' * 300_000,
        "gsk_" * 250_000,
        " sg.aaaaaaaaaaaaaaaaaaaaaaaaaa" * 35_000,
        "hooks.slack.com/services/" * 40_000,
        "/bot123456" * 100_000,
        "sk-a1" + "-aA0" * 250_000,
        "sk-a1" + "a" * 1_000_000,
        "password1" * 110_000 + "=",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    """A million letters that a stranger chose cost well under the seconds that a careless pattern would take."""
    line = orjson.dumps({"event": text})
    redact = Redactor()
    began = time.process_time()
    redact(line)
    assert time.process_time() - began < 2


# On the way from a call to the disk

SECRET = "hunter2-Zq9"
"""Looks like no credential: it is told by what stands before it."""

KEY = f"sk-proj-{_ALPHABET}"
"""Looks like one, wherever it stands."""


def logged(logs: Path, work: Callable[[Any], object]) -> str:
    """Give the file that some work on an execution leaves."""
    configure(logs, console=False)
    with contextlib.suppress(Exception), execution("A") as run:
        work(run)
    written = "".join(path.read_text() for path in files(logs))
    assert "execution.finished" in written
    assert len(all_lines(logs)) > 2
    return written


def fail(error: BaseException) -> None:
    raise error


def chained() -> None:
    try:
        fail(ValueError(f"https://me:{SECRET}@host/?api_key={SECRET}"))
    except ValueError as error:
        raise RuntimeError("outer") from error


def inside_of_another() -> None:
    try:
        fail(KeyError({"password": SECRET}))
    except KeyError:
        fail(RuntimeError(f"client_secret={SECRET}"))


def grouped() -> None:
    fail(ExceptionGroup("many", [ValueError(f"token='{SECRET}'"), ExceptionGroup("deep", [ValueError(KEY)])]))


def noted() -> None:
    error = ValueError("bad")
    error.add_note(f"Authorization: Bearer {KEY}")
    raise error


def in_arguments() -> None:
    fail(ValueError("login failed", {"user": "me", "password": SECRET}, ["Authorization", KEY]))


@pytest.mark.parametrize("raising", [chained, inside_of_another, grouped, noted, in_arguments])
@pytest.mark.parametrize("how", ["leaves", "exc_info", "exception", "dicts", "model", "event"])
def test_an_exception_gives_no_secret_away(logs: Path, raising: Callable[[], None], how: str) -> None:
    """In its message, its arguments, its notes, and those of its causes; however it is logged."""

    def work(run: Any) -> None:
        log = structlog.get_logger()
        if how == "leaves":
            raising()
        try:
            raising()
        except Exception as error:
            if how == "exc_info":
                log.info("failed", exc_info=error)
            elif how == "exception":
                log.exception("failed", error=error, errors=[str(error)])
            elif how == "dicts":
                event = {"event": "failed", "exc_info": error}
                log.info(**structlog.processors.dict_tracebacks(None, "info", event))
            elif how == "model":
                with run.llm_call("m") as call:
                    call.set_error(error)
                run.fail_stage("s", str(error), {"error": error})
            else:
                log.error(str(error))

    written = logged(logs, work)
    assert SECRET not in written
    assert KEY not in written


ENVIRONMENT = {
    "OPENAI_API_KEY": SECRET,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "DJANGO_SECRET_KEY": SECRET,
    "GITHUB_TOKEN": SECRET,
    "PGPASSWORD": SECRET,
    "MYSQL_PASSWORD": SECRET,
    "SSH_PRIVATE_KEY": SECRET,
    "SMTP_PASSWD": SECRET,
    "DATABASE_URL": f"postgresql://me:{SECRET}@host/db",
    "REDIS_URL": f"redis://:{SECRET}@host",
    "SLACK": f"xoxb-123456789012-{_ALPHABET[:24]}",
}


@dataclasses.dataclass
class Login:
    user: str
    password: str


VALUES: dict[str, Any] = {
    "nested": {"a": [{"b": ({"password": SECRET},)}]},
    "a set of pairs": {("authorization", SECRET)},
    "bytes": {b"authorization": SECRET.encode(), "cookie": SECRET},
    "headers in pairs": [("accept", "*/*"), ("Authorization", SECRET), (b"cookie", SECRET.encode())],
    "a url": f"https://host/path?x=1&access_token={SECRET}&y=2#api_key={SECRET}",
    "a url with a user": f"amqp://me:{SECRET}@host:5672//",
    "a bearer": f"Authorization: Bearer {_ALPHABET}",
    "tool arguments": {
        "tool_calls": [{"function": {"name": "login", "arguments": orjson.dumps({"password": SECRET}).decode()}}]
    },
    "a body": orjson.dumps({"input": orjson.dumps({"client_secret": SECRET}).decode()}).decode(),
    "a body amid text": f'request failed: {{"api_key": "{SECRET}", "n": 1}} (400)',
    "the environment": ENVIRONMENT,
    "the environment as text": "\n".join(f"{name}={value}" for name, value in ENVIRONMENT.items()),
    "the environment as arguments": [f"--env={name}={value}" for name, value in ENVIRONMENT.items()],
    "the environment as printed": repr(ENVIRONMENT),
    "the environment as exported": "\n".join(f"export {name}='{value}'" for name, value in ENVIRONMENT.items()),
    "a dataclass": Login("me", SECRET),
    "a dataclass as printed": repr(Login("me", SECRET)),
    "an assignment": f'password = "{SECRET}"',
    "an exception": ValueError(f"password={SECRET}"),
    "odd keys": {1: {"token": SECRET}, None: {"x": 2**70, "secret": SECRET}},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_no_call_gives_a_secret_away(logs: Path, value: Any) -> None:
    """Wherever it is passed; what is no secret is kept."""

    def work(run: Any) -> None:
        log = structlog.get_logger()
        log.info("event", value=value, kept="kept")
        log.info(str(value) if isinstance(value, str) else "event", deep={"value": value})
        with execution("B", input_data=value, metadata={"m": value}, call_reason=str(value)) as inner:
            inner.stage("s", data=value)
            inner.relevance(True, 0.5, repr(value))
            inner.set_output(value)
            with inner.llm_call("m", {"messages": [{"role": "user", "content": value}]}) as call:
                call.set_response({"content": value, "usage": {"total_tokens": 3}})
        BaseAgent().log_event("event", value=value)
        logging.getLogger("other").warning("value %s", value)
        logging.getLogger("other").warning("value", extra={"value": value})

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), ExecutionLog(logs)],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    written = logged(logs, work)
    assert SECRET not in written
    assert _ALPHABET not in written
    assert '"tokens_used":3' in written
    assert '"kept":"kept"' in written


def test_a_secret_within_a_value_that_is_cut_is_gone_too(logs: Path) -> None:
    """It is taken out before the value is cut, also where only its head is kept as text."""
    padding = "x" * 2_000_000
    value = {"password": SECRET, "body": f"?api_key={SECRET}&{padding}", "list": [{"token": SECRET}, *range(300_000)]}
    written = logged(logs, lambda run: run.set_output(value))
    assert SECRET not in written
    assert REDACTED in written


SECRET = "Zx9q" + "Lm4T"


@pytest.mark.parametrize(
    "text",
    [
        "GET url1=https://api.example/?access_token={}",
        "cache_key=https://h/x?token={}",
        "Step(arg1=Config(api_key='{}'))",
        "Step(key=Client(token='{}', a=1))",
        "callback2=http%3A//h?password={}",
        "request_key=abc:secret={}",
        "page_token=x|password={}",
        "x1=[password={}]",
        "PWD=/home?token={}",
        "{{'page_token': {{'token': '{}'}}}}",
        "C:\\password={}",
        "DOMAIN\\token='{}'",
        "line\npassword={}",
        "pwd=/{}",
        "last_access_token=4829{}",
        "sk-my-prod-2024-{}abcd1234",
        "sk-ab12cd-ef34gh-ij56kl-{}",
    ],
)
def test_a_secret_within_what_is_none(text: str) -> None:
    """In an address or a call that is assigned to another name, behind a backslash, under a name of several words."""
    assert SECRET not in str(redacted({"event": text.format(SECRET)}))


@pytest.mark.parametrize(
    "value",
    [
        {"type": "array", "items": {"type": "string", "default": SECRET}},
        {"anyOf": [{"type": "string", "const": SECRET}, {"type": "null"}]},
        {
            "type": "object",
            "properties": {"user": {"type": "string", "default": SECRET}, "pin": {"examples": [SECRET]}},
        },
        {"type": "object", "properties": {"value": SECRET}},
        {"anyOf": SECRET},
        {"$ref": SECRET},
        {"type": [], "title": SECRET},
        {"type": "string", "additionalProperties": SECRET},
        {"type": "object", "properties": {"a": {"value": SECRET}}},
    ],
    ids=str,
)
def test_what_a_schema_holds_of_values(value: dict[str, Any]) -> None:
    """How deep ever; and what only looks like a schema is none."""
    assert SECRET not in str(redacted({"password": value, "tool": {"api_key": value}}))


@pytest.mark.parametrize(
    "fields",
    [
        {"last_token": 123456},
        {"last_access_token": "48291034"},
        {"max_access_token": "48291034"},
        {"first_token": "123456789012ab"},
        {"max_token": 1234567890123},
        {"pwd": "/abc", "Pwd": "/abc"},
    ],
    ids=str,
)
def test_what_is_no_measure_and_no_directory(fields: dict[str, Any]) -> None:
    """A number of many digits, and one that something else gives access by."""
    assert dict.fromkeys(fields, "[redacted]") == redacted(fields)
