"""Writes files with Spark and, through it, Hive: `python spark.py FOLDER JARS`, JARS with spark-avro among them.

Needs pyspark and Java.
"""

import datetime as dt
import sys
from decimal import Decimal
from pathlib import Path

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import types as t

TYPES = t.StructType(
    [
        t.StructField("id", t.LongType()),
        t.StructField("flag", t.BooleanType()),
        t.StructField("i8", t.ByteType()),
        t.StructField("i16", t.ShortType()),
        t.StructField("i32", t.IntegerType()),
        t.StructField("f32", t.FloatType()),
        t.StructField("f64", t.DoubleType()),
        t.StructField("price", t.DecimalType(10, 2)),
        t.StructField("wide", t.DecimalType(38, 4)),
        t.StructField("day", t.DateType()),
        t.StructField("at", t.TimestampType()),
        t.StructField("local", t.TimestampNTZType()),
        t.StructField("name", t.StringType()),
        t.StructField("raw", t.BinaryType()),
        t.StructField("items", t.ArrayType(t.IntegerType())),
        t.StructField("nested", t.ArrayType(t.ArrayType(t.IntegerType()))),
        t.StructField(
            "events",
            t.ArrayType(t.StructType([t.StructField("item", t.StringType()), t.StructField("ms", t.LongType())])),
        ),
        t.StructField("home", t.StructType([t.StructField("city", t.StringType())])),
        t.StructField("tags", t.MapType(t.StringType(), t.IntegerType())),
    ]
)


def rows() -> list[Row]:
    """A row of usual values, one of extreme ones, one of nulls."""
    utc = dt.UTC
    usual = (1, True, -8, 16, 32, 1.5, 2.25, Decimal("12.34"), Decimal("5.0001"), dt.date(2024, 2, 29))
    usual += (
        dt.datetime(2024, 2, 29, 12, 30, 15, 250000, utc),
        dt.datetime(2024, 2, 29, 12, 30, 15),
        "ann",
        b"\x00\xff",
    )
    usual += ([12, 7], [[1, 2], [], [3]], [Row(item="a", ms=20), Row(item="b", ms=30)], Row(city="Oslo"), {"k": 1})
    extreme = (2**63 - 1, False, 127, -(2**15), 2**31 - 1, -0.5, 1e300, Decimal("-99999999.99"), Decimal(10**33))
    extreme += (dt.date(9999, 12, 31), dt.datetime(9999, 12, 31, tzinfo=utc), dt.datetime(1600, 1, 1))
    extreme += ('say "hi", ü\nthere', b"", [], [], [], Row(city=None), {})
    return [Row(*usual), Row(*extreme), Row(3, *[None] * (len(TYPES) - 1))]


def part(data: DataFrame, folder: Path, form: str, **options: str) -> None:
    """Writes one part, as Spark names it."""
    data.coalesce(1).write.format(form).options(**options).mode("overwrite").save(str(folder))


def parquet(spark: SparkSession, to: Path, data: DataFrame) -> None:
    """Parquet as Spark writes it by itself, as it once did, and with pages of version 2."""
    part(data, to / "types.parquet", "parquet")
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    spark.conf.set("spark.sql.parquet.writeLegacyFormat", "true")
    part(data, to / "legacy.parquet", "parquet", compression="gzip")
    spark.conf.set("spark.sql.parquet.writeLegacyFormat", "false")
    spark.sparkContext._jsc.hadoopConfiguration().set("parquet.writer.version", "v2")
    part(data, to / "v2.parquet", "parquet", compression="zstd")
    spark.sparkContext._jsc.hadoopConfiguration().set("parquet.writer.version", "v1")
    part(data, to / "lz4.parquet", "parquet", compression="lz4")


def folders(spark: SparkSession, to: Path) -> None:
    """A partitioned table: a day, a text with odd characters, a null."""
    made = [(1, [12, 7], "2024-01-31", "a b/ü"), (2, [31], "2024-02-01", None), (3, [], "2024-02-01", "x=y%")]
    data = spark.createDataFrame(made, "id long, items array<int>, day string, shop string")
    data.coalesce(1).write.partitionBy("day", "shop").mode("overwrite").parquet(str(to / "partitioned"))


def text(spark: SparkSession, to: Path, data: DataFrame) -> None:
    """JSON and CSV, as by default and as asked."""
    plain = data.drop("raw", "tags", "wide")
    part(plain, to / "json", "json")
    part(plain, to / "json.gzip", "json", compression="gzip", ignoreNullFields="false")
    part(plain.select("id", "items"), to / "json.bzip2", "json", compression="bzip2")
    part(plain.select("id", "items"), to / "json.deflate", "json", compression="deflate")
    part(plain.select("id", "items"), to / "json.snappy", "json", compression="snappy")
    part(plain.select("id", "items"), to / "json.lz4", "json", compression="lz4")
    flat = data.selectExpr("id", "flag", "price", "day", "at", "name", "concat_ws(';', items) as items")
    part(flat, to / "csv", "csv", header="true")
    part(flat, to / "csv.escape", "csv", header="true", escape='"', sep=";", nullValue="\\N", emptyValue="")
    part(flat, to / "csv.headless", "csv")


def others(to: Path, data: DataFrame) -> None:
    """Avro and ORC."""
    part(data, to / "types.avro", "avro")
    part(data, to / "deflate.avro", "avro", compression="deflate")
    part(data.select("id", "items"), to / "orc", "orc")


def hive(spark: SparkSession, to: Path) -> None:
    """Tables of Hive, each partitioned by a day and with a row whose day is null."""
    made = "id bigint, name string, items array<int>, price decimal(10,2), at timestamp"
    values = """
      select 1, 'ann', array(12, 7), 12.34, timestamp '2024-02-29 12:30:15.25', '2024-01-31' union all
      select 2, null, array(), null, null, null"""
    for form in ("PARQUET", "TEXTFILE", "SEQUENCEFILE", "RCFILE", "ORC", "AVRO"):
        name = form.lower()
        spark.sql(f"drop table if exists {name}")
        spark.sql(f"create table {name} ({made}) partitioned by (day string) stored as {form}")
        spark.sql(f"insert into {name} partition (day) select /*+ coalesce(1) */ * from ({values})")


def main(to: Path, jars: Path) -> None:
    """Writes everything."""
    given = ",".join(map(str, jars.glob("spark-avro*.jar")))
    made = SparkSession.builder.master("local[1]").config("spark.jars", given).config("spark.ui.enabled", "false")
    made = made.config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "1")
    made = made.config("spark.driver.extraJavaOptions", f"-Duser.timezone=UTC -Dderby.system.home={to / 'derby'}")
    made = made.config("spark.sql.warehouse.dir", str(to / "hive")).config(
        "spark.sql.hive.convertMetastoreParquet", "false"
    )
    made = made.config("spark.sql.hive.convertMetastoreOrc", "false")
    spark = made.config("hive.exec.dynamic.partition.mode", "nonstrict").enableHiveSupport().getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    data = spark.createDataFrame(rows(), TYPES)
    parquet(spark, to, data)
    folders(spark, to)
    text(spark, to, data)
    others(to, data)
    hive(spark, to)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
