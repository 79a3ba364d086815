"""Corpora known by name.

They come with Python, are generated here, or are fetched on first use.
"""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from rhapsode.data.corpora.dates import date_documents
from rhapsode.data.corpora.kitchen import kitchen_documents
from rhapsode.data.corpora.pen_lines import line_documents
from rhapsode.data.corpora.reels import reel_documents
from rhapsode.data.document import Document
from rhapsode.data.store import cache_folder
from rhapsode.errors import DataError, RunError
from rhapsode.files import is_there, write_atomically

SECONDS = 30.0
MOST = 1 << 30


@dataclass(frozen=True)
class Download:
    """A file that can be fetched.

    Arguments:
        path: inside RHAPSODE_DATA and inside the cache.
        url: where it is.
        size: in bytes, where it is known.
        sha256: what it must hash to, in hexadecimal.
    """

    path: str
    url: str
    size: int | None
    sha256: str


def find_copy(download: Download) -> Path | None:
    """Path of a downloaded file, None if it is missing.

    RHAPSODE_DATA is searched before the cache.
    """
    named = os.environ.get("RHAPSODE_DATA")
    folders = [Path(named)] if named else []
    for folder in (*folders, cache_folder() / "corpora"):
        if is_there(folder / download.path):
            return folder / download.path
    return None


def local_copy(name: str, download: Download) -> Path:
    """Path of a file, fetched if missing, with its checksum verified.

    Arguments:
        name: of the corpus, for messages.
        download: where it comes from.

    Raises:
        DataError: no network, a refusal, a wrong checksum, or a cache that cannot be written.
    """
    path = find_copy(download)
    if path is not None:
        try:
            _check(name, path.read_bytes(), download, str(path))
        except OSError as problem:
            raise DataError(f"cannot read: {problem.strerror}", where=str(path)) from None
        return path
    raw = _fetch(name, download)
    _check(name, raw, download, download.url)
    path = cache_folder() / "corpora" / download.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, raw)
    except (OSError, RunError) as problem:
        raise DataError(
            f"cannot keep the corpus {name!r}: {problem}",
            where=str(path.parent),
            hint="name another folder with RHAPSODE_CACHE",
        ) from None
    return path


def _check(name: str, raw: bytes, download: Download, where: str) -> None:
    found = hashlib.sha256(raw).hexdigest()
    if found != download.sha256:
        raise DataError(
            f"this is not the corpus {name!r}: its SHA-256 begins {found[:16]}, "
            f"expected {download.sha256[:16]}",
            where=where,
            hint="delete it, so that it is downloaded again, or put the right file there",
        )


def _fetch(name: str, download: Download) -> bytes:
    import urllib.error  # takes long to load, and few commands fetch
    import urllib.parse
    import urllib.request

    request = urllib.request.Request(  # noqa: S310 - the catalogue holds https only
        urllib.parse.quote(download.url, safe=":/"), headers={"User-Agent": "rhapsode"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            raw: bytes = answer.read(MOST)
    except (urllib.error.URLError, OSError, ValueError) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise DataError(
            f"the corpus {name!r} is not on this machine and cannot be fetched ({reason})",
            where=download.url,
            hint=f"download the file elsewhere and put it at <folder>/{download.path}, "
            "with RHAPSODE_DATA=<folder>",
        ) from None
    return raw


@dataclass(frozen=True)
class CatalogueEntry:
    """A named corpus.

    Arguments:
        title: one line about it.
        licence: its terms of use.
        download: where it is fetched from; None when it is on this machine already.
        series: True for a time series, False for text.
        suffix: of files in whose format the documents are; empty for plain text.
        pairs: True if every document is an input and an output.
    """

    title: str
    licence: str
    download: Download | None = None
    series: bool = False
    suffix: str = ""
    pairs: bool = False

    @property
    def kind(self) -> str:
        """Either "series", or of text "embedded" or "fetched"."""
        if self.series:
            return "series"
        return "embedded" if self.download is None else "fetched"

    @property
    def place(self) -> str:
        """Either "here" or "to be fetched"."""
        is_here = self.download is None or find_copy(self.download) is not None
        return "here" if is_here else "to be fetched"


_GITHUB = "https://raw.githubusercontent.com"

CATALOGUE = MappingProxyType(
    {
        "python-docs": CatalogueEntry(
            "English prose: the language reference that every CPython carries", "PSF-2.0"
        ),
        "python-code": CatalogueEntry(
            "Source code: the standard library of this Python", "PSF-2.0"
        ),
        "kitchen": CatalogueEntry(
            "10,000 recipes from a grammar, so that the best possible loss is known", "Apache-2.0"
        ),
        "tunes": CatalogueEntry(
            "42 traditional melodies in ABC notation", "public domain", suffix=".abc"
        ),
        "reels": CatalogueEntry(
            "4,000 reels and jigs from a grammar, so that the best possible loss is known",
            "Apache-2.0",
            suffix=".abc",
        ),
        "dates": CatalogueEntry(
            "20,000 pairs: written dates in four languages, and their ISO form",
            "Apache-2.0",
            pairs=True,
        ),
        "lines": CatalogueEntry(
            "1,000 lines of handwriting by a formula, so that the density of the pen is known",
            "Apache-2.0; the letters are Hershey's, free with acknowledgement",
            suffix=".ndjson",
        ),
        "tinyshakespeare": CatalogueEntry(
            "1.1 MB of Shakespeare's plays, the sample of char-rnn",
            "public domain",
            Download(
                "tinyshakespeare/input.txt",
                f"{_GITHUB}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                1_115_394,
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            ),
        ),
        "nietzsche": CatalogueEntry(
            "0.6 MB of Nietzsche's essays in English, the sample of Keras",
            "public domain",
            Download(
                "nietzsche/nietzsche.txt",
                "https://s3.amazonaws.com/text-datasets/nietzsche.txt",
                600_901,
                "23cf69874ab69d3d256099ab530ea4be24d47d9675b673bcc67cbcd6298ec647",
            ),
        ),
        "irish-abc": CatalogueEntry(
            "804 Irish tunes in ABC notation",
            "MIT, traditional tunes",
            Download(
                "irish_abc/irish.abc",
                f"{_GITHUB}/MITDeepLearning/introtodeeplearning/master/"
                "mitdeeplearning/data/irish.abc",
                None,
                "df3782d5f7b5a2f4c66aa7c13f13008d5f48757b3f5f51620cd6c1ceb2c53023",
            ),
        ),
        "red-chamber": CatalogueEntry(
            "红楼梦, Dream of the Red Chamber: 0.9 M Chinese characters",
            "public domain",
            Download(
                "chinese_novels/红楼梦.txt",
                f"{_GITHUB}/tennessine/corpus/master/红楼梦.txt",
                None,
                "5eca888fb54188d644df70fa555dd3c9cbdd3a8d7b3034fb59f7a81e16f05dc7",
            ),
        ),
        "airline": CatalogueEntry(
            "Series: passengers of airlines, thousands a month, 1949 to 1960",
            "public domain",
            series=True,
        ),
        "sine-trend": CatalogueEntry(
            "Series: 2,400 hours of a noisy sine on a trend, from a formula",
            "Apache-2.0",
            series=True,
        ),
        "regimes": CatalogueEntry(
            "Series: 3,000 days that switch between two normal laws, from a formula",
            "Apache-2.0",
            series=True,
        ),
        "ar2": CatalogueEntry(
            "Series: 3,000 steps of a second-order autoregression, from a formula",
            "Apache-2.0",
            series=True,
        ),
    }
)

_NOT_LIBRARY = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "lib2to3", "__pycache__",
     "pydoc_data", "encodings"}
)  # fmt: skip


def catalogue_documents(name: str) -> Iterator[Document]:
    """Documents of a named corpus, fetched if necessary.

    Raises:
        DataError: this Python came without it, it cannot be fetched, or it holds numbers, not text.
    """
    if CATALOGUE[name].series:
        raise DataError(
            "a series of numbers, not text",
            where=name,
            hint="rhapsode.data.tables.read_series reads it",
        )
    download = CATALOGUE[name].download
    if download is not None:
        raw = local_copy(name, download).read_bytes()
        return iter((Document(raw.decode("utf-8").removeprefix("\N{BYTE ORDER MARK}"), name),))
    return {
        "python-docs": _python_docs,
        "python-code": _python_code,
        "kitchen": kitchen_documents,
        "tunes": _tunes,
        "reels": reel_documents,
        "dates": date_documents,
        "lines": line_documents,
    }[name]()


def _tunes() -> Iterator[Document]:
    file = resources.files("rhapsode.data.corpora") / "tunes.abc"
    _, *tunes = file.read_text(encoding="utf-8").split("\n\n")
    for number, tune in enumerate(tunes, 1):
        yield Document(tune.rstrip("\n") + "\n", f"tunes/{number}.abc")


def _python_docs() -> Iterator[Document]:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            "this Python came without its documentation topics",
            where="python-docs",
            hint="Debian's python3-minimal lacks them: install python3, or name a file of yours",
        ) from None
    for topic in sorted(topics):
        yield Document(topics[topic], f"python-docs/{topic}")


def _python_code() -> Iterator[Document]:
    root = Path(sysconfig.get_paths()["stdlib"])
    found = False
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if _NOT_LIBRARY.intersection(relative.parts):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if text:
            found = True
            yield Document(text, f"python-code/{relative.as_posix()}")
    if not found:
        raise DataError(
            f"the standard library of Python {sys.version.split()[0]} is not kept as source files",
            where="python-code",
        )


def list_corpora() -> dict[str, dict[str, str]]:
    """Title, licence and place of every named corpus."""
    return {
        name: {"title": entry.title, "licence": entry.licence, "place": entry.place}
        for name, entry in CATALOGUE.items()
    }


def fetch_corpus(name: str) -> str:
    """Fetch a named corpus if it is missing.

    Return its path, or a remark for a corpus that comes with the package or with Python.

    Raises:
        DataError: no corpus of that name, or it cannot be fetched.
    """
    if name not in CATALOGUE:
        raise DataError(
            f"there is no corpus {name!r}", hint=f"known by name: {', '.join(CATALOGUE)}"
        )
    download = CATALOGUE[name].download
    return "embedded: nothing to fetch" if download is None else str(local_copy(name, download))
