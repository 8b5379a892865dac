import pandas as pd
import pytest

from mfcore.config import DatasetConfig
from mfcore.data.readers import Tables, read, recognize
from mfcore.errors import DataInvalid


@pytest.fixture
def folder_of(tmp_path):
    """Read a folder of raw files, given as name → bytes."""

    def folder_of(**files: bytes) -> Tables:
        for name, content in files.items():
            (tmp_path / name.replace("__", "-").replace("_dot_", ".")).write_bytes(content)
        return read(tmp_path, {"format": recognize(tmp_path), "origin": "here"}, DatasetConfig())

    return folder_of


def test_100k_in_latin_1_with_a_flag_for_each_genre(folder_of):
    line = '242|Kolya, "the" Café (1996)|24-Jan-1997||http://imdb.com/M/title-exact?Kolya%20(1996)'
    flags = "|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0|1"
    tables = folder_of(
        u_dot_data=b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n", u_dot_item=f"{line}{flags}\n".encode("latin-1")
    )
    assert tables.ratings.values.tolist() == [[196, 242, 3, 881250949], [186, 302, 3, 891717742]]
    assert tables.ratings.index.tolist() == [1, 2]
    assert tables.items.to_dict("records") == [
        {
            "item_id": 242,
            "title": 'Kolya, "the" Café (1996)',
            "genres": "Comedy|Western",
            "url": "http://imdb.com/M/title-exact?Kolya%20(1996)",
        }
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_1m_and_10m_with_double_colons(folder_of, encoding):
    tables = folder_of(
        ratings_dot_dat=b"1::1193::5::978300760\n1::661::3.5::978302109\n",
        movies_dot_dat=(
            "661::Misérables, Les: Part 1 (1995)::Drama|Musical\n1193::None::(no genres listed)\n".encode(encoding)
        ),
    )
    assert tables.ratings.values.tolist() == [[1, 1193, 5, 978300760], [1, 661, 3.5, 978302109]]
    assert tables.items.values.tolist() == [
        [661, "Misérables, Les: Part 1 (1995)", "Drama|Musical"],
        [1193, "None", ""],
    ]


def test_20m_and_later_with_quoted_titles_links_and_windows_line_ends(folder_of):
    tables = folder_of(
        ratings_dot_csv=b"userId,movieId,rating,timestamp\r\n1,1,4.0,964982703\r\n1,3,0.5,964981247\r\n",
        movies_dot_csv=(
            b'movieId,title,genres\r\n1,"American President, The (1995)",Comedy|Drama\r\n'
            b'3,"""Great Performances"" Cats (1998)",(no genres listed)\r\n'
        ),
        links_dot_csv=b"movieId,imdbId,tmdbId\r\n1,0112346,9087\r\n3,173,\r\n",
    )
    assert tables.ratings.to_dict("list") == {
        "user_id": [1, 1],
        "item_id": [1, 3],
        "rating": [4.0, 0.5],
        "timestamp": [964982703, 964981247],
    }
    assert tables.items.to_dict("records") == [
        {
            "item_id": 1,
            "title": "American President, The (1995)",
            "genres": "Comedy|Drama",
            "url": "https://www.imdb.com/title/tt0112346/",
            "tmdb_id": "9087",
        },
        {
            "item_id": 3,
            "title": '"Great Performances" Cats (1998)',
            "genres": "",
            "url": "https://www.imdb.com/title/tt0000173/",
            "tmdb_id": "",
        },
    ]


def test_ratings_alone_will_do(folder_of):
    tables = folder_of(ratings_dot_dat=b"1::2::3::4\n")
    assert tables.items is None
    assert len(tables.ratings) == 1


def test_recbole_names_and_types_its_columns(folder_of):
    tables = folder_of(
        x_dot_inter=b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3\t881250949\n",
        x_dot_item=(
            b"item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
            b'2\tToy "Story\t1995\tAnimation Comedy\n3\tUnknown\tunkonwn\tunknown\n'
        ),
    )
    assert tables.ratings.to_dict("list") == {"user_id": [1], "item_id": [2], "rating": [3.0], "timestamp": [881250949]}
    assert tables.items["title"].tolist() == ['Toy "Story (1995)', "Unknown"]
    assert tables.items["genres"].tolist() == ["Animation|Comedy", "unknown"]


def test_recbole_without_a_rating_is_refused(folder_of):
    with pytest.raises(DataInvalid, match=r"x.inter lacks rating; found columns user_id:token, item_id:token"):
        folder_of(x_dot_inter=b"user_id:token\titem_id:token\n1\t2\n")


def test_items_of_ratings_with_text_ids_are_text_too(folder_of):
    tables = folder_of(ratings_dot_dat=b"1::a2::3::4\n", movies_dot_dat=b"7::Heat::Crime\na2::Casino::Crime\n")
    assert tables.items["item_id"].tolist() == ["7", "a2"]
    joined = tables.ratings.merge(tables.items, on="item_id")
    pd.testing.assert_series_equal(joined["title"], pd.Series(["Casino"], name="title"), check_dtype=False)
