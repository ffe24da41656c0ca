"""The text of a document: JSON and YAML as Chaos Toolkit reads them, within bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from harness.errors import UsageError
from harness.source import encoding as encodings
from harness.source import lines


@pytest.mark.case(21, "text that JSON writes otherwise than YAML", "taken as Chaos Toolkit takes it")
@pytest.mark.parametrize("name", ["x.json", "x.yaml"])
@pytest.mark.parametrize(
    "written",
    [
        json.dumps({"title": "\U0001f600", "method": []}),
        json.dumps({"title": "\U0001f600", "method": []}, indent="\t"),
        "\ufeff" + json.dumps({"title": "\U0001f600", "method": []}, ensure_ascii=False),
        '{"title": "\\ud83d\\ude00", "method": []}\n',
    ],
)
def test_json_is_read_as_json(written: str, name: str) -> None:
    assert lines.read(written, Path(name)).data == {"title": "\U0001f600", "method": []}


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('{"a": 1,}', "valid JSON"),
        ('{"a": 1} x', "something follows"),
        ('{"a": 1, "a": 2}', "is here twice"),
        ('{"a": NaN}', "is not a finite number"),
        ('{"a": 1e999}', "is not a finite number"),
        ('{"a": "\\ud83d"}', "half of a surrogate pair"),
        ('{"a": %s}' % ("1" * 50), "digits"),
        ("[" * 200 + "]" * 200, "nested"),
        ("[" + "1," * 60_000 + "1]", "holds more than"),
        ('{"a": "\n"}', "valid JSON"),
        ("", "valid JSON"),
        ("{'a': 1}", "valid JSON"),
        ("[1 2]", "',' is expected"),
    ],
)
def test_json_that_is_none_is_refused_by_its_line(written: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        lines.read("\n\n" + written, Path("x.json"))
    assert caught.value.where == "x.json:3"


def test_the_lines_of_json_are_known() -> None:
    found = lines.read('{\n "a": [\n  1,\n  {"b": 2}\n ]\n}', Path("x.json"))
    assert [found.line(place) for place in [("a",), ("a", 0), ("a", 1, "b")]] == [2, 3, 4]


def test_merge_keys_take_over_what_is_not_stated() -> None:
    text = "base: &b {a: 1, b: 2}\nmore: &m {b: 3, c: 4}\nx: {b: 5, <<: [*b, *m]}\ny: {<<: *b}\n"
    assert lines.read(text, Path("x.yaml")).data == yaml.safe_load(text)


def test_merge_keys_do_not_grow_without_bound() -> None:
    text = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30)]
    with pytest.raises(UsageError, match="holds more than"):
        lines.read("\n".join(text), Path("x.yaml"))


@pytest.mark.parametrize("link", ["a{n}: &a{n} [*a{m}]", "a{n}: &a{n} {{<<: *a{m}}}"])
def test_aliases_do_not_nest_without_bound(link: str) -> None:
    text = ["a0: &a0 {x: 1}", *(link.format(n=n, m=n - 1) for n in range(1, 2000))]
    with pytest.raises(UsageError, match=r"nested more than|holds more than"):
        lines.read("\n".join(text), Path("x.yaml"))


@pytest.mark.parametrize("tag", ["!mine", "!!set", "!!omap", "!!python/dict", "!!python/object/apply:os.system"])
@pytest.mark.parametrize("value", ["{a: 1}", "[a]"])
def test_a_tag_that_would_make_something_else_of_a_mapping_or_a_list_is_refused(tag: str, value: str) -> None:
    with pytest.raises(UsageError, match="are not read; write a mapping or a list") as caught:
        lines.read(f"title: x\nmethod: {tag} {value}\n", Path("x.yaml"))
    assert caught.value.where == "x.yaml:2"
    plain = f"method: !!{'map' if value[0] == '{' else 'seq'} {value}"
    assert lines.read(plain, Path("x.yaml")).data == yaml.safe_load(plain)


@pytest.mark.case(
    21, "a document as a shell or an editor on Windows writes it", "taken, whatever its encoding and line ends"
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["x.yaml", "x.json"])
def test_a_file_is_read_in_every_encoding_that_says_which_it_is(
    tmp_path: Path, encoding: str, end: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(f'{{"title":{end}"caf\xe9"}}'.encode(encoding))
    found = lines.read(encodings.read(path, "experiment"), path)
    assert (found.data, found.line(("title",))) == ({"title": "caf\xe9"}, 1)


def test_a_letter_of_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("a: b\ntitle: caf\xe9\n".encode("latin-1"))
    with pytest.raises(UsageError, match="cannot read the experiment") as caught:
        encodings.read(path, "experiment")
    assert (caught.value.where, caught.value.hint) == (f"{path}:2", "save it as UTF-8")


@pytest.mark.parametrize(
    ("written", "line", "words"),
    [
        ("a: 1\n---\nb: 2\n", 2, "one document"),
        ("a: 1\n---\n", 2, "one document"),
        ("a:\n\tb: 1\n", 2, "a tab"),
        ("a: 1\nb: @c\n", 2, "quote"),
        ("a: 1\nb: `c`\n", 2, "quote"),
        ("a: 1\nb: !include c.yaml\n", 2, "write out"),
        ("a: 1\nb: c\x00\n", 2, "character"),
    ],
)
def test_what_is_no_yaml_is_refused_by_its_line_with_what_mends_it(written: str, line: int, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        lines.read(written, Path("x.yaml"))
    assert caught.value.where == f"x.yaml:{line}"
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('{"a": 1} // b', "no comments"),
        ('{\n// b\n"a": 1}', "no comments"),
        ('{"a": [1,]}', "no comma"),
        ("a: 1", ".yaml"),
    ],
)
def test_json_that_is_nearly_one_is_refused_with_what_mends_it(written: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        lines.read(written, Path("x.json"))
    assert words in caught.value.hint
