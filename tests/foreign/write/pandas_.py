"""Writes files with pandas: `python pandas_.py FOLDER`. Needs pandas, pyarrow, fastparquet, openpyxl."""

import datetime as dt
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd


def types() -> pd.DataFrame:
    """Returns what a frame holds after some work: an index, nullable types, categories, times, lists as objects."""
    when = pd.Timestamp("2024-02-29 12:30:15.250000001")
    return pd.DataFrame(
        {
            "id": [1, 2],
            "flag": pd.array([True, None], "boolean"),
            "u8": pd.array([200, None], "UInt8"),
            "f16": np.array([1.5, np.nan], "float16"),
            "f64": [2.25, np.nan],
            "gone": [1.0, np.nan],
            "price": [Decimal("12.34"), None],
            "day": [dt.date(2024, 2, 29), None],
            "at": pd.array([when, pd.NaT]),
            "zoned": pd.array([when, pd.NaT]).tz_localize("Europe/Paris"),
            "span": pd.array([pd.Timedelta(seconds=90), pd.NaT]),
            "name": ['say "hi"; ü', None],
            "kind": pd.Categorical(["red", None], ["blue", "red"]),
            "number": pd.Categorical([7, 5]),
            "items": [[12, 7], []],
            "array": [np.array([1.5, 2.5]), np.array([])],
            "events": [[{"item": "a", "ms": 20}], []],
        },
        index=pd.Index(["x", "y"], name="key"),
    )


def main(to: Path) -> None:
    """Writes everything."""
    data = types()
    data.to_parquet(to / "arrow.parquet")
    simple = data.drop(columns=["array", "f16", "price", "day", "items", "events", "span"])
    simple.to_parquet(to / "fast.parquet", engine="fastparquet")
    simple.to_parquet(to / "fast96.parquet", engine="fastparquet", times="int96", compression="gzip", index=False)
    data[["id", "items", "events"]].to_parquet(
        to / "fastjson.parquet", engine="fastparquet", object_encoding="json", index=False
    )
    parts = data[["id", "number", "kind", "name"]].assign(kind=["a b/ü", "x=y%"])
    parts.to_parquet(to / "partitioned", partition_cols=["kind"], index=False)

    few = data[["id", "flag", "f64", "price", "day", "at", "zoned", "name", "items", "array", "events"]]
    few.to_csv(to / "plain.csv")
    few.drop(columns=["events"]).to_csv(
        to / "excel.csv", sep=";", encoding="utf-8-sig", lineterminator="\r\n", index=False
    )
    few[["id", "f64"]].to_csv(to / "comma.csv", sep=";", decimal=",", index=False)
    few[["id", "name", "f64"]].to_csv(to / "marked.csv", na_rep="\\N", quoting=1, index=False)
    few[["id", "name"]].to_csv(to / "unicode.csv", encoding="utf-16", sep="\t", index=False)
    few[["id", "name"]].to_csv(to / "latin.csv", encoding="latin-1", index=False)
    few[["id", "items"]].to_csv(to / "table.tsv.xz", sep="\t", index=False)
    few[["id", "items"]].to_csv(to / "table.csv.zip", index=False)

    texts = few.drop(columns=["price"])
    texts.to_json(to / "lines.jsonl", orient="records", lines=True, date_format="iso", date_unit="us")
    texts.to_json(to / "epoch.json.gz", orient="records", lines=True, date_format="epoch", date_unit="ms")
    texts[["id", "items"]].to_json(to / "records.json", orient="records")
    texts[["id", "items"]].to_json(to / "indented.json", orient="records", indent=2)
    texts[["id", "items"]].to_json(to / "split.json", orient="split")
    texts[["id", "items"]].to_json(to / "columns.json")

    data[["id", "name"]].to_feather(to / "frame.feather")
    data[["id", "items"]].reset_index(drop=True).to_orc(to / "frame.orc")
    data[["id", "name"]].to_pickle(to / "frame.pkl")
    data[["id", "name"]].to_excel(to / "book.xlsx")
    data[["id", "name"]].to_html(to / "frame.html")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
