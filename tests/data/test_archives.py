"""Compressed files and archives: the same texts, in order, from streams; damage is one clear line."""

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import SourceSettings
from rhapsode.errors import DataError
from tests.data.reading import read_sources

PROVE = settings(derandomize=True, deadline=None, max_examples=60)
TEXT = "One line.\nÜber zwei.\n三行。\n" * 20
zstandard = pytest.importorskip("zstandard")


def zst(raw: bytes) -> bytes:
    return bytes(zstandard.ZstdCompressor().compress(raw))


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zst}


def zipped(entries: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return out.getvalue()


def tarred(entries: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in entries.items():
            entry = tarfile.TarInfo(name)
            raw = text.encode()
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return out.getvalue()


def texts(path: Path | str, **options: object) -> dict[str, str]:
    reading = read_sources([str(path)], SourceSettings(**options))  # type: ignore[arg-type]
    return {
        document.name.removeprefix(str(path)).lstrip("/"): document.text
        for document in reading.documents
    }


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("named", [True, False])
def test_compressed_text_is_known_by_suffix_and_by_content(
    tmp_path: Path, suffix: str, named: bool
):
    path = tmp_path / (f"a.txt{suffix}" if named else "a.txt")
    path.write_bytes(PACKERS[suffix](TEXT.encode()))
    assert texts(path) == {"": TEXT}


@pytest.mark.parametrize("suffix", PACKERS)
def test_members_one_after_another_are_one_text(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(PACKERS[suffix](b"one\n") + PACKERS[suffix](b"two\n"))
    assert texts(path) == {"": "one\ntwo\n"}


ENTRIES = {"b/2.txt": "two", "a.txt": "one", ".hidden": "no", "b/.x/y": "no", "b/1.txt": "first"}
SORTED = {"a.txt": "one", "b/1.txt": "first", "b/2.txt": "two"}


@pytest.mark.parametrize("suffix", [".zip", ".tar", *(f".tar{packer}" for packer in PACKERS)])
def test_archives_are_read_in_order_of_names(tmp_path: Path, suffix: str):
    raw = zipped(ENTRIES) if suffix == ".zip" else tarred(ENTRIES)
    for packer, pack in PACKERS.items():
        raw = pack(raw) if suffix.endswith(packer) else raw
    path = tmp_path / f"x{suffix}"
    path.write_bytes(raw)
    assert texts(path) == SORTED
    assert list(texts(path)) == list(SORTED)
    assert texts(path, pattern="1.*") == {"b/1.txt": "first"}
    assert texts(path, pattern="b/*.txt", limit=1) == {"b/1.txt": "first"}
    assert list(texts(f"{path}::a.txt").values()) == ["one"]
    assert list(texts(f"{path}/b/2.txt").values()) == ["two"]
    assert list(texts(f"{path}/b").values()) == ["first", "two"]
    with pytest.raises(DataError, match="no file 'c' in this archive"):
        texts(f"{path}/c")
    folder = tmp_path / "folder"
    folder.mkdir()
    path.rename(folder / path.name)
    assert list(texts(folder).values()) == list(SORTED.values())


@pytest.mark.parametrize(
    ("suffix", "raw"),
    [
        *((suffix, pack(TEXT.encode())) for suffix, pack in PACKERS.items()),
        (".zip", zipped(SORTED)),
        (".tar.gz", gzip.compress(tarred(SORTED))),
    ],
    ids=[*PACKERS, ".zip", ".tar.gz"],  # the packed bytes hold the time, and names must not
)
def test_every_cut_is_an_error_of_ours(tmp_path: Path, suffix: str, raw: bytes):
    path = tmp_path / f"a{suffix}"
    for cut in range(0, len(raw), 1 if len(raw) < 600 else 37):
        path.write_bytes(raw[:cut])
        for codec in ("auto", "utf-8"):
            with pytest.raises(DataError) as caught:
                texts(path, text_encoding=codec)
            assert "\n" not in str(caught.value)


def test_a_cut_tar_is_an_error_or_whole_members(tmp_path: Path):
    path, raw = tmp_path / "a.tar", tarred(SORTED)
    for cut in range(0, 4096, 37):
        path.write_bytes(raw[:cut])
        with contextlib.suppress(DataError):
            assert texts(path).items() <= SORTED.items()


@PROVE
@given(st.sampled_from([*PACKERS, ".zip", ".tar.xz"]), st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_byte_is_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, place: int, value: int
):
    raw = zipped(SORTED) if suffix == ".zip" else lzma.compress(tarred(SORTED))
    raw = PACKERS[suffix](TEXT.encode()) if suffix in PACKERS else raw
    changed = bytearray(raw)
    changed[place % len(raw)] = value
    path = tmp_path_factory.getbasetemp() / f"changed{suffix}"
    path.write_bytes(bytes(changed))
    with contextlib.suppress(DataError):
        texts(path)


def test_a_locked_zip_says_so(tmp_path: Path):
    raw = bytearray(zipped({"a.txt": "one"}))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path = tmp_path / "a.zip"
    path.write_bytes(bytes(raw))
    with pytest.raises(DataError, match="protected by a password"):
        texts(path)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_an_empty_archive_says_so(tmp_path: Path, make):
    path = tmp_path / ("a.zip" if make is zipped else "a.tar")
    path.write_bytes(make({}))
    with pytest.raises(DataError, match="no file in this archive"):
        texts(path)


def test_names_that_lead_elsewhere_are_only_names(tmp_path: Path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"../up.txt": "up", "/etc/abs.txt": "abs"}))
    assert sorted(texts(path).values()) == ["abs", "up"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


def test_binary_members_and_inner_archives_are_passed_over_with_the_reason(tmp_path: Path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text")
        archive.writestr("b.png", b"\x89PNG\0\0\0")
        archive.writestr("c.zip", zipped(SORTED))
        archive.writestr("d.txt.gz", gzip.compress(b"inner"))
    reading = read_sources([str(path)])
    assert [document.text for document in reading.documents] == ["text", "inner"]
    assert "a zero byte" in reading.skipped[0]
    assert "an archive inside an archive" in reading.skipped[1]


def test_a_folder_named_as_compressed_is_a_folder(tmp_path: Path):
    (tmp_path / "x.gz").mkdir()
    (tmp_path / "x.gz" / "a.txt").write_text("text")
    assert list(texts(tmp_path / "x.gz").values()) == ["text"]


def test_damage_in_a_folder_stops_unless_skipped(tmp_path: Path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(TEXT.encode())[:-9])
    with pytest.raises(DataError, match="damaged or cut short"):
        texts(tmp_path)
    reading = read_sources([str(tmp_path)], SourceSettings(errors="skip"))
    assert [document.text for document in reading.documents] == ["text"]
    assert "damaged or cut short" in reading.skipped[0]
