"""The cast's file: voices, aliases and genders; what is wrong is told with its line and the nearest that there is."""

from pathlib import Path

import pytest

from orpheus_batch.config import load_config
from orpheus_batch.errors import ConfigError
from orpheus_batch.pipeline import preview_books
from orpheus_batch.text.dialogue.cast import first_cast, load_cast
from orpheus_batch.text.dialogue.roster import Speaker
from orpheus_batch.voices import load_pack

PACK = load_pack("orpheus-3b")


def _load(tmp_path: Path, text: str):
    file = tmp_path / "cast.yaml"
    file.write_text(text, encoding="utf-8")
    return load_cast(file, PACK)


def test_voices_of_all_kinds(tmp_path):
    """A voice alone, or with gender and aliases; others by gender; the narrator for the rest."""
    cast = _load(
        tmp_path,
        "narrator: tara\ncharacters:\n  Alice: leah\n  Hatter: {voice: leo, aliases: [the Mad Hatter, I]}\n  Dinah:\n"
        "others: {female: jess, male: dan, any: zoe}\n",
    )
    assert "tara" == cast.narrator
    known = [("Alice", "female"), ("Hatter", "male"), ("Dinah", ""), ("I", "")]
    others = [("old man", "male"), ("girl", "female"), ("cat", "")]
    voices = [cast.voice_of(Speaker(name, gender)) for name, gender in known + others]
    assert ["leah", "leo", "", "", "dan", "jess", "zoe"] == voices
    assert "" == cast.voice_of(None)
    assert ["leo", "leo", "leo", "", "", None] == [
        cast.voice_of_name(name) for name in ("hatter", "The mad hatter", "I", "narrator", "unknown", "Nobody")
    ]


def test_a_narrator_alone(tmp_path):
    """Is a cast too: one voice reads all."""
    cast = _load(tmp_path, "narrator: leo\n")
    assert ("leo", ()) == (cast.narrator, cast.characters)
    assert _load(tmp_path, "").narrator is None


def test_genders(tmp_path):
    """As given; else by the title; what the pack says of a voice is kept apart, as a guess."""
    cast = _load(
        tmp_path, "characters:\n  Mrs. Hudson: leo\n  Robin: {voice: leah, gender: male}\n  Kim: zac\n"
    )
    assert [("female", "male"), ("male", "female"), ("", "male")] == [
        (character.gender, character.voice_gender) for character in cast.characters
    ]


def test_names_are_text(tmp_path):
    """YAML's yes and no are names like others."""
    assert ["No", "Yes", "Number 6", "6"] == [
        c.name
        for c in _load(tmp_path, "characters:\n  No: leo\n  Yes: dan\n  Number 6: zac\n  6: mia\n").characters
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("narrator: tarra\n", "line 1: the pack 'orpheus-3b' has no voice 'tarra'; did you mean 'tara'?"),
        ("characters:\n  Alice: lea\n", "line 2: .* has no voice 'lea'; did you mean 'leah' or 'leo'?"),
        ("characters:\n  A:\n    voice: bob\n", "line 3: .* has no voice 'bob'"),
        ("narator: tara\n", "line 1: unknown key 'narator'; did you mean 'narrator'?"),
        (
            "characters:\n  A: {voice: leo, gendr: male}\n",
            "line 2: unknown key 'gendr'; did you mean 'gender'?",
        ),
        ("characters:\n  A: {gender: femal}\n", "line 2: a gender is female, male or neutral, not 'femal'"),
        ("characters:\n  A: leo\n\n  A: dan\n", "line 4: 'A' stands there twice"),
        ("characters:\n  A: {aliases: [B]}\n  B: leo\n", "line 3: 'B' is B and A"),
        ("characters:\n  narrator: leo\n", "line 2: 'narrator' can't be a character"),
        ("characters: [A, B]\n", "line 1: 'characters' must hold keys and values"),
        ("characters:\n  A: {aliases: {B: C}}\n", "line 2: the aliases of 'A' must be a list"),
        ("characters:\n  '--': leo\n", "line 2: '--' is no name"),
        ("others: {femal: leo}\n", "line 1: unknown key 'femal'; did you mean 'female'?"),
        ("a: &x [1]\nb: *x\n", r"line 2: '\*x': write it out"),
        ("- a\n", "expected 'narrator:' and 'characters:'"),
        ("a: [\n", "is not YAML"),
        ("? [a]\n: b\n", "line 1: a key must be a name"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, said):
    """And with the nearest name."""
    with pytest.raises(ConfigError, match=said):
        _load(tmp_path, text)


def test_files_that_can_not_be_read(tmp_path):
    """Missing, binary, enormous."""
    with pytest.raises(ConfigError, match="can't read the cast"):
        load_cast(tmp_path / "missing.yaml", PACK)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can't read the cast"):
        load_cast(tmp_path / "binary.yaml", PACK)
    (tmp_path / "large.yaml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load_cast(tmp_path / "large.yaml", PACK)


def test_a_cast_to_begin_with_can_be_read(tmp_path):
    """Voices by gender, nobody with the narrator's; those who hardly speak are left out."""
    people = [("Alice", "female", 9), ("No: 'x'", "male", 5), ("Robin", "", 4), ("Extra", "", 2)]
    cast = _load(tmp_path, first_cast(people, PACK, "tara", "A\nbook"))
    assert ["Alice", "No: 'x'", "Robin"] == [c.name for c in cast.characters]
    assert "tara" not in {c.voice for c in cast.characters}
    assert ("female", "male") == (cast.characters[0].voice_gender, cast.characters[1].voice_gender)
    assert () == _load(tmp_path, first_cast([], PACK, "tara", "")).characters


def test_the_sample_cast_fits_the_sample_chapter():
    """It is in the documentation."""
    samples = Path(__file__).parents[3] / "samples"
    config = load_config(None, {"model.pack": "orpheus-3b", "text.cast": str(samples / "cast.yaml")})
    (book,) = preview_books([samples / "buster-bear-goes-fishing.txt"], config).books
    assert {("narrator", "tara"), ("Buster Bear", "leo")} <= {(s.name, s.voice) for s in book.speakers}
