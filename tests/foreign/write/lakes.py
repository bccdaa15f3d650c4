"""Writes tables of Delta Lake and Apache Iceberg, with rows deleted after they were written: `python lakes.py FOLDER`.

Needs deltalake and pyiceberg with sqlite.
"""

import sys
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog


def main(to: Path) -> None:
    """Writes both."""
    rows = pa.table({"id": pa.array([1, 2, 3]), "items": pa.array([[12, 7], [31], []], pa.list_(pa.int64()))})
    write_deltalake(str(to / "delta"), rows)
    DeltaTable(str(to / "delta")).delete("id = 2")
    (to / "iceberg").mkdir()
    catalog = SqlCatalog("here", uri="sqlite://", warehouse=f"file://{to / 'iceberg'}")
    catalog.create_namespace("shop")
    table = catalog.create_table("shop.rows", rows.schema)
    table.append(rows)
    table.delete("id = 2")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
