"""What can go wrong, by whose fault it is.

Every message says what happened, where (book, chapter, segment, line) and what to do next. The command line
shows the message alone; a traceback means a bug in this package.
"""


class OrpheusBatchError(Exception):
    """Base of every error that a user can act on."""


class ConfigError(OrpheusBatchError):
    """A configuration file, an option or a model pack is wrong."""


class InputError(OrpheusBatchError):
    """A book, a prompt file or another input can't be used as it is."""


class CoverageError(OrpheusBatchError):
    """A plan does not hold every character of its book exactly once: a fault in this package, never in the book."""


class LedgerError(OrpheusBatchError):
    """The ledger is damaged, locked by another process, or can't be written."""


class EngineError(OrpheusBatchError):
    """The language model can't be loaded or can't go on."""


class TokenStreamError(OrpheusBatchError):
    """A token stream does not hold whole frames of audio codes in order."""


class CodecError(OrpheusBatchError):
    """The codec's weights can't be loaded or codes can't be decoded."""


class RecogniserError(OrpheusBatchError):
    """The recogniser can't be loaded or can't go on."""


class EncodeError(OrpheusBatchError):
    """ffmpeg is missing, failed, or wrote something that is not the audio it was given."""


class DeliveryError(OrpheusBatchError):
    """A finished file does not meet what it was meant to meet."""
