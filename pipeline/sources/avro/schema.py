"""Avro schemas as Arrow types, and as reader schemas for fastavro.

| Avro | Arrow |
|---|---|
| boolean, int, long, float, double | bool, int32, int64, float32, float64 |
| string, enum | large_string |
| bytes, fixed | large_binary |
| array | large_list |
| map, record | map (no column takes it), struct |
| union of null and one type | that type, with nulls |
| decimal | decimal128 or decimal256; with more digits than that (BigQuery's BIGNUMERIC) what each row needs, `VARYING` here |
| date, time-millis, time-micros | date32, time32, time64 |
| timestamp-millis, -micros, -nanos | timestamp of that unit in UTC; local-timestamp-...: without a time zone |
| uuid | the text as it is; of 16 fixed bytes Arrow's uuid |
| other logical types | those of the values underneath |
| union of several types | what each row holds, times and UUIDs as above; `VARYING` here |
| a type that holds itself; in a record's field or a map several types | `UNREADABLE`: Python's text (no column takes it) |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from transforms.rows.marks import UNREADABLE

VARYING: Final = pa.null()

_PRIMITIVE: Final[dict[str, pa.DataType]] = {
    "null": VARYING,
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.large_binary(),
    "string": pa.large_string(),
}
_TIMES: Final[dict[tuple[str, str], pa.DataType]] = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    **{
        ("long", f"{local}timestamp-{name}"): pa.timestamp(unit, zone)
        for local, zone in (("", "UTC"), ("local-", None))
        for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
    },
}
"""Type and logical type to the type of Arrow. fastavro decodes the numbers, and is not told of times (see `_bare`)."""

_TIME: Final = "seqcols.time"
_UUID: Final = "seqcols.uuid"
_RECORDS: Final = ("record", "error")
_MARKS: Final = {f"seqcols: {name}": kind for (_, name), kind in _TIMES.items()} | {"seqcols: uuid": pa.uuid()}
"""Field of a mark to the type that it stands for; no field of Avro can have such a name."""

_DECIMAL: Final = ("logicalType", "precision")
_MOST_DIGITS: Final = 76


def parse(schema: Any, text: str = "string") -> tuple[Any, dict[str, pa.DataType]]:
    """Returns a schema ready for fastavro, and the fields of its records with their Arrow types.

    Args:
      schema: as JSON has it.
      text: what strings are read as. As `"bytes"`, which are the same on the disk, text that is not UTF-8 does not
        fail the decoder.

    Raises:
      ValueError: it is no schema, or not one of records.
    """
    import fastavro
    from fastavro.schema import SchemaParseException

    try:
        parsed: Any = fastavro.parse_schema(_bare(schema, text))
        if not isinstance(parsed, dict) or parsed["type"] not in _RECORDS:
            raise ValueError("expected a record for every row")
        named = {parsed["name"]: parsed}
        fields = [(field["name"], _type(field["type"], named, (parsed["name"],))) for field in parsed["fields"]]
        for field, (_, kind) in zip(parsed["fields"], fields, strict=True):
            field["type"] = _marked(field["type"], named) if kind == VARYING else field["type"]
    except (SchemaParseException, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    for name, times in Counter(name for name, _ in fields).items():
        if times > 1:
            raise ValueError(f"{times} fields are named {name!r}")
    return parsed, dict(fields)


def decoder(schema: Any) -> Any:
    """Returns fastavro's function that decodes a record of a schema that it has parsed.

    Where a type that holds itself does so some thousand times over, the compiled one of fastavro 1.13 runs out of the stack, and
    the process ends. The one in Python raises a RecursionError, at some 240 levels.
    """
    from fastavro import _read_py, schemaless_reader

    return _read_py.schemaless_reader if _holds_itself(schema) else schemaless_reader


def _holds_itself(schema: Any, within: tuple[str, ...] = ()) -> bool:
    """Tells whether a schema that fastavro has parsed has a type that is a part of itself, in one of its records or anywhere."""
    if isinstance(schema, list):
        return any(_holds_itself(branch, within) for branch in schema)
    if isinstance(schema, str):
        return schema in within
    own = (*within, schema["name"]) if "name" in schema else within
    parts = [field["type"] for field in schema.get("fields", ())]
    return any(_holds_itself(part, own) for part in (*parts, schema.get("items", []), schema.get("values", [])))


def _bare(schema: Any, text: str) -> Any:
    """Returns a schema without what reading does not need.

    Defaults go, because fastavro refuses a file for a bad one; logical types, because it makes Python's dates of them,
    which have fewer years; but not decimals, whose bytes would pass for text.
    """
    if isinstance(schema, list):
        return [_bare(branch, text) for branch in schema]
    if not isinstance(schema, dict):
        return text if schema == "string" else schema
    kind = schema["type"]
    if not isinstance(kind, str):
        return _bare(kind, text)
    own = {key: schema[key] for key in ("name", "namespace", "symbols", "size") if key in schema}
    if kind in _RECORDS:
        fields = [{"name": field["name"], "type": _bare(field["type"], text)} for field in schema["fields"]]
        return {**own, "type": kind, "fields": fields}
    if kind in ("array", "map"):
        inner = "items" if kind == "array" else "values"
        return {"type": kind, inner: _bare(schema[inner], text)}
    if (kind, schema.get("logicalType")) in _TIMES:
        return {"type": kind, _TIME: schema["logicalType"]}
    if kind == "fixed" and schema.get("logicalType") == "uuid" and schema.get("size") == 16:
        own[_UUID] = True
    if kind in ("bytes", "fixed") and _digits(schema):
        return {**own, "type": kind, **{key: schema[key] for key in (*_DECIMAL, "scale") if key in schema}}
    return {**own, "type": kind} if kind in ("enum", "fixed") else _bare(kind, text)


def _digits(schema: Mapping[str, Any]) -> int:
    """Returns the precision of a decimal; 0 where it is none (Avro ignores a logical type that is not valid)."""
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if schema.get("logicalType") != "decimal" or type(precision) is not int or type(scale) is not int:
        return 0
    return precision if 0 <= scale <= precision else 0


def _type(schema: Any, named: dict[str, Any], within: tuple[str, ...]) -> pa.DataType:
    """Returns the Arrow type of a schema that fastavro has parsed.

    Args:
      schema: the schema.
      named: definitions so far, by name; those of this schema are added.
      within: names of the records that it is a part of.
    """
    if isinstance(schema, list):
        kinds = {_type(branch, named, within) for branch in schema if branch != "null"}
        return kinds.pop() if len(kinds) == 1 else VARYING
    if isinstance(schema, str):
        if schema in _PRIMITIVE:
            return _PRIMITIVE[schema]
        return UNREADABLE if schema in within else _type(named[schema], named, within)
    if "name" in schema:
        named[schema["name"]] = schema
    kind = schema["type"]
    if kind in _RECORDS:
        within = (*within, schema["name"])
        fields = [(field["name"], _type(field["type"], named, within)) for field in schema["fields"]]
        return pa.struct([(name, inner if _is_settled(inner) else UNREADABLE) for name, inner in fields])
    if kind == "array":
        items = _type(schema["items"], named, within)
        return pa.large_list(items) if _is_settled(items) else items
    if kind == "map":
        values = _type(schema["values"], named, within)
        return UNREADABLE if is_unsettled_inside(values) else pa.map_(pa.large_string(), values)
    if _TIME in schema:
        return _TIMES[kind, schema[_TIME]]
    if _digits(schema):
        return _decimal(_digits(schema), schema.get("scale", 0))
    if schema.get(_UUID):
        return pa.uuid()
    return pa.large_string() if kind == "enum" else pa.large_binary()


def _marked(schema: Any, named: Mapping[str, Any]) -> Any:
    """Returns a union of several types that says of its times and UUIDs what they are: they become records of one field.

    The values alone do not say it; and a record is on the disk what its fields are.
    """
    if isinstance(schema, list):
        return [_marked(branch, named) for branch in schema]
    meant = named.get(schema, {}) if isinstance(schema, str) else schema
    if meant.get("type") == "array":
        return {**schema, "items": _marked(schema["items"], named)}
    name = meant.get(_TIME) or ("uuid" if meant.get(_UUID) else "")
    if not name:
        return schema
    return {"type": "record", "name": f"seqcols.{name}", "fields": [{"name": f"seqcols: {name}", "type": schema}]}


def marked_as(kind: pa.DataType) -> pa.DataType | None:
    """Returns the type of the times or UUIDs that a type of marks, as they are decoded, stands for; None for another type."""
    return _MARKS.get(kind.field(0).name) if pa.types.is_struct(kind) and kind.num_fields == 1 else None


def unmarked(value: Any) -> Any:
    """Returns a decoded value without its marks."""
    if isinstance(value, list):
        return [unmarked(item) for item in value]
    mark = isinstance(value, dict) and next(iter(value), None) in _MARKS
    return next(iter(value.values())) if mark else value


def decoded(kind: pa.DataType) -> pa.DataType:
    """Returns a type of this module as its values are decoded: with binary in place of strings and UUIDs, integers of times."""
    return _with(kind, {pa.large_string(): pa.large_binary(), pa.uuid(): pa.binary(16)}, times=True)


def without_uuids(kind: pa.DataType) -> pa.DataType:
    """Returns a type of this module with binaries in place of UUIDs: no view of an array turns one into the other."""
    return _with(kind, {pa.uuid(): pa.binary(16)}, times=False)


def _with(kind: pa.DataType, others: Mapping[pa.DataType, pa.DataType], times: bool) -> pa.DataType:
    if kind in others:
        return others[kind]
    if times and pa.types.is_temporal(kind):
        return pa.int32() if kind.bit_width == 32 else pa.int64()
    if pa.types.is_large_list(kind):
        return pa.large_list(_with(kind.value_type, others, times))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, _with(kind.item_type, others, times))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_with(field.type, others, times)) for field in kind])
    return kind


def is_unsettled_inside(kind: pa.DataType) -> bool:
    """Tells whether a type is, or has somewhere in it, what is unreadable or of several types."""
    return not _is_settled(kind) or any(is_unsettled_inside(kind.field(k).type) for k in range(kind.num_fields))


def _is_settled(kind: pa.DataType) -> bool:
    return kind not in (VARYING, UNREADABLE)


def _decimal(precision: int, scale: int) -> pa.DataType:
    if precision > _MOST_DIGITS:
        return VARYING
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
