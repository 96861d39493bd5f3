"""Lexicon files: what is read, and how each mistake is told with its line."""

from pathlib import Path

import pytest

from orpheus_batch.errors import ConfigError
from orpheus_batch.text.lexicon import LexiconEntry, Scope
from orpheus_batch.text.lexicon_file import load_lexicon


def load(tmp_path, text, name="names.yaml"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return load_lexicon([file]).entries


def test_a_plain_yaml_file_is_words_and_what_to_say(tmp_path):
    """Keys are strings, whatever YAML thinks of them."""
    entries = load(
        tmp_path, "Hermione: Her-my-oh-nee\nno: know\n1984: nineteen eighty-four\nnull: nought\n'[sic]': ''\n"
    )
    assert {
        "Hermione": "Her-my-oh-nee",
        "no": "know",
        "1984": "nineteen eighty-four",
        "null": "nought",
        "[sic]": "",
    } == {e.written: e.spoken for e in entries}
    assert f"{tmp_path / 'names.yaml'}, line 3" == entries[2].place
    assert () == load(tmp_path, "# nothing yet\n")


def test_yaml_sections_settings_and_scopes(tmp_path):
    """A scope of the whole file holds for entries that name none; one word may have several."""
    text = """
language: en
book: ["Moby*", The Whale]
words:
  bass: [{say: base, voice: [tara, leo]}, {say: bass, language: de}]
  Ahab: {say: Ay-hab, case: exact, book: x}
  words: wurds
patterns:
  '\\bpp?\\. ?(\\d+)': page \\1
"""
    place = f"{tmp_path / 'names.yaml'}, line"
    books = ("Moby*", "The Whale")
    assert (
        LexiconEntry("bass", "base", f"{place} 5", scope=Scope(("tara", "leo"), ("en",), books)),
        LexiconEntry("bass", "bass", f"{place} 5", scope=Scope((), ("de",), books)),
        LexiconEntry("Ahab", "Ay-hab", f"{place} 6", case="exact", scope=Scope((), ("en",), ("x",))),
        LexiconEntry("words", "wurds", f"{place} 7", scope=Scope((), ("en",), books)),
        LexiconEntry(
            r"\bpp?\. ?(\d+)", r"page \1", f"{place} 9", is_pattern=True, scope=Scope((), ("en",), books)
        ),
    ) == load(tmp_path, text)


def test_csv_with_and_without_a_header(tmp_path):
    """Commas, semicolons or tabs; comment lines; an unfilled line of the words report is passed over."""
    assert [("Hermione", "Her-my-oh-nee"), ("a, b", "a and b")] == [
        (e.written, e.spoken)
        for e in load(tmp_path, '# names\nHermione,Her-my-oh-nee\n"a, b",a and b\n', "n.csv")
    ]
    text = (
        "\ufeffword;say;voice;case;why;count;context\nbass;base;tara|leo;exact;rare;3;a; b\nAhab;;;;name;9;x\n"
    )
    with pytest.raises(ConfigError, match=r"n.csv, line 2: 8 cells and 7 columns"):
        load(tmp_path, text, "n.csv")
    (bass,) = load(tmp_path, text.replace("a; b", "a b"), "n.csv")
    assert ("base", ("tara", "leo"), "exact") == (bass.spoken, bass.scope.voices, bass.case)
    (pattern,) = load(tmp_path, "word\tsay\tkind\n(\\d+)d\\.\t\\1 pence\tpattern\n", "n.tsv")
    assert (True, "\\1 pence") == (pattern.is_pattern, pattern.spoken)


def test_a_later_file_goes_before_an_earlier_one(tmp_path):
    """A house lexicon, and a book's own beside it."""
    (tmp_path / "house.csv").write_text("Ahab,Ay-hab\n", encoding="utf-8")
    (tmp_path / "book.yaml").write_text("Ahab: A-hab\n", encoding="utf-8")
    lexicon = load_lexicon([tmp_path / "house.csv", tmp_path / "book.yaml"])
    assert ["Ay-hab", "A-hab"] == [e.spoken for e in lexicon.entries]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("n.txt", "a: b", r"n.txt must end in .yaml, .csv or .tsv"),
        ("n.yaml", "a: [b", r"n.yaml, line 1: not YAML"),
        ("n.yaml", "a: b\nc: 'd\n", r"n.yaml, line \d: not YAML.*want quotes"),
        ("n.yaml", "- a\n", r"n.yaml, line 1: expected words"),
        ("n.yaml", "a: b\n\na: c\n", r"n.yaml, line 3: 'a' stands there a second time; the first is at line 1"),
        ("n.yaml", "a: {speak: b}\n", r"n.yaml, line 1: unknown key 'speak'; known: say"),
        ("n.yaml", "a: {voise: b, say: c}\n", r"unknown key 'voise'; did you mean 'voice'\?"),
        ("n.yaml", "a: {voice: b}\n", r"line 1: 'a' has no say"),
        ("n.yaml", "a: {say: [b]}\n", r"line 1: say must be words"),
        ("n.yaml", "a: {say: b, case: both}\n", r"line 1: case must be smart or exact or any"),
        ("n.yaml", "words: {a: b}\nwodrs: {c: d}\n", r"line 2: unknown key 'wodrs'; did you mean 'words'"),
        ("n.yaml", "language: en\na: b\n", r"line 1: 'language' is a setting where the words stand under `words:`"),
        ("n.yaml", "[a]: b\n", r"line 1: a word must be words"),
        ("n.yaml", "'': b\n", r"line 1: no word to look for"),
        ("n.yaml", "—: b\n", r"line 1: '—' holds no letter and no digit; write a pattern"),
        ("n.yaml", f"{'a' * 301}: b\n", r"line 1: longer than a lexicon's entry"),
        ("n.yaml", "patterns:\n  'a(': b\n", r"line 2: 'a\(' is no regular expression"),
        ("n.yaml", "patterns:\n  'a*': b\n", r"line 2: the pattern 'a\*' fits where there is nothing"),
        ("n.yaml", "patterns:\n  '(a)': '\\2'\n", r"line 2: can't say .* for a pattern with 1 groups"),
        ("n.yaml", "patterns:\n  '(a)': '\\g<b>'\n", r"line 2: can't say .* for a pattern with 1 groups"),
        ("n.yaml", "patterns:\n  a: {say: b, case: any}\n", r"line 2: a pattern says \(\?i\) in itself"),
        ("n.yaml", "[" * 1500, r"n.yaml.*(nested deeper|not YAML)"),
        ("n.csv", "word,says\na,b\n", r"line 1: unknown column 'says'; did you mean 'say'\?"),
        ("n.csv", "word,say,say\n", r"line 1: .* 'say' once"),
        ("n.csv", "a,b,c\n", r"line 1: unknown column 'a'"),
        ("n.csv", "a,\n", r"line 1: there is a word and nothing to say"),
        ("n.csv", 'word,say\na,"b\n', r"n.csv, line \d: unexpected end"),
        ("n.csv", "word,say,kind\na,b,verb\n", r"line 2: kind must be word or pattern"),
        ("n.csv", "word,say\na,b\na,c\n", r"line 3: 'a' stands there a second time"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(tmp_path, name, text, told):
    """In one line that says what to do."""
    with pytest.raises(ConfigError, match=told) as refused:
        load(tmp_path, text, name)
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_read(tmp_path):
    """Missing, a folder, not UTF-8."""
    with pytest.raises(ConfigError, match="can't read the lexicon"):
        load_lexicon([tmp_path / "none.yaml"])
    (tmp_path / "d.yaml").mkdir()
    with pytest.raises(ConfigError, match="can't read the lexicon"):
        load_lexicon([tmp_path / "d.yaml"])
    (tmp_path / "l.csv").write_bytes(b"word,say\ncaf\xe9,caffay\n")
    with pytest.raises(ConfigError, match=r"l.csv, line 2: not UTF-8"):
        load_lexicon([tmp_path / "l.csv"])


def test_a_bomb_of_aliases_is_no_work(tmp_path):
    """Aliases are never expanded."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    with pytest.raises(ConfigError, match="line"):
        load(tmp_path, "\n".join(lines))


def test_the_sample_lexicon_is_one():
    """As it is shipped."""
    file = Path(__file__).parents[2] / "samples" / "lexicon.yaml"
    entries = load_lexicon([file]).entries
    assert {("en",)} == {entry.scope.languages for entry in entries}
    assert {"Green Forest", "bass"} < {entry.written for entry in entries}
    assert [r"\1 tree"] == [entry.spoken for entry in entries if entry.is_pattern]
