"""The line, from books to chapter files, and what else can be asked of it.

`render_books` runs it; `preview_books` says beforehand what it would do; `book_status` and `redo_segment` look
at and change what it has done.
"""

from orpheus_batch.pipeline.after import BookStatus, Redone, book_status, redo_segment
from orpheus_batch.pipeline.models import Factories
from orpheus_batch.pipeline.preview import Preview, preview_books
from orpheus_batch.pipeline.progress import Meter, Progress
from orpheus_batch.pipeline.report import BookResult, ChapterResult, FailedSegment, RunReport
from orpheus_batch.pipeline.run import render_books

__all__ = [
    "BookResult",
    "BookStatus",
    "ChapterResult",
    "Factories",
    "FailedSegment",
    "Meter",
    "Preview",
    "Progress",
    "Redone",
    "RunReport",
    "book_status",
    "preview_books",
    "redo_segment",
    "render_books",
]
