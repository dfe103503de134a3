from pathlib import Path

import pytest

from fleet.config.secrets import MAX_FILE, SecretError, expand, expand_all, files_named

ENV = {
    "A": "one",
    "B_2": "two",
    "EMPTY": "",
    "NESTED": "${env:A}",
    "NUL": "a\0b",
    "BYTES": "\udcff",
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain $5 {port} $$", "plain $5 {port} $$"),
        ("${env:A}", "one"),
        ("x${env:A}y${env:B_2}z", "xoneytwoz"),
        ("${env:EMPTY}", ""),
        ("${env:NESTED}", "${env:A}"),
        ("$${env:A}", "${env:A}"),
        ("$${", "${"),
        ("$$${env:A}", "$${env:A}"),
    ],
)
def test_expansion(text: str, expanded: str, tmp_path: Path) -> None:
    assert expand(text, ENV, tmp_path) == expanded


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${env:NO}", "the environment variable NO is not set"),
        ("${HOME}", "`${HOME}` is neither ${env:NAME} nor ${file:path}"),
        ("${ENV:A}", "`${ENV:A}` is neither"),
        ("${env:}", "`${env:}` is neither"),
        ("${env:A", "`${env:A` is neither"),
        ("${", "`${` is neither"),
        ("${env:NUL}", "the value of `${env:NUL}` has the character U+0000"),
        ("${env:BYTES}", "the value of `${env:BYTES}` has the character U+DCFF"),
        ("${file:no}", "cannot read the file"),
        ("${file:a\0b}", "cannot read the file"),
        ("${file:.}", "Is a directory"),
    ],
)
def test_what_cannot_be_expanded_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SecretError) as raised:
        expand(text, ENV, tmp_path)
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("content", "expanded"),
    [
        pytest.param(b"secret", "secret", id="no newline"),
        pytest.param(b"secret\n", "secret", id="one newline is dropped"),
        pytest.param(b"secret\r\n", "secret", id="one Windows newline is dropped"),
        pytest.param(b"a\nb\n\n", "a\nb\n", id="no other newline is dropped"),
        pytest.param(b"", "", id="nothing"),
        pytest.param("é".encode(), "é", id="UTF-8"),
    ],
)
def test_a_file_is_taken_without_its_last_newline(
    content: bytes, expanded: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_bytes(content)
    assert expand("${file:token}", {}, tmp_path) == expanded
    assert expand(f"${{file:{tmp_path}/token}}", {}, Path("/elsewhere")) == expanded


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\xff", "is not UTF-8 text"), (b"x" * (MAX_FILE + 1), f"has more than {MAX_FILE} bytes")],
    ids=["not text", "too large"],
)
def test_an_unfit_file_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(SecretError, match=reason):
        expand("${file:token}", {}, tmp_path)


def test_values_are_expanded_wherever_they_stand_and_keys_are_not(tmp_path: Path) -> None:
    data, findings = expand_all({"${env:A}": ["${env:A}", 1, {"k": "$${"}]}, ENV, tmp_path)
    assert data == {"${env:A}": ["one", 1, {"k": "${"}]}
    assert findings == []


def test_every_value_that_fails_is_found_and_stays_as_written(tmp_path: Path) -> None:
    data, findings = expand_all({"a": "${env:X}", "b": ["ok", "${env:Y}"]}, ENV, tmp_path)
    assert data == {"a": "${env:X}", "b": ["ok", "${env:Y}"]}
    assert [finding.path for finding in findings] == [("a",), ("b", 1)]


def test_the_files_named_in_a_text() -> None:
    text = "${file:a} $${file:no} ${env:b} ${file:/c/d} ${file:a}"
    assert files_named(text, Path("/x")) == [Path("/x/a"), Path("/c/d")]
