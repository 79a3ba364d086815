"""Named corpora: RHAPSODE_DATA first, then the cache, then fetched, checked and kept; nothing half-written."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rhapsode.data import CATALOGUE, catalogue_documents
from rhapsode.data.corpora.catalogue import Download, find_copy, local_copy
from rhapsode.errors import DataError

CONTENT = b"To be, or not to be"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    site = tmp_path / "site"
    site.mkdir()
    (site / "a.txt").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RHAPSODE_DATA", raising=False)
    monkeypatch.setenv("RHAPSODE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def download(url: str, content: bytes = CONTENT) -> Download:
    return Download("folder/a.txt", url, len(content), hashlib.sha256(content).hexdigest())


def test_fetched_once_and_kept(address: str, cache: Path) -> None:
    wanted = download(f"{address}/a.txt")
    assert find_copy(wanted) is None
    path = local_copy("a", wanted)
    assert path == cache / "corpora/folder/a.txt"
    assert path.read_bytes() == CONTENT
    assert local_copy("a", download("http://127.0.0.1:9/nowhere")) == path
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_another_content_is_refused_and_not_kept(address: str, cache: Path) -> None:
    with pytest.raises(DataError, match="not the corpus 'a': its SHA-256 begins"):
        local_copy("a", download(f"{address}/a.txt", b"something else"))
    assert not (cache / "corpora").exists()


@pytest.mark.parametrize("page", ["/missing.txt", None])
def test_no_network_says_what_to_do(address: str, cache: Path, page: str | None) -> None:
    url = "http://127.0.0.1:9/a.txt" if page is None else address + page
    with pytest.raises(DataError, match="RHAPSODE_DATA=<folder>"):
        local_copy("a", download(url))
    assert not cache.exists()


def test_the_named_folder_is_searched_first(
    address: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_copy("a", download(f"{address}/a.txt"))
    mine = tmp_path / "mine" / "folder" / "a.txt"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(CONTENT)
    monkeypatch.setenv("RHAPSODE_DATA", str(tmp_path / "mine"))
    assert local_copy("a", download("http://127.0.0.1:9/")) == mine
    mine.write_bytes(b"altered")
    with pytest.raises(DataError, match="not the corpus"):
        local_copy("a", download("http://127.0.0.1:9/"))


@pytest.mark.parametrize("name", [n for n, e in CATALOGUE.items() if e.download is not None])
def test_the_corpora_are_what_the_catalogue_says(name: str, shared_data: Path) -> None:
    (document,) = catalogue_documents(name)
    assert len(document.text) > 100_000
