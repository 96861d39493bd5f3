"""The outside of an EPUB: a zip that nobody vouches for.

Nothing is unpacked to disk, nothing is fetched, and no size that the archive states is believed: members are
read up to a limit. Encrypted books are recognised and refused. What the members mean is not known here.
"""

import posixpath
import re
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from orpheus_batch.errors import InputError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_MEMBERS = 20_000
MAX_MEMBER_BYTES = 64 * 1024 * 1024
"""of one document or picture, unpacked"""
MAX_TOTAL_BYTES = 1024 * 1024 * 1024
"""of everything that is read of one book"""
MAX_RATIO = 200
"""XHTML packs to a fifth, blank pictures to a hundredth; a bomb to a thousandth"""
RATIO_FROM_BYTES = 1024 * 1024
"""smaller members may be packed as tightly as they like"""

_FONT_ALGORITHMS = frozenset({"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"})
"""obfuscated fonts, which every reader may undo; source: EPUB 3.3, section 4.3, and Adobe's note of 2008"""
_DRM_FILES = {
    "META-INF/rights.xml": "Adobe ADEPT",
    "META-INF/sinf.xml": "Apple FairPlay",
    "META-INF/license.lcpl": "Readium LCP",
}
_CLIMBS = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:")


class EpubArchive:
    """Members of an EPUB, or of another zip of documents, by name, each read with care.

    Args:
        path: The file.
        what: It should be, for messages.

    Raises:
        InputError: No zip, damaged, larger than any book, names that climb, or encrypted.
    """

    def __init__(self, path: Path, what: str = "EPUB"):
        self.path = path
        self._what = what
        self._read = 0
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise InputError(f"{path} is no {what}: it is not a zip file, or its end is missing") from error
        except (OSError, ValueError, NotImplementedError) as error:
            raise InputError(f"can't read {path}: {error}") from error
        try:
            self._check_members()
            self._check_encryption()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> "EpubArchive":
        """Return the archive itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._zip.close()

    def names(self) -> list[str]:
        """Return the names of all members."""
        return list(self._names)

    def __contains__(self, name: str) -> bool:
        """Say whether there is such a member."""
        return name in self._names

    def read(self, name: str) -> bytes:
        """Return a member's bytes.

        Raises:
            InputError: It is missing, damaged, encrypted or too large.
        """
        info = self._names.get(name)
        if info is None:
            raise InputError(f"{self.path}: the book lacks {name!r}, which it lists; get another copy")
        try:
            with self._zip.open(info) as member:
                data = member.read(MAX_MEMBER_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise InputError(f"{self.path}: {name!r} is damaged ({error}); get another copy") from error
        except (RuntimeError, NotImplementedError) as error:
            raise InputError(f"{self.path}: {name!r} can't be unpacked: {error}") from error
        self._read += len(data)
        if len(data) > MAX_MEMBER_BYTES or self._read > MAX_TOTAL_BYTES:
            raise InputError(
                f"{self.path}: {name!r} unpacks to more than {MAX_MEMBER_BYTES:,} bytes, which no book does"
            )
        return data

    def parse(self, name: str) -> "Element":
        """Return the root of an XML member.

        Raises:
            InputError: As `read`; or no XML, or XML with entities of its own.
        """
        return parse_xml(self.read(name), f"{self.path}: {name!r}")

    def _check_members(self) -> None:
        infos = self._zip.infolist()
        if len(infos) > MAX_MEMBERS:
            raise InputError(f"{self.path} holds {len(infos):,} files, more than any book ({MAX_MEMBERS:,})")
        for info in infos:
            if _CLIMBS.search(info.orig_filename) or _CLIMBS.search(info.filename):
                raise InputError(
                    f"{self.path} holds a file whose name leads out of the book: {info.orig_filename[:80]!r}; "
                    f"no honest {self._what} does"
                )
            packed = max(1, info.compress_size)
            if info.file_size > RATIO_FROM_BYTES and info.file_size > MAX_RATIO * packed:
                raise InputError(
                    f"{self.path}: {info.filename!r} unpacks to {info.file_size // packed:,} times its size: "
                    "a zip bomb, no book"
                )
            if info.flag_bits & 1:
                raise InputError(f"{self.path} is a zip with a password, no {self._what}; unlock it first")
        if sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
            raise InputError(f"{self.path} unpacks to more than {MAX_TOTAL_BYTES:,} bytes, more than any book")
        self._names = {info.filename: info for info in infos if not info.is_dir()}

    def _check_encryption(self) -> None:
        for name, scheme in _DRM_FILES.items():
            if name in self:
                raise InputError(
                    f"{self.path} is protected by DRM ({scheme}) and can't be read; ask the shop for a copy without"
                )
        if "META-INF/encryption.xml" not in self:
            return
        for element in self.parse("META-INF/encryption.xml").iter():
            if local_name(element.tag) != "EncryptedData":
                continue
            algorithm = next((e for e in element.iter() if local_name(e.tag) == "EncryptionMethod"), None)
            name = "unknown" if algorithm is None else algorithm.get("Algorithm", "unknown")
            if name not in _FONT_ALGORITHMS:
                raise InputError(
                    f"{self.path} is protected by DRM (its text is encrypted with {name}) and can't be read; "
                    "ask the shop for a copy without"
                )


def parse_xml(data: bytes, where: str) -> "Element":
    """Parse XML that may be hostile: no entities of its own, nothing external.

    Args:
        data: The document.
        where: Names it in errors.

    Raises:
        InputError: It is not well-formed, or declares entities.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        return fromstring(data)
    except ParseError as error:
        raise InputError(f"{where} is not well-formed XML: {error}") from error
    except DefusedXmlException as error:
        raise InputError(
            f"{where} declares XML entities of its own, which can be an attack; refused"
        ) from error
    except (ValueError, LookupError) as error:
        raise InputError(f"{where}: its character set can't be read: {error}") from error


def local_name(tag: object) -> str:
    """Return an element's name without its namespace; empty for comments and instructions."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def resolve(base: str, href: str) -> tuple[str, str]:
    """Return the member and the fragment that ``href`` means in the member ``base``.

    An address outside the book gives an empty member.
    """
    target, _, fragment = href.partition("#")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", target) or target.startswith("//"):
        return "", ""
    if not target:
        return base, unquote(fragment)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(target)))
    return ("" if path.startswith(("..", "/")) else path), unquote(fragment)
