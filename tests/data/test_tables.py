"""Tables: the embedded one, a folder's original, and files from elsewhere."""

import dataclasses
import hashlib
import re

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from tfcourse import data
from tfcourse.data import cache, network, table_specs, tables
from tfcourse.data.csv_tables import read_table
from tfcourse.data.records import OriginalFile
from tfcourse.errors import UserError

SPEC = table_specs.find_table_spec("loan")
NAMES = [*(column.name for column in SPEC.columns), SPEC.target]
ROW = "1,all_other,0.12,200.5,10.5,12,700,4000.04,1000,50.5,0,0,0".split(",")


def csv_text(rows=(), names=NAMES):
    """Return the text of a small table: three rows of ROW, or what is given."""
    rows = rows or [[*ROW, "0"], [*ROW, "1"], [*ROW, "0"]]
    return "".join(",".join(row) + "\n" for row in [names, *rows])


@pytest.fixture
def folder(tmp_path):
    """Return a data folder with a small loan table from elsewhere."""
    (tmp_path / "loan").mkdir()
    (tmp_path / "loan" / "loan.csv").write_text(csv_text(), encoding="utf-8")
    return tmp_path


def test_the_embedded_table_is_scikit_learns_with_one_text_column():
    table, info = data.load_table("loan")
    bundled = load_breast_cancer()
    assert (info.source, info.verified, info.num_examples) == ("embedded", True, 569)
    assert np.array_equal(table.targets, bundled.target == 0)
    numeric = [v for v in table.columns.values() if v.dtype.kind == "f"]
    assert np.array_equal(np.stack(numeric, axis=1), bundled.data)
    sizes = dict(
        zip(*np.unique(table.columns["size"], return_counts=True), strict=True)
    )
    assert set(sizes) == {"small", "medium", "large", "very large"}
    assert min(sizes.values()) > 100
    radius = table.columns["mean radius"]
    assert radius[table.columns["size"] == "small"].max() < 11.7
    assert radius[table.columns["size"] == "very large"].min() >= 15.8


def test_a_table_as_one_matrix_of_objects():
    table, _ = data.load_table("loan")
    matrix = data.as_matrix(table.columns)
    assert matrix.shape == (569, 31) and matrix.dtype == object
    for column, values in zip(matrix.T, table.columns.values(), strict=True):
        assert np.array_equal(column, values)


@pytest.mark.real_data
def test_the_real_table_is_verified_and_whole(real_data_dir):
    table, info = data.load_table("loan", source="real", data_dir=real_data_dir)
    assert (info.source, info.verified, info.note) == ("folder", True, "")
    assert list(table.columns) == NAMES[:-1]
    assert len(table.targets) == 9_578 and table.targets.sum() == 1_533
    assert {len(column) for column in table.columns.values()} == {9_578}
    assert table.columns["purpose"].dtype == object
    assert table.columns["revol.bal"].max() == 1_207_359
    assert set(table.columns["purpose"]) == set(SPEC.columns[1].categories)
    (file,) = data.verify("loan", real_data_dir)
    assert file.registered and file.num_bytes == SPEC.download_bytes
    assert data.prepare("loan", real_data_dir).state == "originals"


def test_a_damaged_original_is_refused(tmp_path):
    (tmp_path / "loan").mkdir()
    path = tmp_path / "loan" / "loan_data.csv"
    path.write_text(csv_text(), encoding="utf-8")
    for use in (data.verify, data.prepare):
        with pytest.raises(UserError, match="loan_data.csv is damaged: .* copy it"):
            use("loan", tmp_path)
    path.write_bytes(b"x" * SPEC.download_bytes)
    with pytest.raises(UserError, match="loan_data.csv is damaged") as caught:
        data.load_table("loan", source="real", data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_table_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"put loan_data.csv \(or loan.csv\) in .*loan"):
        data.load_table("loan", source="real", data_dir=tmp_path)
    assert data.status("loan", tmp_path).state == "absent"
    with pytest.raises(UserError, match="run: tfcourse data prepare loan"):
        data.verify("loan")


def test_a_table_from_elsewhere_is_read_and_reported_as_unverified(folder):
    table, info = data.load_table("loan", source="real", data_dir=folder)
    assert table.targets.tolist() == [0, 1, 0]
    assert (info.source, info.verified) == ("csv", False)
    assert info.note == "unverified: read as it is, 3 rows"
    digest = hashlib.sha256((folder / "loan" / "loan.csv").read_bytes()).hexdigest()
    assert digest in info.origin
    (file,) = data.verify("loan", folder)
    assert not file.registered
    assert data.status("loan", folder).state == "csv"
    assert data.prepare("loan", folder).state == "csv"


def test_columns_are_found_by_name_in_any_order(folder):
    expected, _ = data.load_table("loan", source="real", data_dir=folder)
    rows = [dict(zip(NAMES, [*ROW, target], strict=True)) for target in "010"]
    names = sorted(NAMES)
    text = csv_text([[row[name] for name in names] for row in rows], names)
    # As spreadsheets write it: with a byte order mark, quotes, blanks and CRLF.
    text = text.replace("all_other", '" all_other"').replace("\n", "\r\n")
    (folder / "loan" / "loan.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    table, info = data.load_table("loan", source="real", data_dir=folder)
    assert list(table.columns) == NAMES[:-1]
    for name, values in expected.columns.items():
        assert np.array_equal(table.columns[name], values)
    assert "another order" in info.note


def changed(place, value, row=1):
    """Return the small table with one cell changed."""
    rows = [[*ROW, "0"], [*ROW, "1"], [*ROW, "0"]]
    rows[row][place] = value
    return csv_text(rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "loan.csv is empty: copy it again"),
        ("\n\n", "loan.csv is empty"),
        (csv_text().split("\n")[0] + "\n", "holds a header and no rows"),
        ("a;b;c\n1;2;3\n", "has none of the columns of loan in its first line"),
        (csv_text(names=[*NAMES[:-1], "paid"]), "lacks the columns not.fully.paid"),
        (csv_text([[*ROW, "0", "7"]], [*NAMES, "id"]), "has columns that loan has not"),
        (csv_text([[*ROW, "0", "7"]], [*NAMES, "fico"]), "the column fico twice"),
        (changed(2, ""), "line 3: int.rate is missing .in 1 of the rows"),
        (changed(1, "NA"), "line 3: purpose is missing"),
        (changed(6, "good"), "line 3: fico must be a number; it is 'good'"),
        (changed(6, "inf"), "line 3: fico must be a number"),
        (changed(8, "1_000"), "line 3: revol.bal must be a number"),
        (
            changed(1, "yacht"),
            "line 3: purpose is 'yacht'; it must be one of all_other",
        ),
        (changed(13, "2"), "line 3: not.fully.paid must be 0 or 1; it is 2"),
        (changed(13, "0"), "not.fully.paid is 0 in every row"),
        (csv_text()[:-20], "line 4: 8 cells instead of 14; is it cut off"),
        (csv_text().replace("all_other", '"all', 1), "is damaged or no CSV file"),
        (b"\xff\xfe\x00n", "not UTF-8"),
        (b"PK\x03\x04\x00\x00", "loan.csv"),
    ],
)
def test_what_is_no_such_table_gets_one_clear_line(folder, content, message):
    path = folder / "loan" / "loan.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as caught:
        read_table(SPEC, path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_names_that_are_no_tables_are_refused():
    with pytest.raises(UserError, match="mnist is a set of images.*load_arrays"):
        data.load_table("mnist")
    with pytest.raises(UserError, match="there is no table 'houses'; there is loan"):
        data.load_table("houses")
    with pytest.raises(UserError, match="loan is a table, not images: use load_table"):
        data.load_arrays("loan", "train")
    with pytest.raises(UserError, match="there is no dataset 'x'; there are .* loan"):
        data.status("x")
    with pytest.raises(UserError, match="source must be one of"):
        data.load_table("loan", source="web")
    with pytest.raises(UserError, match="take source='real'"):
        data.load_table("loan", data_dir="x")


@pytest.fixture
def served(monkeypatch):
    """Let the network serve a small original; return the texts that are left."""
    content = csv_text().encode()
    digest = hashlib.sha256(content).hexdigest()
    original = OriginalFile("https://x.invalid/loan_data.csv", len(content), digest)
    spec = dataclasses.replace(SPEC, originals=(original,))
    monkeypatch.setitem(table_specs._TABLES, "loan", spec)
    left = [content]

    def download(spec, work, progress):
        if not left:
            raise UserError("no network")
        (work / "loan_data.csv").write_bytes(left.pop())

    monkeypatch.setattr(network, "download_originals", download)
    return left, content


def test_without_a_folder_the_network_serves_once(served):
    left, content = served
    table, info = data.load_table("loan", source="real")
    assert (info.source, info.verified, len(table.targets)) == ("network", True, 3)
    assert data.load_table("loan", source="real")[1].origin == info.origin
    assert data.status("loan").state == "prepared"
    assert data.verify("loan")[0].registered
    path = cache.set_folder(tables.find_table_spec("loan")) / "loan_data.csv"
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="is damaged"):
        data.load_table("loan", source="real")
    left.append(content)
    assert data.prepare("loan").state == "prepared"
    assert path.read_bytes() == content


def test_a_download_that_fails_leaves_nothing(served):
    served[0].clear()
    with pytest.raises(UserError, match="no network"):
        data.load_table("loan", source="real")
    assert data.status("loan").state == "absent"
    assert not cache.set_folder(SPEC).exists()


def test_the_licence_and_the_twin_are_said():
    (spec,) = data.table_catalogue()
    assert re.search("none stated", spec.licence)
    _, info = data.load_table("loan")
    assert "not loans" in info.note and "derived from `mean radius`" in info.note
    assert info.class_names == ("benign", "malignant")
