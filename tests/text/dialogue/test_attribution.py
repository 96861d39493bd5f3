"""Who speaks: one test a rule, and what no rule is sure of is nobody's."""

import pytest
from dialogue_helpers import spoken_by

from orpheus_batch.text.dialogue.attribution import attribute_chapter
from orpheus_batch.text.dialogue.mentions import mention_after, mention_before
from orpheus_batch.text.dialogue.quotes import find_quotations
from orpheus_batch.text.dialogue.roster import Roster, Speaker, roster_of_book, with_genders


@pytest.mark.parametrize(
    ("narration", "speaker"),
    [
        (" said Alice.", "Alice"),
        (" said the Mad Hatter, turning round.", "the Mad Hatter"),
        (" the March Hare meekly replied.", "the March Hare"),
        (" cried poor Alice in a loud voice.", "Alice"),
        (" replied rather crossly the Duchess.", "the Duchess"),
        (" said Mr. Sherlock Holmes.", "Mr. Sherlock Holmes"),
        (" put in the Queen of Hearts.", "the Queen of Hearts"),
        (" Alice went on, ", "Alice"),
        (" Alice, too, had asked.", "Alice"),
        (" he said", "he"),
        (" I asked.", "I"),
        ("—said my old friend.", "my old friend"),
        (", says she", "she"),
    ],
)
def test_the_words_after_a_quotation(narration, speaker):
    """A verb of speech and its subject, either way round."""
    found = mention_after(narration, ended=False)
    assert found is not None
    assert speaker == found.text


@pytest.mark.parametrize(
    "narration",
    [
        " he said nothing.",
        " and left.",
        " was written over the door.",
        " told Alice.",
        ". He said no more.",
        "",
    ],
)
def test_words_that_name_no_speaker(narration):
    """Objects, other verbs, sentences of their own."""
    assert mention_after(narration, ended=False) is None


def test_a_new_sentence_after_a_full_stop_names_nobody():
    """“Go.” Alice said nothing more: the sentence may be about anybody."""
    assert mention_after(" Alice said a prayer.", ended=True) is None
    assert mention_after(" said Alice.", ended=True) is not None


@pytest.mark.parametrize(
    ("narration", "speaker"),
    [
        ("Alice replied, rather shyly, ", "Alice"),
        ("The Hatter opened his eyes; but all he said was, ", "he"),
        ("The Queen turned to the King and said: ", "the Queen"),
        ("The door opened, and the Duchess cried: ", "the Duchess"),
        ("Alice only whispered ", "Alice"),
        ("At last, turning round, said the Hatter, ", "the Hatter"),
    ],
)
def test_the_words_before_a_quotation(narration, speaker):
    """What leads up to it, with a comma, a colon or nothing."""
    found = mention_before(narration)
    assert found is not None
    assert speaker == found.text


@pytest.mark.parametrize(
    "narration", ["Alice replied. ", "The cry of ", "She was told that ", "Alice ran out: "]
)
def test_words_before_that_name_no_speaker(narration):
    """A full stop parts; a noun is no verb; running is not saying."""
    assert mention_before(narration) is None


def test_said_alice():
    """The plainest case, and the rest of her speech in the same paragraph."""
    assert [["Alice", "Alice"]] == spoken_by("“Well,” said Alice, “I never!”")


def test_two_speakers_in_one_paragraph():
    """Each has its own words beside it."""
    assert [["Alice", "Hatter"]] == spoken_by("“Well?” said Alice, and the Hatter replied: “No.”")


def test_the_name_before_goes_over_the_pronoun_after():
    """“… the Hatter interrupted: “No,” he said” is the Hatter's, whoever he else might be."""
    assert [["March Hare", "Hatter"]] == spoken_by(
        "“Well,” said the March Hare; but the Hatter interrupted: “No,” he said in a low voice."
    )


def test_a_colon_at_the_end_of_the_paragraph_before():
    """Narration that leads up to a quotation in a paragraph of its own."""
    assert [[], ["Alice"]] == spoken_by("Alice looked up and said:", "“It is late.”")


def test_they_all_said():
    """Many at once are nobody in particular, though another speaks in the same paragraph."""
    assert [["-", "Alice"]] == spoken_by("“No room!” they cried. “There is plenty!” said Alice.")
    assert [["-"]] == spoken_by("“Hear, hear!” said one of the others.")


def test_one_who_acts_beside_the_words():
    """The only character of the narration, at the beginning of the sentence beside the quotation."""
    assert [["Alice"]] == spoken_by("Alice sighed wearily. “I think not.”")
    assert [["-"]] == spoken_by("Alice looked at the Hatter. “I think not.”")


def test_a_sentence_about_two_that_leads_into_the_words():
    """“He heard Sammy Jay screaming “Thief!”” is not his who thinks aloud in the next sentence."""
    assert [["-", "Alice"]] == spoken_by(
        "She heard Sammy Jay screaming “Thief! Thief!” “I wonder,” thought Alice."
    )


def test_a_pronoun_where_one_alone_can_be_meant():
    """In the paragraph itself, or in the one before."""
    assert [["Hatter"]] == spoken_by("The Hatter shook his head. “Not I!” he replied.")
    assert [[], ["Hatter"]] == spoken_by("The Hatter shook his head.", "“Not I!” he replied.")
    assert [[], ["Alice"]] == spoken_by("The Hatter looked at Alice.", "“Not I!” she replied.")


def test_a_pronoun_where_two_may_be_meant():
    """Alice and the Duchess are both “she”; the hare's gender is not known."""
    assert [[], ["-"]] == spoken_by("Alice looked at the Duchess.", "“Not I!” she replied.")
    assert [[], ["-"]] == spoken_by("The Hatter looked at the March Hare.", "“Not I!” he replied.")
    assert [["-"]] == spoken_by("The Hatter gave him a cup. “Thank you,” he said.")


def test_a_pronoun_in_a_conversation():
    """Not the one who has just spoken, if somebody else fits."""
    assert [["Hatter"], ["Alice"], ["Hatter"]] == spoken_by(
        "“Why?” asked the Hatter.", "“I don't know,” said Alice.", "“Nor do I,” said he."
    )


def test_one_who_is_alone_talks_on():
    """Nobody else has been named for a while."""
    assert [["Alice"], ["Alice"]] == spoken_by("“Curious!” thought Alice.", "“And curiouser,” she said aloud.")


def test_turns_between_two_named_ones():
    """Two speakers, and the numbers fit."""
    assert [["Alice"], ["Hatter"], ["Alice"], ["Hatter"]] == spoken_by(
        "“Why?” asked Alice.", "“Why not?” said the Hatter.", "“Because.”", "“Oh,” said the Hatter."
    )


def test_turns_that_do_not_fit_are_nobodys():
    """A number of turns that would have one of them answer himself."""
    assert [["Alice"], ["Hatter"], ["-"], ["-"], ["Hatter"]] == spoken_by(
        "“Why?” asked Alice.", "“Why not?” said the Hatter.", "“Because.”", "“So.”", "“Oh,” said the Hatter."
    )


def test_turns_after_the_last_named_one():
    """After a pattern of one, other, one; or where one calls the other by name; else nobody's."""
    two = ("“Why?” asked Alice.", "“Why not?” said the Hatter.")
    assert ["-"] == spoken_by(*two, "“Because.”")[-1]
    assert ["Hatter"] == spoken_by(*two, "“Because,” said Alice.", "“Oh.”")[-1]
    assert ["Alice"] == spoken_by(two[0], "“Why not, Alice?” said the Hatter.", "“Because.”")[-1]


def test_three_do_not_take_turns():
    """With a third in the room, only the one between two known ones is sure."""
    three = ("“Why?” asked Alice.", "“Why not?” said the Hatter.", "“Hush,” said the March Hare.")
    assert [["-"], ["-"]] == spoken_by(*three, "“Oh.”", "“Ah.”")[-2:]


def test_who_calls_the_other_by_name():
    """Of two, it is the one who is not called; unless that one speaks just before or after."""
    two = (
        "“Why?” asked Alice.",
        "“Why not?” said the Hatter.",
        "“Because.”",
        "“So.”",
        "“Oh, Hatter, do be quiet.”",
    )
    assert ["Alice"] == spoken_by(*two)[-1]


def test_nobody_calls_oneself_by_name():
    """“Thank you, Alice” is not Alice's, though it would be her turn."""
    assert ["-"] == spoken_by(
        "“Why?” asked Alice.", "“Why not?” said the Hatter.", "“Thank you, Alice.”", "“Oh,” said the Hatter."
    )[2]


def test_narration_beside_the_words_speaks_against_a_turn():
    """“came the answer”, or another's name."""
    two = ("“Why?” asked Alice.", "“Why not?” said the Hatter.")
    assert ["-"] == spoken_by(*two, "“Because,” came the answer.", "“Oh,” said the Hatter.")[2]
    assert ["-"] == spoken_by(*two, "“Because.” It was to the Duchess.", "“Oh,” said the Hatter.")[2]


def test_speech_goes_on_over_paragraphs():
    """An opening mark on each, a closing one on the last."""
    assert [["Alice", "Alice"], ["Alice"], ["Alice"]] == spoken_by(
        "“Once,” said Alice, “there was a cat.", "“It sat.", "“It slept.”"
    )


def test_the_speaker_named_in_the_next_paragraph_of_an_unclosed_one_is_not_taken():
    """The closing mark may have been forgotten."""
    assert [["-"], ["Hatter"]] == spoken_by("“Once there was a cat.", "“Was there?” said the Hatter.")


def test_words_and_titles_in_marks_are_no_speech():
    """They are the narrator's own."""
    assert [["-"]] == spoken_by("She was obliged to say “creatures,” you see.")
    assert [["-"]] == spoken_by("The sign “DRINK ME” hung from it.")


def test_marks_that_do_not_pair_are_nobodys():
    """Where speech ends is not known."""
    assert [["-"]] == spoken_by("“Well, said Alice, I never.")


def test_first_person():
    """“said I” is whoever is called I in the cast, else the narrator's self."""
    assert [["I"]] == spoken_by("“Well,” said I.")
    watson = ((Speaker("Watson", "male"), ("Watson", "I")),)
    assert [["Watson"]] == spoken_by("“Well,” said I.", people=watson)


def test_somebody_who_is_not_in_the_cast():
    """Is called as the book calls him."""
    assert [["old man"]] == spoken_by("“Well,” said the old man.")


HOLMES = (
    (Speaker("Sherlock Holmes", "male"), ("Sherlock Holmes",)),
    (Speaker("Mrs. Hudson", "female"), ("Mrs. Hudson",)),
    (Speaker("Mr. Hudson", "male"), ("Mr. Hudson",)),
    (Speaker("Captain Crew", ""), ("Captain Crew",)),
)


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ("Holmes", "Sherlock Holmes"),
        ("Mr. Holmes", "Sherlock Holmes"),
        ("Mr. Sherlock Holmes", "Sherlock Holmes"),
        ("old Holmes", "Sherlock Holmes"),
        ("Mrs. Hudson", "Mrs. Hudson"),
        ("Mr. Hudson", "Mr. Hudson"),
        ("Hudson", "-"),
        ("the captain", "Captain Crew"),
        ("Miss Holmes", "Miss Holmes"),
        ("Watson", "Watson"),
    ],
)
def test_a_name_in_another_form(said, who):
    """First or last name, title, rank; two who may be meant are nobody."""
    assert [[who]] == spoken_by(f"“Well,” said {said}.", people=HOLMES)


def test_names_without_a_cast():
    """Forms of one name are one speaker, by the one that is used most; a title tells the gender."""
    mentions = [
        mention_after(f" said {name}.", ended=False)
        for name in (
            "Holmes",
            "Holmes",
            "Sherlock Holmes",
            "Mr. Holmes",
            "the Hatter",
            "the Hatter",
            "Mrs. Hudson",
        )
    ]
    roster = roster_of_book([m for m in mentions if m], [])
    assert {("Holmes", "male"), ("Hatter", ""), ("Mrs. Hudson", "female")} == {
        (speaker.name, speaker.gender) for speaker in roster.speakers
    }


def test_genders_are_learned_from_pronouns():
    """Six sentences in which “her” follows the name; five are not enough, and the cast's word stands."""
    narration = ["Robin took her hat."] * 6 + ["Kim took her hat."] * 5 + ["Pat took her hat."] * 9
    people = [(Speaker("Robin"), ("Robin",)), (Speaker("Kim"), ("Kim",)), (Speaker("Pat", "male"), ("Pat",))]
    roster = with_genders(people, narration)
    assert ["female", "", "male"] == [speaker.gender for speaker in roster.speakers]


def test_dashes():
    """Speech that a dash opens, as in Joyce: the words of the narrator between commas are his."""
    paragraphs = ("— Come up, Alice called out.", "— Not I, said the Hatter.", "— Why?", "He went.")
    assert [["Alice"], ["Hatter"], ["-"], []] == spoken_by(*paragraphs)


@pytest.mark.parametrize(
    "piece", ["“A,” said he. ", "“A” ", "said Alice, ", "Alice “a", "“No,” Alice said. She ran. "]
)
def test_a_paragraph_of_many_takes_no_time(piece):
    """Linear in the text, in one paragraph and in many."""
    roster = Roster([(Speaker("Alice", "female"), ("Alice",))])
    for paragraphs in ([piece * 3_000], [piece] * 3_000):
        found = find_quotations(paragraphs, "double")
        assert len(paragraphs) == len(attribute_chapter(paragraphs, found, roster))
