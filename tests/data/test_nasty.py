"""Real awkward files: each comes out as the text it is, or as one clear line."""

import re
from pathlib import Path

import pytest

from rhapsode.config import SourceSettings
from rhapsode.errors import DataError
from tests.data.reading import Reading, read_sources

HEADER = "\t\n\x0b\x0c\n start \t\n\x0b\x0c\n end \t\n\x0b\x0c\n"
TEXTS = [
    ("nasty/arabic_utf8.txt", None, "بالموازاة مع ذلك", 906),
    ("nasty/dutch_cp1252.txt", "cp1252", "Stipan Arkadiewitsch was", 2257),
    ("nasty/emoji-test.txt", None, "# 😀 E1.0 grinning face", 532_393),
    ("nasty/french_latin1.txt", "cp1252", "é", 2010),
    ("nasty/french_moliere_cp1252.txt", "cp1252", "JEAN-BAPTISTE POQUELIN MOLIÈRE", 3251),
    ("nasty/french_moliere_utf8.txt", None, "JEAN-BAPTISTE POQUELIN MOLIÈRE", 3251),
    ("nasty/greek_utf8.txt", None, "Η ελληνική αποτελεί τη μητρική", 570),
    ("nasty/hebrew_windows1255.txt", "cp1255", "אין כמעט ניבים אזוריים עבריים", 340),
    ("nasty/japanese_shiftjis_rashomon.txt", "cp932", "一人の下人が、羅生門の下で雨やみを", 18_660),
    ("nasty/mixed_line_endings_红楼梦.txt", None, "第一回甄士隐梦幻识通灵", 995_679),
    ("nasty/russian_utf8_combining_accents.txt", None, "Москва́ (произношение", 1701),
    ("nasty/thai_tis620.xml", "cp874", "โอเพนซอร์ส", 14_156),
    ("nasty/utf16be_nobom.txt", "utf-16-be", "DateTime,Bid,Ask\n07/19/2015", 774),
    ("nasty/utf16le_bom_crlf_shakespeare.txt", "utf-16-le", "First Citizen:\nBefore we", 40_000),
    ("nasty/utf8_bom_西游记.txt", None, "《西游记》\nTXT小说天堂", 735_848),
    ("chinese_novels/三国演义.gb18030.txt", "gb18030", "滚滚长江东逝水，浪花淘尽英雄", 602_410),
    ("nasty/midi/test-not-a-midi-file.mid", None, "not a midi file", 15),
    ("nasty/csv/FY09_EDU_Recipients_by_State.csv", None, "State Name,State Abbreviate", 2947),
    ("nasty/csv/bad.csv", None, "I'm too long!", 94),
    ("nasty/csv/blanks.csv", None, ",NA,N/A,NONE,NULL,.", 32),
    ("nasty/csv/dummy_col_shuffled_ragged.csv", None, "b,c,a,d\n2,3,1,4", 16),
    ("nasty/csv/empty.csv", None, "\n", 1),
    ("nasty/csv/mac_newlines.csv", None, 'a,b,c\n1,2,3\n"Once upon\na time"', 35),
    ("nasty/csv/no_header_row.csv", None, "1,2,3", 6),
    ("nasty/csv/test_header_newline.csv", None, "end", 40),
    ("nasty/csv/test_latin1.csv", "cp1252", "4,5,©", 17),
    ("nasty/csv/test_locale.csv", None, '"1,7","200.000.000"', 27),
    ("nasty/csv/test_skip_lines.csv", None, "\n\n\na,b,c", 15),
    ("nasty/csv/test_utf16_little.csv", "utf-16-le", "4,5,ʤ", 17),
    ("nasty/csv/test_utf8_bom.csv", None, "foo,bar,baz\n1,2,3\n4,5,ʤ", 24),
]
ERRORS = [
    ("nasty/csv/null_byte.csv", "not a text file: a zero byte at offset 6"),
    ("nasty/midi/test-empty-file.mid", "the file is empty"),
    ("nasty/midi/test-2-tracks-type-2.mid", "not a text file: a zero byte at offset 4"),
    ("nasty/midi/test-corrupt-file-extra-byte.mid", "not a text file: a zero byte at offset 4"),
    ("nasty/midi/test-illegal-message-f1-xx.mid", "not a text file: a zero byte at offset 4"),
    ("nasty/midi/test-illegal-message-f5.mid", "not a text file: a zero byte at offset 4"),
    ("nasty/midi/test-running-status-sysex.mid", "not a text file: a zero byte at offset 4"),
    ("nasty/midi/test-smpte-offset.mid", "not a text file: a zero byte at offset 4"),
]
FIELDS = [
    ("FY09_EDU_Recipients_by_State.csv", "State Name", "ALABAMA"),
    ("bad.csv", "column_b", "27|I'm too short!|mixed types.... uh oh"),
    ("bad.csv", "column_c", "17"),
    ("blanks.csv", "c", "N/A"),
    ("dummy_col_shuffled_ragged.csv", "a", "1"),
    ("mac_newlines.csv", "a", "1|Once upon\na time"),
    ("no_header_row.csv", "2", "it contains no text"),
    ("null_byte.csv", "b", "2"),
    ("test_header_newline.csv", HEADER, "d"),
    ("test_header_newline.csv", "start end", "d"),
    ("test_latin1.csv", "c", "3|©"),
    ("test_locale.csv", "b", "200.000.000"),
    ("test_skip_lines.csv", "b", "2"),
    ("test_utf16_little.csv", "c", "3|ʤ"),
    ("test_utf8_bom.csv", "foo", "1|4"),
    ("empty.csv", "a", "no record has a field 'a'; there are no records with fields"),
    ("test_locale.csv", "d", "no record has a field 'd'; known: a, b, c"),
]


def reading(path: Path, **options: str) -> Reading:
    return read_sources([str(path)], SourceSettings(**options))


@pytest.mark.parametrize(("name", "codec", "snippet", "length"), TEXTS, ids=[t[0] for t in TEXTS])
def test_an_awkward_file_is_the_text_it_is(
    shared_data: Path, name: str, codec: str | None, snippet: str, length: int
):
    path = shared_data / name
    found = reading(path)
    (document,) = found.documents
    assert snippet in document.text
    assert len(document.text) == length
    assert found.found.encodings == ({str(path): codec} if codec else {})
    assert found.found.notes == []
    assert "\r" not in document.text
    kept = reading(path, newlines="keep").documents[0].text
    assert kept.replace("\r\n", "\n").replace("\r", "\n") == document.text


@pytest.mark.parametrize(("name", "message"), ERRORS, ids=[e[0] for e in ERRORS])
def test_what_is_no_text_is_told(shared_data: Path, name: str, message: str):
    with pytest.raises(DataError) as caught:
        reading(shared_data / name)
    assert str(caught.value) == f"{shared_data / name}: {message}"


@pytest.mark.parametrize(
    ("name", "field", "expected"), FIELDS, ids=[f"{f[0]}-{f[2][:5]}" for f in FIELDS]
)
def test_an_awkward_table_gives_its_field(shared_data: Path, name: str, field: str, expected: str):
    path = shared_data / "nasty" / "csv" / name
    if expected.startswith(("no record", "it contains no text")):
        with pytest.raises(DataError, match=re.escape(expected)):
            reading(path, field=field)
        return
    got = [document.text for document in reading(path, field=field).documents]
    if name.startswith("FY09"):
        assert expected in got
        assert len(got) > 50
    else:
        assert "|".join(got) == expected


def test_every_text_and_table_is_in_these_lists(shared_data: Path):
    listed = {name for name, *_ in (*TEXTS, *ERRORS)}
    there = {path.relative_to(shared_data).as_posix() for path in shared_data.glob("nasty/**/*.*")}
    assert there <= listed


def test_real_archives_and_records(shared_data: Path):
    reviews = shared_data / "aclImdb_subset" / "aclImdb_subset.tar.gz"
    found = read_sources([str(reviews)], SourceSettings(pattern="**/train/pos/*.txt", limit=5))
    assert len(found.documents) == 5
    assert found.documents[0].name == f"{reviews}/aclImdb/train/pos/0_9.txt"
    poems = shared_data / "chinese_poetry_tang" / "唐诗三百首.json"
    found = read_sources([str(poems)], SourceSettings(field="paragraphs"))
    assert len(found.documents) == 366
    recipes = shared_data / "recipes_epicurious" / "epicurious_recipes.json.gz"
    template = "Recipe for {title} | {directions}"
    found = read_sources([str(recipes)], SourceSettings(template=template, limit=200))
    assert len(found.documents) == 200
    assert all(document.text.startswith("Recipe for ") for document in found.documents)
