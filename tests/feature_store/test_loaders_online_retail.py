"""UCI Online Retail: both editions, three kinds of file, every reason to reject."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

import polars as pl
import pytest

from feature_store.loaders.columns import SCHEMA
from feature_store.loaders.online_retail import PRODUCT_CODE
from feature_store.loaders.options import LoadOptions
from feature_store.loaders.registry import FORMATS
from recommender.errors import DataError

FIRST = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice"]
FIRST += ["CustomerID", "Country"]
SECOND = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price"]
SECOND += ["Customer ID", "Country"]
UK = "United Kingdom"
ROWS = [
    ("489434", "85048", "LIGHTS", "12", "2009-12-01 07:45:00", "6.95", "13085", UK),
    ("489434", "POST", "POSTAGE", "1", "2009-12-01 07:45:00", "18.00", "13085", UK),
    ("489434", "79323P", "nan", "2", "2009-12-01 07:46:00", "6.75", "13085", UK),
    ("489435", "22350", "BOWL", "3", "2009-12-01 07:50:00", "2.55", "", UK),
    ("C489449", "22087", "BUNTING", "-12", "2009-12-01 10:33:00", "2.95", "16321", UK),
    ("489436", "22350", "BOWL", "3", "2009-12-01 07:50:00", "0.00", "13078", UK),
    ("489437", "22350", "BOWL", "-3", "2009-12-01 07:50:00", "1.00", "13078", UK),
    ("C489450", "22350", "BOWL", "3", "2009-12-01 07:50:00", "1.00", "13078", UK),
    ("489438", "22350", "BOWL", "3", "not a day", "1.00", "13078", UK),
    ("489438", "22350", "BOWL", "many", "2009-12-01 07:50:00", "1.00", "13078", UK),
    ("489438", "22350", "BOWL", "1", "2009-12-01 07:50:00", "free", "13078", UK),
    ("489438", "22350", "BOWL", "1", "2009-12-01 07:50:00", "-5.0", "13078", UK),
    ("", "22350", "BOWL", "1", "2009-12-01 07:50:00", "1.0", "13078", UK),
    ("489434", "79323P", "£ HAT", "1", "2009-12-01 07:46:00", "6.75", "13085", UK),
]
REASONS = [
    None,
    "not_a_product",
    None,
    "missing_customer",
    None,
    "price_not_positive",
    "quantity_sign",
    "quantity_sign",
    "bad_ts",
    "bad_quantity",
    "bad_price",
    "price_not_positive",
    "missing_invoice",
    None,
]


def _load(path: Path, batch_rows: int = 200_000, **options: str) -> pl.DataFrame:
    chosen = LoadOptions(batch_rows=batch_rows, **options)
    frames = list(FORMATS["online-retail"].batches(path, chosen))
    assert all(dict(frame.schema) == SCHEMA for frame in frames)
    assert all(frame.height <= batch_rows for frame in frames)
    return pl.concat(frames)


def _csv(path: Path, columns: list[str], rows: list, encoding: str = "utf-8") -> Path:
    lines = [",".join(columns), *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines), encoding=encoding)
    return path


def _cell(value: object) -> str:
    if isinstance(value, datetime):  # style 1 is a date; days since 1899-12-30
        days = (value - datetime(1899, 12, 30, tzinfo=UTC)).total_seconds() / 86400
        return f'<c s="1"><v>{days!r}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value!r}</v></c>"
    return f'<c t="inlineStr"><is><t>{escape(str(value))}</t></is></c>' if value else "<c/>"


def _workbook(path: Path, sheets: dict[str, list[list]]) -> Path:
    """A workbook as Excel writes it, with the parts a reader needs and no others."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"
    numbers = range(1, len(sheets) + 1)
    types = (
        f'<Types xmlns="{packages}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/></Types>'
    )
    root = (
        f'<Relationships xmlns="{packages}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    )
    entries = "".join(
        f'<sheet name="{name}" sheetId="{number}" r:id="rId{number}"/>'
        for number, name in zip(numbers, sheets, strict=True)
    )
    book = f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{entries}</sheets></workbook>'
    links = "".join(
        f'<Relationship Id="rId{number}" Type="{office}/worksheet" '
        f'Target="worksheets/sheet{number}.xml"/>'
        for number in numbers
    )
    links += f'<Relationship Id="rId99" Type="{office}/styles" Target="styles.xml"/>'
    styles = (
        f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="22"/></cellXfs></styleSheet>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", types)
        archive.writestr("_rels/.rels", root)
        archive.writestr("xl/workbook.xml", book)
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{packages}/relationships">{links}</Relationships>',
        )
        archive.writestr("xl/styles.xml", styles)
        for number, rows in zip(numbers, sheets.values(), strict=True):
            body = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
            archive.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
            )
    return path


@pytest.mark.parametrize("columns", [FIRST, SECOND], ids=["first", "second"])
@pytest.mark.parametrize("batch_rows", [1, 3, 1000])
def test_an_invoice_is_one_event(tmp_path: Path, columns: list[str], batch_rows: int) -> None:
    frame = _load(_csv(tmp_path / "a.csv", columns, ROWS), batch_rows)
    assert frame["reject_reason"].to_list() == REASONS
    good = frame.filter(pl.col("reject_reason").is_null())
    assert good.select(
        "event_id", "item_position", "event_type", "visitor_id", "item_id", "quantity", "price"
    ).rows() == [
        ("489434", 0, "purchase", "13085", "85048", 12.0, 6.95),
        ("489434", 1, "purchase", "13085", "79323P", 2.0, 6.75),
        ("C489449", 0, "refund", "16321", "22087", 12.0, 2.95),
        ("489434", 2, "purchase", "13085", "79323P", 1.0, 6.75),
    ]
    assert good["title"].to_list() == ["LIGHTS", None, "BUNTING", "£ HAT"]
    assert good["transaction_id"].equals(good["event_id"].alias("transaction_id"))
    assert set(good["currency"]) == {"GBP"}


@pytest.mark.parametrize("batch_rows", [1, 1000])
def test_an_invoice_has_one_moment(tmp_path: Path, batch_rows: int) -> None:
    """Eighty-three published invoices have rows a minute or more apart."""
    frame = _load(_csv(tmp_path / "a.csv", FIRST, ROWS), batch_rows)
    moments = frame.filter(pl.col("event_id") == "489434", pl.col("reject_reason").is_null())["ts"]
    assert set(moments) == {datetime(2009, 12, 1, 7, 45, tzinfo=UTC)}


def test_rejects_show_the_row_of_the_file(tmp_path: Path) -> None:
    frame = _load(_csv(tmp_path / "a.csv", SECOND, ROWS[3:4]))
    assert frame["raw"].to_list() == [
        '{"Invoice":"489435","StockCode":"22350","Description":"BOWL","Quantity":"3",'
        '"InvoiceDate":"2009-12-01 07:50:00","Price":"2.55","Customer ID":null,'
        '"Country":"United Kingdom"}'
    ]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("12/1/2010 8:26", datetime(2010, 12, 1, 8, 26, tzinfo=UTC)),
        ("13/12/2010 08:26", datetime(2010, 12, 13, 8, 26, tzinfo=UTC)),
        ("2010-12-01T08:26:00.000000", datetime(2010, 12, 1, 8, 26, tzinfo=UTC)),
    ],
)
def test_dates_as_the_circulating_files_write_them(
    tmp_path: Path, text: str, moment: datetime
) -> None:
    row = ("489434", "85048", "L", "1", text, "1", "13085.0", UK)
    frame = _load(_csv(tmp_path / "a.csv", FIRST, [row]))
    assert frame.select("ts", "visitor_id").rows() == [(moment, "13085")]


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_one_file_writes_its_dates_in_one_way(tmp_path: Path, batch_rows: int) -> None:
    """Row by row, the first of December and the twelfth of January could not be told apart."""

    def days(*texts: str) -> list[str | None]:
        rows = [("489434", "85048", "L", "1", f"{text} 8:26", "1", "13085", UK) for text in texts]
        frame = _load(
            _csv(tmp_path / "a.csv", FIRST, [(str(i), *r[1:]) for i, r in enumerate(rows)]),
            batch_rows,
        )
        return [None if moment is None else moment.strftime("%m-%d") for moment in frame["ts"]]

    assert days("1/12/2010", "2/12/2010") == ["01-12", "02-12"]
    assert days("1/12/2010", "13/12/2010", "2/12/2010") == ["12-01", "12-13", "12-02"]
    assert days("12/1/2010", "12/13/2010", "12/14/2010", "13/1/2010") == [
        "12-01",
        "12-13",
        "12-14",
        None,
    ]


def test_the_zone_of_the_shop_may_be_said(tmp_path: Path) -> None:
    row = ("489434", "85048", "L", "1", "2010-07-01 09:00:00", "1", "13085", UK)
    frame = _load(_csv(tmp_path / "a.csv", FIRST, [row]), time_zone="Europe/London")
    assert frame["ts"].to_list() == [datetime(2010, 7, 1, 8, tzinfo=UTC)]


def test_the_windows_code_page_is_read(tmp_path: Path) -> None:
    frame = _load(_csv(tmp_path / "a.csv", FIRST, [ROWS[-1], ROWS[0]], encoding="cp1252"))
    assert frame["title"].to_list() == ["£ HAT", "LIGHTS"]


def test_all_kinds_of_file_give_the_same_rows(tmp_path: Path) -> None:
    rows = [ROWS[0], ROWS[2], ROWS[4], ROWS[-1]]
    expected = _load(_csv(tmp_path / "a.csv", FIRST, rows))
    typed = pl.DataFrame(rows, schema=FIRST, orient="row").with_columns(
        pl.col("Quantity").cast(pl.Int64),
        pl.col("UnitPrice", "CustomerID").cast(pl.Float64),
        pl.col("InvoiceDate").str.to_datetime(time_unit="ns"),
    )
    typed.write_parquet(tmp_path / "a.parquet")
    assert _load(tmp_path / "a.parquet").equals(expected)
    cells = [
        [
            *(int(row[0]) if row[0].isdigit() else row[0], row[1], row[2], int(row[3])),
            datetime.fromisoformat(row[4]).replace(tzinfo=UTC),
            *(float(row[5]), float(row[6]), row[7]),
        ]
        for row in rows
    ]
    workbook = _workbook(tmp_path / "a.xlsx", {"Online Retail": [FIRST, *cells]})
    assert _load(workbook).equals(expected)


def test_sheets_that_overlap_are_not_counted_twice(tmp_path: Path) -> None:
    def row(invoice: str, code: int) -> list:
        return [invoice, code, "X", 1, datetime(2010, 12, 1, tzinfo=UTC), 1.5, 13085, UK]

    workbook = _workbook(
        tmp_path / "two.xlsx",
        {
            "Year 2009-2010": [SECOND, row("1", 11111), row("2", 22222), row("2", 33333)],
            "Year 2010-2011": [SECOND, row("2", 22222), row("2", 33333), row("3", 44444)],
        },
    )
    frame = _load(workbook)
    assert frame["reject_reason"].to_list() == [None] * 3 + ["sheet_overlap"] * 2 + [None]
    assert frame.filter(pl.col("reject_reason").is_null()).select("event_id", "item_id").rows() == [
        ("1", "11111"),
        ("2", "22222"),
        ("2", "33333"),
        ("3", "44444"),
    ]


@pytest.mark.parametrize(
    ("code", "is_product"),
    [
        *((code, True) for code in ("85048", "79323P", "15056BL", "DCGS0058", "DCGSSGIRL")),
        *((code, True) for code in ("SP1002", "PADS", "47503J ", "85123a")),
        *((code, False) for code in ("POST", "DOT", "M", "m", "D", "S", "B", "C2", "C3", "CRUK")),
        *((code, False) for code in ("BANK CHARGES", "AMAZONFEE", "TEST001", "ADJUST", "ADJUST2")),
        *((code, False) for code in ("gift_0001_20", "GIFT", "")),
    ],
)
def test_what_is_a_product(code: str, is_product: bool) -> None:
    assert pl.Series([code]).str.contains(PRODUCT_CODE).to_list() == [is_product]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.xlsx"])
def test_another_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError):
        _load(path)


@pytest.mark.shared
def test_the_published_invoices(shared_path: Path) -> None:
    path = shared_path / "data/online_retail_ii/transactions.parquet"
    frame = _load(path)
    assert frame.height == 1_044_847
    reasons = dict(frame.group_by("reject_reason").len().rows())
    assert reasons == {
        None: 805_848,
        "missing_customer": 235_287,
        "not_a_product": 3_651,
        "price_not_positive": 61,
    }
    good = frame.filter(pl.col("reject_reason").is_null())
    assert dict(good["event_type"].value_counts().rows()) == {
        "purchase": 788_206,
        "refund": 17_642,
    }
    per_event = good.group_by("event_id").agg(
        pl.col("ts").n_unique().alias("moments"),
        pl.col("visitor_id").n_unique().alias("visitors"),
        (pl.col("item_position").sort() == pl.int_range(pl.len())).all().alias("in_order"),
    )
    assert per_event.select(
        (pl.col("moments") == 1).all(), (pl.col("visitors") == 1).all(), pl.col("in_order").all()
    ).row(0) == (True, True, True)
    assert good.select((pl.col("quantity") > 0).all(), (pl.col("price") > 0).all()).row(0) == (
        True,
        True,
    )
    assert frame["raw"].null_count() == good.height
