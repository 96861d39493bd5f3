"""EPUB 2 and 3, HTML and Word documents, as books: a package of its own because none of it is about plain text."""
