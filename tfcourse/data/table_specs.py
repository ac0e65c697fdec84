"""The tables of the catalogue: which columns, how many rows, licence, checksum.

A table is one CSV file with a header. It is read where it lies: nothing is prepared.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfcourse.data.records import EmbeddedTwin, OriginalFile
from tfcourse.data.specs import catalogue
from tfcourse.errors import UserError


@dataclass(frozen=True)
class Column:
    """One column as it stands in the file, and what it says."""

    name: str
    meaning: str  # With the unit, for the axes of figures.
    categories: tuple[str, ...] = ()  # Those of a text column; none: numbers.


@dataclass(frozen=True)
class TableSpec:
    """One table of the catalogue: the real one, and its embedded twin."""

    name: str  # Also the name of the subfolder, and of a CSV from elsewhere.
    title: str
    licence: str
    homepage: str
    originals: tuple[OriginalFile, ...]
    num_rows: int
    columns: tuple[Column, ...]  # In the order of the file, without the target.
    target: str  # Name of the column with 0 and 1.
    class_names: tuple[str, str]
    twin: EmbeddedTwin

    @property
    def loose_filename(self) -> str:
        """The name that a file from elsewhere must have."""
        return f"{self.name}.csv"

    @property
    def num_examples(self) -> dict[str, int]:
        """A table comes in one piece: whoever uses it splits it."""
        return {"train": self.num_rows, "test": 0}

    @property
    def download_bytes(self) -> int:
        """Size of the original file."""
        return sum(original.num_bytes for original in self.originals)

    @property
    def prepared_bytes(self) -> int:
        """Size in the cache: that of the file, which stays as it is."""
        return self.download_bytes


_LOAN = TableSpec(
    name="loan",
    title="LendingClub loans of 2007 to 2010, and which were not fully paid",
    licence="none stated for the data; the repository that holds the file is MIT",
    homepage="https://github.com/GdKent/Introduction-to-Deep-Learning",
    originals=(
        OriginalFile(
            "https://raw.githubusercontent.com/GdKent/Introduction-to-Deep-Learning/"
            "master/Intro_NN/loan_data.csv",
            760_833,
            "ac4ac35eb968f631cdb6d84437622fb4d2d910afebd6dff6744b48b9a5426c07",
        ),
    ),
    num_rows=9_578,
    columns=(
        Column("credit.policy", "meets the lender's criteria (1: yes)"),
        Column(
            "purpose",
            "what the loan is for",
            (
                "all_other",
                "credit_card",
                "debt_consolidation",
                "educational",
                "home_improvement",
                "major_purchase",
                "small_business",
            ),
        ),
        Column("int.rate", "interest rate, as a fraction"),
        Column("installment", "monthly instalment, dollars"),
        Column("log.annual.inc", "natural logarithm of the yearly income in dollars"),
        Column("dti", "debt to income ratio, per cent"),
        Column("fico", "FICO credit score"),
        Column("days.with.cr.line", "days with a credit line"),
        Column("revol.bal", "revolving balance, dollars"),
        Column("revol.util", "share of the credit line in use, per cent"),
        Column("inq.last.6mths", "inquiries by creditors in 6 months"),
        Column("delinq.2yrs", "payments over 30 days late in 2 years"),
        Column("pub.rec", "derogatory public records"),
    ),
    target="not.fully.paid",
    class_names=("fully paid", "not fully paid"),
    twin=EmbeddedTwin(
        num_examples={"train": 569, "test": 0},
        class_names=("benign", "malignant"),
        origin="scikit-learn's bundled breast cancer set (UCI, Wisconsin diagnostic)",
        licence="CC BY 4.0",
        note="not loans: 569 tumours with 30 measurements, 37 % malignant; the text "
        "column `size` is derived from `mean radius` by fixed limits",
    ),
)

_TABLES = {spec.name: spec for spec in (_LOAN,)}


def table_catalogue() -> tuple[TableSpec, ...]:
    """Return the tables that `load_table` knows."""
    return tuple(_TABLES.values())


def is_table(name: object) -> bool:
    """Tell whether the catalogue has a table of this name."""
    return isinstance(name, str) and name in _TABLES


def find_table_spec(name: str) -> TableSpec:
    """Return the table with this name.

    Raises:
        UserError: If the catalogue has none.
    """
    if is_table(name):
        return _TABLES[name]
    if name in [spec.name for spec in catalogue()]:
        raise UserError(f"{name} is a set of images, not a table: use load_arrays")
    raise UserError(f"there is no table {name!r}; there is {', '.join(_TABLES)}")
