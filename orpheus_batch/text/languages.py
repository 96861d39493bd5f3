"""What is not done for a book in its language, in words that a user can act on."""

from orpheus_batch.voices import ModelPack, Voice

NAMES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "nl": "Dutch", "la": "Latin",
    "pt": "Portuguese", "sv": "Swedish", "da": "Danish", "no": "Norwegian", "fi": "Finnish", "pl": "Polish",
    "cs": "Czech", "ru": "Russian", "uk": "Ukrainian", "hu": "Hungarian", "el": "Greek", "tr": "Turkish",
    "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "hi": "Hindi", "ar": "Arabic", "he": "Hebrew", "ro": "Romanian",
}  # fmt: skip


def language_notes(language: str, pack: ModelPack, voice: Voice) -> tuple[str, ...]:
    """Return what a book's language keeps from being read well.

    Args:
        language: The book's primary tag; empty where it does not say.
        pack: That speaks.
        voice: The one that reads most of it.

    Returns:
        Sentences; none for a book in English, or one that does not say, with an English voice.
    """
    own = language or voice.language
    notes = []
    if language and language != voice.language:
        notes.append(
            f"the book is in {name_of(language)} and the voice '{voice.name}' speaks {name_of(voice.language)}; "
            "`orpheus-batch voices` lists others"
        )
    if own != "en" and pack.puts_into_words(voice.name):
        notes.append(
            f"numbers, dates and abbreviations of {name_of(own)} are not put into words of that language: they get "
            "English words"
            + (
                ""
                if pack.alphabet is None
                else f", and letters that the pack '{pack.name}' lacks lose their accents or are left out"
            )
        )
    elif own != "en":
        notes.append(
            f"{name_of(own)} is passed on as it is written: numbers, dates and abbreviations are left to the model, "
            "and sentences are found by English rules; a lexicon (--lexicon) can put words for what it misreads"
        )
    return tuple(notes)


def name_of(language: str) -> str:
    """Return a language's English name, or its tag."""
    return NAMES.get(language, f"the language '{language}'")
