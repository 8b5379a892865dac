import pytest
import xlwt

from mfcore.config import DatasetConfig, ValidationConfig
from mfcore.data.checks import check
from mfcore.data.readers import Tables, read, recognize
from mfcore.errors import DataInvalid

WIDE = [[2, 99, -9.78, 99, 10], [4, 7.82, 0, -0.01, 3.5], [0, 99, 99, 99, 99]]
RATINGS = [[1, 2, -9.78], [1, 4, 10], [2, 1, 7.82], [2, 2, 0], [2, 3, -0.01], [2, 4, 3.5]]


def load(folder, scale=None) -> Tables:
    return read(folder, {"format": recognize(folder), "origin": "Jester", "scale": scale}, DatasetConfig())


def write_csv(folder, rows) -> None:
    (folder / "jester-data-1.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))


def test_the_wide_matrix_as_text(tmp_path):
    write_csv(tmp_path, WIDE)
    frame = load(tmp_path).ratings
    assert frame.values.tolist() == RATINGS
    assert frame.dtypes.astype(str).tolist() == ["int64", "int64", "float64"]


def test_the_wide_matrix_as_the_spreadsheet_it_comes_in(tmp_path):
    book = xlwt.Workbook()
    sheet = book.add_sheet("jester-data-1-new")
    for row, cells in enumerate(WIDE):
        for column, cell in enumerate(cells):
            sheet.write(row, column, cell)
    book.save(tmp_path / "jester-data-1.xls")
    assert load(tmp_path).ratings.values.tolist() == RATINGS


def test_a_row_that_holds_another_number_of_ratings_than_it_says_is_quarantined(tmp_path):
    rows = [[3, *([round(0.5 * number - user / 7, 2) for number in range(3)]), 99] for user in range(60)]
    rows[7][0] = 4
    write_csv(tmp_path, rows)
    result = check(load(tmp_path, {"minimum": -10, "maximum": 10}), ValidationConfig(max_quarantined=0.1, min_items=3))
    assert result.problems == []
    assert set(result.quarantine["user_id"]) == {"8"}
    assert result.quarantine["reason"].str.contains("row 8 says 4 ratings, holds 3").all()
    assert len(result.ratings) == 59 * 3


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[1, 5], [1, 5, 6]], "row 2 has not 2 columns"),
        ([[1, 5], [1, "x"]], r"row 2, column 2 is 'x', not a number"),
        ([[1, 5], [1, "nan"]], "row 2, column 2 is not a finite number"),
        ([[1], [2]], "found 1 columns"),
        ([], "is empty"),
    ],
)
def test_a_damaged_matrix_is_refused_with_the_place(tmp_path, rows, words):
    write_csv(tmp_path, rows)
    with pytest.raises(DataInvalid, match=words):
        load(tmp_path)


def test_a_damaged_spreadsheet_is_refused(tmp_path):
    (tmp_path / "jester-data-1.xls").write_bytes(b"\xd0\xcf\x11\xe0 not really")
    with pytest.raises(DataInvalid, match="cannot be read as a spreadsheet"):
        load(tmp_path)


def test_the_long_table_and_its_jokes_without_html(tmp_path):
    (tmp_path / "jester_ratings.dat").write_text("1\t\t5\t\t0.219\n1\t\t7\t\t-9.281\n63978\t\t5\t\t10.000\n")
    (tmp_path / "jester_items.dat").write_text(
        "5:\n<p>\nQ. What&#039;s O. J. Simpson&#039;s Internet address?<br />\nA. Slash, slash, backslash.\n</p>\n\n"
        "7:\n<p>\nHow many feminists does it take to screw in a light bulb?<br />\n<br />\n"
        "That&#039;s not funny &amp; never was.\n</p>\n"
    )
    tables = load(tmp_path)
    assert tables.ratings.values.tolist() == [[1, 5, 0.219], [1, 7, -9.281], [63978, 5, 10]]
    assert tables.items["item_id"].tolist() == [5, 7]
    assert tables.items["text"].tolist() == [
        "Q. What's O. J. Simpson's Internet address?\nA. Slash, slash, backslash.",
        "How many feminists does it take to screw in a light bulb?\nThat's not funny & never was.",
    ]
    assert tables.items["title"].tolist() == [
        "Q. What's O. J. Simpson's Internet address? A. Slash, slash, backslash.",
        "How many feminists does it take to screw in a light bulb? That's not funny &…",
    ]


def test_joke_pages_go_with_the_wide_matrix(tmp_path):
    write_csv(tmp_path, WIDE)
    (tmp_path / "init2.html").write_bytes(
        b'<html><body><table><td><font size="+1">\n<!--begin of joke -->\nA man\nvisits the <b>doctor</b>. \xe9<P>\n'
        b'"Cancer"\n<!--end of joke -->\n</td></body></html>'
    )
    tables = load(tmp_path)
    assert tables.items.to_dict("records") == [
        {"item_id": 2, "title": 'A man visits the doctor. é "Cancer"', "text": 'A man visits the doctor. é\n"Cancer"'}
    ]
