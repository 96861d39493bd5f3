"""What is written becomes what is said, in the model's own characters."""

import dataclasses

import pytest

from orpheus_batch.config import load_config
from orpheus_batch.errors import ConfigError
from orpheus_batch.pipeline.models import pack_of
from orpheus_batch.testing import BUILTIN_ALPHABET, TINY_ALPHABET, make_text_pack
from orpheus_batch.text.normalize import end_with_comma, end_with_stop, normalize
from orpheus_batch.text.numbers import cardinal, ordinal, year
from orpheus_batch.voices import Voice


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        # untouched
        ("\"Well,\" said he, 'it's late; go (now): yes!'", "\"Well,\" said he, 'it's late; go (now): yes!'"),
        # typography
        ("“It’s ‘late’…” said he.", "\"It's 'late'...\" said he."),
        ("Wait . . . . now", "Wait... now"),
        ("ﬁne ﬂow Æneid œuvre straße", "fine flow Aeneid oeuvre strasse"),
        ("naïve café, Señor Çelik", "naive cafe, Senor Celik"),
        ("e\u0301tude", "etude"),
        ("non\u00a0breaking\u2009thin", "non breaking thin"),
        ("co\u00adop\u200b!", "coop!"),
        # dashes
        ("He came—and went.", "He came, and went."),
        ("He came -- and went.", "He came, and went."),
        ("He came, - and went.", "He came, and went."),
        ("Stop!—he said.", "Stop! he said."),
        ("“But I—” he began.", '"But I," he began.'),
        ("“—so there,” he said.", '"so there," he said.'),
        ("Mr. Day, Jr., the U.N., etc., and I", "Mr. Day, Junior, the U.N., et cetera, and I"),
        ("It cost 10s. 6d., he said.", "It cost ten shillings six pence, he said."),
        ("He gave me 5s. Then 1d.", "He gave me five shillings. Then one penny."),
        ('I AM here,"--she sat--"what?"', 'I am here," she sat, "what?"'),
        ("'SCAT!' she might see US in the US.", "'Scat!' she might see us in the US."),
        ("IT was late. The MS. was lost.", "It was late. The manuscript was lost."),
        ("He would do it NOW, for ME. NOW!", "He would do it now, for me. Now!"),
        ("well-known, up-to-date", "well-known, up-to-date"),
        # brackets and symbols
        ("[He] {ran}", "(He) (ran)"),
        ("Tom & Jerry, &c.", "Tom and Jerry, et cetera."),
        ("50% of a+b=c @ home", "fifty percent of a plus b equals c at home"),
        ("5° on §3", "five degrees on section three"),
        ("and/or", "and or"),
        ("2 * 3 ~ 6 | x", "two three six x"),
        ("() a ( ) b", "a b"),
        # numbers
        ("7 men, 21 dogs", "seven men, twenty-one dogs"),
        (
            "1,234,567 stars",
            "one million two hundred and thirty-four thousand five hundred and sixty-seven stars",
        ),
        ("3.14 and .5", "three point one four and point five"),
        (
            "the 1st, 2nd, 3rd, 22d and 112th",
            "the first, second, third, twenty-second and one hundred and twelfth",
        ),
        (
            "in 1876, 1905, 1800, 2003 and 2024",
            "in eighteen seventy-six, nineteen oh five, eighteen hundred, "
            "two thousand and three and twenty twenty-four",
        ),
        ("the 1870s", "the eighteen seventies"),
        ("1,876 men", "one thousand eight hundred and seventy-six men"),
        ("007", "oh oh seven"),
        (
            "$5, $1, $3.50, £1,000 and $2 million",
            "five dollars, one dollar, three dollars and fifty cents, one thousand pounds and "
            "two million dollars",
        ),
        ("No. 5, #7 and Nos. 8", "Number five, number seven and numbers eight"),
        ("at 10:05, 3:00 and 7:30", "at ten oh five, three o'clock and seven thirty"),
        ("1:1 In the beginning", "one, one In the beginning"),
        ("pp. 10–12", "pages ten to twelve"),
        (
            "½ a loaf, 2½ loaves, 3/4 more, 5-1/2",
            "a half a loaf, two and a half loaves, three quarters more, five and a half",
        ),
        ("٣ and ３", "three and three"),
        ("A1 b2c", "A one b two c"),
        # roman numbers
        ("See Chapter XIV and vol. ii.", "See Chapter Fourteen and volume two."),
        ("Henry VIII and Louis the XIVth", "Henry the Eighth and Louis the Fourteenth"),
        ("World War II", "World War Two"),
        ("You and I saw Act I of it.", "You and I saw Act One of it."),
        ("So I mix it, and did.", "So I mix it, and did."),
        # capitals
        ("labelled ORANGE MARMALADE by NASA", "labelled Orange Marmalade by NASA"),
        ("I said NO, I DIDN'T! I'LL go.", "I said no, I Didn't! I'll go."),
        ("THE END OF THE ROAD", "The End of the Road"),
        ("GIVE IT TO US!", "Give It to Us!"),
        ("the U.S.A. and the FBI", "the U.S.A. and the FBI"),
        ("McDONALD", "McDONALD"),
        # angle brackets
        ("He <b>ran</b>.", "He b ran b."),
        ("<|eot_id|> and <custom_token_5>", "eot id and custom token five"),
        ("Ha <laugh> ha <sigh>", "Ha ha"),
        ("1 < 2 > 0", "one two zero"),
        # nothing to say
        ("* * *", ""),
        ("漢字", ""),
        ("--!?", ""),
        ("", ""),
        ("<laugh>", ""),
    ],
)
def test_spoken_form(text: str, spoken: str) -> None:
    """The built-in voice's alphabet: letters and eleven marks."""
    assert spoken == normalize(text, alphabet=BUILTIN_ALPHABET, tags=())


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("CHAPTER XIV", "Chapter Fourteen"),
        ("CHAPTER I. Down the Rabbit-Hole", "Chapter One. Down the Rabbit-Hole"),
        ("I. A SCANDAL IN BOHEMIA", "One. A Scandal in Bohemia"),
        ("IV", "Four"),
        ("III. M. WADDINGTON AS MINISTER", "Three. M. Waddington as Minister"),
        ("XXIII.", "Twenty-Three."),
        ("12", "twelve"),
        ("PART ONE. THE SEA. I. DESERT SEAS", "Part One. The Sea. One. Desert Seas"),
        ("ACT III. SCENE IV. London.", "Act Three. Scene Four. London."),
        ("I Make My Escape", "I Make My Escape"),
        ("CHAPTER THE FIRST", "Chapter the First"),
    ],
)
def test_spoken_headings(text: str, spoken: str) -> None:
    """Numbers as words and the case of a title, with an alphabet and, but for digits, without one."""
    assert spoken == normalize(text, alphabet=BUILTIN_ALPHABET, tags=(), heading=True)
    if not text.isdigit():
        assert spoken == normalize(text, alphabet=None, tags=(), heading=True)


def test_own_tags_pass_and_others_are_dropped() -> None:
    """A tag that the pack reads goes through verbatim, though its brackets are outside the alphabet."""
    text = "Well <laugh> I never <sigh> did <happy>."
    assert "Well <laugh> I never did happy." == normalize(text, alphabet=BUILTIN_ALPHABET, tags=("<laugh>",))
    assert "<laugh>" == normalize("<laugh>", alphabet=BUILTIN_ALPHABET, tags=("<laugh>",))


def test_a_pack_without_an_alphabet_keeps_nearly_everything() -> None:
    """Orpheus's tokenizer reads anything; blanks, quotes, control characters and angle brackets are folded."""
    text = "“Tom’s\u200b café”\u00a0— 5% of £3, NO! <laugh> <|eot_id|> 漢字"
    spoken = '"Tom\'s café" — 5% of £3, NO! <laugh> eot id 漢字'
    assert spoken == normalize(text, alphabet=None, tags=("<laugh>",))
    assert "" == normalize("— … !", alphabet=None, tags=())
    assert "No!!! ---" == normalize("No" + "!" * 500 + " " + "-" * 500, alphabet=None, tags=())
    assert "5" == normalize("5", alphabet=None, tags=())


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("On May 5, 1876—it was Dr. Day’s £3.", "On May fifth, eighteen seventy-six—it was Doctor Day's three pounds."),
        ("He came – and went.", "He came – and went."),
        ("Henry VIII, pp. 10–12, café, 漢字 & Ærø", "Henry the Eighth, pages ten to twelve, café, 漢字 and Ærø"),
        ("SHE shouted NO <laugh> at 5", "SHE shouted NO <laugh> at five"),
        ("Wait… [He] “ran”.", 'Wait… [He] "ran".'),
        ("See a.b@c.org", "See a dot b at c dot org"),
    ],
)  # fmt: skip
def test_words_without_an_alphabet(text: str, spoken: str) -> None:
    """For Orpheus numbers and abbreviations are put into words; letters, dashes and punctuation stay as they are."""
    assert spoken == normalize(text, alphabet=None, tags=("<laugh>",), words=True)


def test_words_are_for_english_voices() -> None:
    """A French voice gets its text as it is written; so does any of a pack that is asked to keep its hands off."""
    pack = make_text_pack(None)
    french = dataclasses.replace(pack, voices=(Voice("text", "fr", ""),))
    assert pack.puts_into_words("text")
    assert not french.puts_into_words("text")
    assert not dataclasses.replace(pack, words=False).puts_into_words("text")
    assert dataclasses.replace(make_text_pack(BUILTIN_ALPHABET), words=False).puts_into_words("text")


def test_light_normalisation_is_for_packs_that_read_anything() -> None:
    """The built-in voice has learned letters alone."""
    light = load_config(None, {"text.normalize": "light", "model.pack": "orpheus-3b"})
    assert not pack_of(light).puts_into_words("tara")
    with pytest.raises(ConfigError, match="has learned letters alone"):
        pack_of(load_config(None, {"text.normalize": "light"}))


def test_an_alphabet_with_digits_still_gets_words() -> None:
    """Digits in the alphabet of an untrained pack are no reason to spell them."""
    assert "seven men" == normalize("7 men", alphabet=TINY_ALPHABET, tags=())


def test_an_alphabet_of_small_letters() -> None:
    """A character that the alphabet has in the other case takes that case."""
    assert "ab c" == normalize("Ab C", alphabet=" abc", tags=())


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("The End", "The End."),
        ("The End.", "The End."),
        ("Really?", "Really?"),
        ('"Yes"', '"Yes."'),
        ('"Yes!"', '"Yes!"'),
        ("as follows:", "as follows."),
        ('"But I,"', '"But I."'),
        ("(see above)", "(see above)."),
        ("(see above!)", "(see above!)"),
        ("ha <laugh>", "ha <laugh>"),
        ("", ""),
    ],
)
def test_end_with_stop(text: str, ended: str) -> None:
    """Every utterance ends in punctuation; a quotation mark stays last."""
    assert ended == end_with_stop(text)


@pytest.mark.parametrize(
    ("text", "ended"), [("and so", "and so,"), ("so;", "so;"), ('"so"', '"so,"'), ("", "")]
)
def test_end_with_comma(text: str, ended: str) -> None:
    """A piece of a sentence that goes on sounds unfinished."""
    assert ended == end_with_comma(text)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (101, "one hundred and one"),
        (1_000, "one thousand"),
        (1_001, "one thousand and one"),
        (12_345, "twelve thousand three hundred and forty-five"),
        (1_000_000, "one million"),
        (10**33 + 5, "one decillion and five"),
    ],
)
def test_cardinal(value: int, words: str) -> None:
    """With "and", as read aloud."""
    assert words == cardinal(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "first"),
        (12, "twelfth"),
        (20, "twentieth"),
        (21, "twenty-first"),
        (100, "one hundredth"),
        (1002, "one thousand and second"),
    ],
)
def test_ordinal(value: int, words: str) -> None:
    """The last word alone changes."""
    assert words == ordinal(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1100, "eleven hundred"),
        (1876, "eighteen seventy-six"),
        (1901, "nineteen oh one"),
        (2000, "two thousand"),
        (2019, "twenty nineteen"),
    ],
)
def test_year(value: int, words: str) -> None:
    """In pairs, but for the first years of the millennium."""
    assert words == year(value)


def test_numbers_of_absurd_length_are_spelled() -> None:
    """Forty digits have no name that anybody would follow."""
    assert "nine " * 40 == normalize("9" * 40, alphabet=BUILTIN_ALPHABET, tags=()) + " "
