"""The rules by which TensorFlow Serving makes tensors of JSON and JSON of tensors, and a server that answers by them.

Written after its documentation (https://www.tensorflow.org/tfx/serving/api_rest) and what its `util/json_tensor.cc` of 2026 does.
The server itself is in no package index: here the rules are what is tested. Left out: classify, regress, and batching.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2


class RestError(ValueError):
    """A request that the server refuses, with code 400."""


class Model:
    """A saved model behind the rules.

    Args:
      folder: of the SavedModel.
    """

    def __init__(self, folder: str):
        self._loaded = tf.saved_model.load(folder)
        saved = saved_model_pb2.SavedModel()
        with open(f"{folder}/saved_model.pb", "rb") as file:
            saved.ParseFromString(file.read())
        self.signatures = saved.meta_graphs[0].signature_def

    def predict(self, body: bytes | str) -> str:
        """Returns the answer to the body of a request; a RestError for one that the server refuses."""
        try:
            request = json.loads(body)
        except ValueError as error:
            raise RestError(f"JSON Parse error: {error}") from None
        if not isinstance(request, dict):
            raise RestError("is not object")
        name = request.get("signature_name", "serving_default")
        if name not in self.signatures:
            raise RestError(f"Serving signature name: {name!r} not found in signature def")
        tensors, by_row = inputs_of(request, self.signatures[name].inputs)
        try:
            made = self._loaded.signatures[name](**tensors)
        except tf.errors.OpError as error:
            raise RestError(str(error)) from None
        except (TypeError, ValueError) as error:  # what a session finds of shapes, Python finds before
            raise RestError(str(error)) from None
        return answer({key: tensor.numpy() for key, tensor in made.items()}, by_row)


def inputs_of(request: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[dict[str, tf.Tensor], bool]:
    """Returns the tensors of a request, and whether it is one of rows.

    Args:
      request: the JSON.
      wanted: the inputs of the signature, `TensorInfo` by name.
    """
    if ("instances" in request) == ("inputs" in request):
        raise RestError("expecting one of 'inputs' or 'instances' keys")
    if "instances" in request:
        return _of_rows(request["instances"], wanted), True
    given = request["inputs"]
    if not isinstance(given, dict) or _is_base64(given):
        if len(wanted) > 1:
            raise RestError("inputs is a plain value/list, but expecting an object")
        given = {next(iter(wanted)): given}
    for name in wanted:
        if name not in given:
            raise RestError(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(*_filled(given[name], info.dtype), info.dtype) for name, info in wanted.items()}, False


def _of_rows(rows: Any, wanted: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    if not isinstance(rows, list) or not rows:
        raise RestError("Expecting 'instances' to be a list with values")
    named = isinstance(rows[0], dict) and not _is_base64(rows[0])
    if not named and len(wanted) > 1:
        raise RestError("instances is a plain list, but expecting list of objects")
    found: dict[str, list[tuple[list[int], list[Any]]]] = {name: [] for name in wanted}
    for number, row in enumerate(rows):
        if named != (isinstance(row, dict) and not _is_base64(row)):
            raise RestError(f"Expecting {'object' if named else 'value/list'} at item {number}")
        for name, value in (row if named else {next(iter(wanted)): row}).items():
            if name not in wanted:
                raise RestError(f"JSON object: does not have named input: {name}")
            shape, values = _filled(value, wanted[name].dtype)
            if found[name] and found[name][0][0] != shape:
                raise RestError(f"element {number} key {name}: Expecting shape {found[name][0][0]} but got: {shape}")
            found[name].append((shape, values))
        if named and row.keys() != wanted.keys():
            raise RestError(f"element {number}: keys must be equal to: {','.join(sorted(wanted))}")
    made = {}
    for name, own in found.items():
        values = [value for _, row in own for value in row]
        made[name] = _tensor([len(rows), *own[0][0]], values, wanted[name].dtype)
    return made


def _filled(value: Any, dtype: int) -> tuple[list[int], list[Any]]:
    """Returns the shape of a JSON value, which its first elements decide, and its values in one line."""
    shape, first, values = [], value, []
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]

    def fill(given: Any, level: int) -> None:
        if not isinstance(given, list):
            if level != len(shape):
                raise RestError(f"JSON Value: {given!r} found at incorrect level: {level + 1}, expected {len(shape)}")
            values.append(_leaf(given, dtype))
            return
        if level >= len(shape):
            raise RestError(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(given) != shape[level]:
            raise RestError(f"Encountered list at unexpected size: {len(given)} at level: {level}")
        for one in given:
            fill(one, level + 1)

    fill(value, 0)
    return shape, values


def _leaf(value: Any, dtype: int) -> Any:
    """Returns a value of a tensor: booleans and null are no numbers, and `2.0` is no integer."""
    kind = tf.as_dtype(dtype)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == tf.string and isinstance(value, dict):
        return _decoded(value)
    if kind == tf.string and isinstance(value, str):
        return value.encode()
    if kind.is_floating and number:
        return value  # as near as the type has it: infinity, beyond its largest number
    if kind == tf.int64 and isinstance(value, int) and number and -(2**63) <= value < 2**63:
        return value
    if kind == tf.bool and isinstance(value, bool):
        return value
    raise RestError(f"JSON Value: {value!r} is not of expected type: {kind.name}")


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _decoded(value: dict[str, Any]) -> bytes:
    if not _is_base64(value):
        raise RestError(f"JSON Value: {value} not formatted correctly for base64 data")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except binascii.Error:
        raise RestError("Unable to base64 decode") from None


def _tensor(shape: list[int], values: list[Any], dtype: int) -> tf.Tensor:
    kind = tf.as_dtype(dtype)
    with np.errstate(over="ignore"):
        array = np.array(values, object if kind == tf.string else kind.as_numpy_dtype)
    return tf.reshape(tf.constant(array, kind), shape)


def answer(made: Mapping[str, np.ndarray], by_row: bool) -> str:
    """Returns the outputs as JSON: an object a row, or a list an output; one output has no name."""
    lists = {name: _json(array, name.endswith("_bytes")) for name, array in made.items()}
    if not by_row:
        return json.dumps({"outputs": lists if len(lists) > 1 else next(iter(lists.values()))})
    if len({len(array) for array in made.values()}) != 1:
        raise RestError("inconsistent batch size")
    rows = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    return json.dumps({"predictions": rows if len(lists) > 1 else [next(iter(row.values())) for row in rows]})


def _json(array: np.ndarray, as_bytes: bool) -> Any:
    if array.ndim:
        return [_json(array[k, ...], as_bytes) for k in range(len(array))]
    if array.dtype == object:
        value = array.item()
        return {"b64": base64.b64encode(value).decode()} if as_bytes else value.decode()
    if array.dtype.kind != "f" or not np.isfinite(array):
        return array.item()
    text = f"{array:.6g}"  # as few digits as will do, and the type's most where six are too few
    return float(text if array.dtype.type(text) == array else f"{array:.{9 if array.dtype.itemsize == 4 else 17}g}")


@contextmanager
def serving(**models: Model) -> Iterator[str]:
    """Serves models by name on this machine while the block runs; yields the address, up to `/v1/models`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found = re.fullmatch(r"/v1/models/([^/:]+)(/versions/\d+)?:predict", self.path)
            try:
                if not found or found[1] not in models:
                    raise RestError(f"Malformed request: POST {self.path}")
                self._reply(200, models[found[1]].predict(body))
            except RestError as error:
                self._reply(400, json.dumps({"error": str(error)}))

        def _reply(self, code: int, text: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/models"
        finally:
            server.shutdown()
            thread.join()
