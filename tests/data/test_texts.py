"""Decoded text on disk: every part of every document is found again, in pieces of any size."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.data import Document, TextStore, open_texts, write_texts
from rhapsode.data import texts as texts_module
from rhapsode.errors import DataError

PROVE = settings(derandomize=True, deadline=None, max_examples=80)
TEXTS = st.lists(
    st.text(st.sampled_from("ab\n é漢👍\r" + chr(0xD800)), min_size=1, max_size=40), min_size=1,
    max_size=6,
)  # fmt: skip


def pieces_of(text: str, name: str, cuts: list[int], prompt: int = 0) -> list[Document]:
    ends = [*sorted({cut % len(text) for cut in cuts} - {0}), len(text)]
    begins = [0, *ends[:-1]]
    return [
        Document(text[a:b], name, complete=b == len(text), opening=a == 0, prompt=prompt if a == 0 else 0)
        for a, b in zip(begins, ends, strict=True)
    ]  # fmt: skip


@PROVE
@given(
    texts=TEXTS, cuts=st.lists(st.integers(0, 99), max_size=4), mark=st.integers(1, 9), data=st.data()
)  # fmt: skip
def test_every_part_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cuts: list[int], mark: int, data
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts_module, "_MARK", mark)
        pieces = [p for i, text in enumerate(texts) for p in pieces_of(text, f"n{i}", cuts)]
        store = write_texts(tmp_path_factory.mktemp("texts"), pieces)
    again = open_texts(store.folder)
    assert again.sha256 == store.sha256
    assert store.lengths_D.tolist() == [len(text) for text in texts]
    assert store.names == [f"n{i}" for i in range(len(texts))]
    assert store.characters == sum(map(len, texts))
    parts = []
    for index, text in enumerate(texts):
        begin = data.draw(st.integers(0, len(text) - 1))
        parts.append((index, begin, data.draw(st.integers(begin + 1, len(text)))))
    most = data.draw(st.integers(4, 60))
    found = list(again.pieces(np.array(parts, dtype=np.int64), most))
    joined: dict[str, str] = {}
    for piece in found:
        joined[piece.name] = joined.get(piece.name, "") + piece.text
    assert joined == {str(i): texts[i][begin:end] for i, begin, end in parts}
    for name, (index, begin, end) in zip(joined, parts, strict=True):
        mine = [piece for piece in found if piece.name == name]
        assert [piece.opening for piece in mine] == [begin == 0] + [False] * (len(mine) - 1)
        whole = end == len(texts[index])
        assert [piece.complete for piece in mine] == [False] * (len(mine) - 1) + [whole]
        assert all(len(piece.text) <= 2 * most for piece in mine)
        for piece in mine[:-1]:
            assert (
                piece.text.endswith("\n")
                or len(piece.text.encode("utf-8", "surrogatepass")) > most - 4
            )


@PROVE
@given(texts=TEXTS, cuts=st.lists(st.integers(0, 99), max_size=4))
def test_the_hash_knows_texts_and_boundaries_and_no_pieces(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cuts: list[int]
):
    folder = tmp_path_factory.mktemp("texts")

    def store(pieces: list[Document]) -> TextStore:
        return write_texts(folder, pieces)

    whole = store([Document(text, "a") for text in texts])
    cut = store([piece for text in texts for piece in pieces_of(text, "b", cuts)])
    assert cut.folder == whole.folder
    joined = store([Document("".join(texts), "a")])
    assert (joined.sha256 == whole.sha256) == (len(texts) == 1)
    given = store([Document(text, "a", prompt=1) for text in texts])
    assert given.sha256 != whole.sha256
    assert given.pairs
    assert [piece.prompt for piece in given.pieces(given.whole)] == [1] * len(texts)


def test_a_prompt_longer_than_a_piece_is_given_in_all_of_them(tmp_path: Path):
    store = write_texts(tmp_path, [Document("ab\n" * 10 + "end", "a", prompt=16)])
    pieces = list(store.pieces(store.whole, 6))
    assert sum(piece.prompt for piece in pieces) == 16
    assert "".join(piece.text[piece.prompt :] for piece in pieces) == ("ab\n" * 10 + "end")[16:]


def test_empty_documents_are_none(tmp_path: Path):
    store = write_texts(tmp_path, [Document("", "a"), Document("b", "b"), Document("", "c")])
    assert store.names == ["b"]
    assert len(write_texts(tmp_path, [])) == 0


def test_a_failure_leaves_nothing_behind(tmp_path: Path):
    def broken():
        yield Document("a", "a")
        raise DataError("torn", where="b")

    with pytest.raises(DataError, match="torn"):
        write_texts(tmp_path, broken())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["facts.json", "documents.npz", "text.bin"])
@pytest.mark.parametrize("damage", [b"", b"{}", b"PK\x03\x04", None])
def test_damage_is_noticed(tmp_path: Path, name: str, damage: bytes | None):
    store = write_texts(tmp_path, [Document("abc", "a")])
    path = store.folder / name
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(DataError, match="the decoded text is damaged"):
        open_texts(store.folder)
