"""A lexicon: what it finds, in which case, for whom, and what it does to a book's segments."""

import pytest
from line_helpers import Line

from orpheus_batch.config import PauseConfig
from orpheus_batch.data import Chapter
from orpheus_batch.errors import ConfigError
from orpheus_batch.pipeline import render_books
from orpheus_batch.testing import BUILTIN_ALPHABET, make_text_pack
from orpheus_batch.text import lexicon as lexicon_module
from orpheus_batch.text.explain import explain
from orpheus_batch.text.lexicon import Lexicon, LexiconEntry, Scope, respell
from orpheus_batch.text.segment import plan_chapter
from orpheus_batch.text.split import SentenceSplitter
from orpheus_batch.voices import Voice

VOICE = Voice("text", "en", "")


def entry(written, spoken, number=1, **more):
    return LexiconEntry(written, spoken, f"names.yaml, line {number}", **more)


def say(text, *entries, voice=VOICE, language=""):
    respeller = Lexicon(entries, language).respeller(voice)
    return respell(text, respeller.find(text)) if respeller else text


@pytest.mark.parametrize(
    ("written", "spoken", "text", "said"),
    [
        # whole words; a possessive and the other half of a hyphen stay
        ("Hermione", "Her-my-oh-nee", "Hermione’s owl, Hermione-like.", "Her-my-oh-nee’s owl, Her-my-oh-nee-like."),
        ("Hermione", "Her-my-oh-nee", "Hermiones, Hermione2, XHermione", "Hermiones, Hermione2, XHermione"),
        ("can", "ken", "I can, I can't, a can's lid.", "I ken, I can't, a ken's lid."),
        ("Artagnan", "Artanyan", "d'Artagnan and 'Artagnan'", "d'Artagnan and 'Artanyan'"),
        # phrases, punctuation within and at the ends
        ("St. John Rivers", "Sinjin Rivers", "St. John Rivers met St. John.", "Sinjin Rivers met St. John."),
        (".NET", "dot net", "The .NET way.", "The dot net way."),
        ("Rabbit-Hole", "Rabbit Hole", "Rabbit\u2011Hole", "Rabbit Hole"),
        # case: small letters stand for either, capitals for capitals
        ("tomato", "tomahto", "A tomato. Tomato! TOMATO", "A tomahto. Tomahto! Tomahto"),
        ("tomato", "tomahto", "THE TOMATO", "THE TOMAHTO"),
        ("Polish", "Poalish", "Polish the Polish POLISH polish.", "Poalish the Poalish Poalish polish."),
        ("US", "you ess", "US and us", "you ess and us"),
        # numbers and what is no Latin letter
        ("1984", "nineteen eighty-four", "In 1984, 19845.", "In nineteen eighty-four, 19845."),
        ("café", "caffay", "A cafe\u0301 or ca\u00adfé.", "A caffay or caffay."),
        ("Straße", "Strahsa", "Die STRASSE, die Straße", "Die STRASSE, die Strahsa"),
        ("мир", "meer", "мир Мира Мир", "meer Мира Meer"),
        # quotation marks of either kind
        ("O'Brien", "Oh Brian", "O’Brien's and O'Brien", "Oh Brian's and Oh Brian"),
        # nothing to say
        ("[sic]", "", "It were [sic] so.", "It were  so."),
    ],
)  # fmt: skip
def test_words_and_phrases(written, spoken, text, said):
    """What is found, what is not, and in which case it comes back."""
    assert said == say(text, entry(written, spoken))


def test_the_longer_phrase_goes_first_then_capitals_then_the_later_line():
    """So a general entry does not hide a special one."""
    entries = [
        entry("St. John", "Saint John"),
        entry("St. John Rivers", "Sinjin Rivers"),
        entry("polish", "pollish"),
        entry("Polish", "Poalish"),
        entry("read", "reed", 5),
        entry("read", "red", 6),
    ]
    assert "Sinjin Rivers, Saint John, Poalish, pollish, red" == say(
        "St. John Rivers, St. John, Polish, polish, read", *entries
    )


def test_case_can_be_exact_or_any():
    """Exact leaves the respelling alone too."""
    assert "x May MAY" == say("may May MAY", entry("may", "x", case="exact"))
    assert "may x MAY" == say("may May MAY", entry("May", "x", case="exact"))
    assert "May x" == say("May MAY", entry("MAY", "x"))
    assert "x x" == say("may MAY", entry("MAY", "x", case="any"))


def test_patterns_keep_their_groups_and_give_way_to_words():
    """A pattern is a regular expression with its own idea of case; words that begin at the same place go first."""
    pattern = entry(r"\b(\d+)d\.", r"\1 pence", is_pattern=True)
    named = entry(r"(?P<who>Mc)(?=[A-Z])", r"\g<who> ", is_pattern=True)
    assert "It cost 10 pence to Mc Donald." == say("It cost 10d. to McDonald.", pattern, named)
    assert "Mac" == say("McDonald", named, entry("McDonald", "Mac"))
    assert "a" == say("a", entry(r"(?=a)", "x", is_pattern=True))


def test_scopes_of_voice_language_and_book():
    """The narrower goes first; a book that names no language has that of the voice."""
    plain, for_tara = entry("bass", "bass fish"), entry("bass", "base", 2, scope=Scope(voices=("tara",)))
    german = entry("die", "dee", scope=Scope(languages=("de-AT",)))
    assert "bass fish" == say("bass", plain, for_tara)
    assert "base" == say("bass", for_tara, plain, voice=Voice("tara", "en", ""))
    assert ("die", "dee", "dee") == (
        say("die", german),
        say("die", german, language="de"),
        say("die", german, voice=Voice("v", "de", "")),
    )
    moby = Lexicon([entry("Ahab", "Ay-hab", scope=Scope(books=("moby*", "The Whale")))])
    for title, path, holds in (
        ("Moby-Dick", "/b/x.txt", True),
        ("x", "/b/MOBY.epub", True),
        ("the whale", "x", True),
        ("Emma", "x", False),
    ):
        assert holds == bool(moby.for_book(title, path, "en"))
    assert Lexicon().respeller(VOICE) is None


def test_a_pattern_that_backtracks_for_ever_is_stopped(monkeypatch):
    """And named with its line and the sentence; a book can't hang a run."""
    monkeypatch.setattr(lexicon_module, "PATTERN_TIMEOUT_S", 0.05)
    with pytest.raises(ConfigError, match=r"names.yaml, line 1: the pattern .* takes more than .* over “aaaa"):
        say("a" * 60 + "b", entry(r"(?:a|aa)+$", "x", is_pattern=True))


def test_what_the_voice_cannot_say_is_refused():
    """Phonetic signs would vanish in silence; a respelling longer than a segment would take its words with it."""
    pack = make_text_pack(BUILTIN_ALPHABET)
    Lexicon([entry("a", "é <laugh> 5 “x”")]).check(pack, 100)
    with pytest.raises(ConfigError, match=r"line 1: “hɝ” holds ɝ, which the voice pack 'text' can't read"):
        Lexicon([entry("her", "hɝ")]).check(pack, 100)
    with pytest.raises(ConfigError, match="100 characters to say"):
        Lexicon([entry("her", "x" * 100)]).check(pack, 100)
    Lexicon([entry("her", "hɝ")]).check(make_text_pack(None), 100)


def test_changes_name_the_line_of_the_lexicon():
    """With the span in the book's own words, beside what the other rules did."""
    text = "On May 5, Hermione's “owl” came."
    found = Lexicon([entry("Hermione", "Her-my-oh-nee", 7)]).respeller(VOICE).find(text)
    spoken, changes = explain(text, alphabet=BUILTIN_ALPHABET, tags=(), found=found)
    assert 'On May fifth, Her-my-oh-nee\'s "owl" came.' == spoken
    assert [
        (7, 8, "5", "fifth", ("date",)),
        (10, 18, "Hermione", "Her-my-oh-nee", ("lexicon (names.yaml, line 7)",)),
        (21, 22, "“", '"', ("typography",)),
        (25, 26, "”", '"', ("typography",)),
    ] == [(c.start, c.end, c.written, c.spoken, c.rules) for c in changes]


LONG = "The old road went on between the high hedges for a mile or more"


def _plan(text, *entries, max_chars=80):
    chapter = Chapter(0, "A Title", text, 0, 0)
    return plan_chapter(
        chapter,
        SentenceSplitter().split_chapter(chapter),
        pack=make_text_pack(BUILTIN_ALPHABET, min_chars=20, max_chars=max_chars),
        voice="text",
        model_fingerprint="f",
        pauses=PauseConfig(),
        lexicon=Lexicon(entries),
    )


def test_a_phrase_is_not_torn_where_a_sentence_is_cut():
    """The cut moves to the phrase's end, and spans stay those of the book's words."""
    text = f"{LONG}, to the house of St. John, Lord Rivers, who had lived there since the war was over."
    whole = entry("the house of St. John, Lord Rivers, who had lived", "Sinjin's place, where he lived")
    plan = _plan(text, whole)
    assert any("Sinjin's place, where he lived" in s.text for s in plan.segments)
    assert text == "".join(text[s.start : s.end] for s in plan.segments)
    assert all(len(s.text) <= 80 for s in plan.segments)


def test_a_phrase_longer_than_a_segment_is_spoken_as_written():
    """Rather than skipped: nothing is lost by a lexicon."""
    phrase = " ".join(["the long and winding road"] * 4)
    plan = _plan(phrase + ".", entry(phrase, " ".join(["a road"] * 12)), max_chars=40)
    assert not plan.skipped
    assert phrase == " ".join(s.text.rstrip(",.") for s in plan.segments)


def test_a_changed_lexicon_renders_the_touched_segments_alone(tmp_path):
    """Ids hash what is spoken: two sentences of sixteen hold the word, so two takes are new, and none of the others."""
    line = Line(tmp_path)
    file = tmp_path / "names.yaml"
    config = line.config(text__lexicon=[str(file)])
    file.write_text("# nothing yet\n", encoding="utf-8")
    render_books([line.book], line.out, config, factories=line.factories)
    line.take_logs()
    file.write_text("clock: klok\nroses: rozes\n", encoding="utf-8")
    render_books([line.book], line.out, config, factories=line.factories)
    generated, decoded = line.take_logs()
    assert (2, 2) == (len(generated), len(decoded))
    file.write_text("clock: klock\nroses: rozes\n", encoding="utf-8")
    report = render_books([line.book], line.out, config, factories=line.factories)
    generated, _ = line.take_logs()
    assert 1 == len(generated)
    assert [True, False, False] == [chapter.encoded_now for chapter in report.books[0].chapters]
