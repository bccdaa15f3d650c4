"""An object store for tests, as a file system of Beam: whole objects, no folders, renames that take their time and any order."""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata, FileSystem

from pipeline.dataset.stores import Conflict, Store, Version

SCHEME = "objects"


class Objects(FileSystem):
    """Objects in memory. What is written is there when it is closed; a rename is a copy and a deletion with a pause between.

    Attributes:
      held: path to contents and generation.
      pause: longest pause before anything is done, in seconds.
    """

    held: ClassVar[dict[str, tuple[bytes, int]]] = {}
    pause: ClassVar[float] = 0.0
    _rng: ClassVar[random.Random] = random.Random(0)
    _lock: ClassVar[threading.RLock] = threading.RLock()
    _generation: ClassVar[int] = 0

    @classmethod
    def scheme(cls) -> str:
        return SCHEME

    @classmethod
    def wait(cls) -> None:
        if cls.pause:
            time.sleep(cls._rng.random() * cls.pause)

    @classmethod
    def put(cls, path: str, data: bytes, seen: int | None = None) -> int:
        """Writes an object; only if it has the generation `seen` (0: if it is not there), where that is given."""
        cls.wait()
        with cls._lock:
            if seen is not None and cls.held.get(path, (b"", 0))[1] != seen:
                raise Conflict(path)
            cls._generation += 1
            cls.held[path] = (data, cls._generation)
            return cls._generation

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        raise OSError("object stores have no folders")

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        with self._lock:
            found = sorted(self.held.items())
        return (FileMetadata(path, len(data), 0.0) for path, (data, _) in found if path.startswith(dir_or_prefix))

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        return _Upload(path)

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        self.wait()
        with self._lock:
            if path not in self.held:
                raise FileNotFoundError(path)
            return io.BytesIO(self.held[path][0])

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            self.put(target, self.open(source).read())

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        pairs = list(zip(source_file_names, destination_file_names, strict=True))
        self._rng.shuffle(pairs)
        for source, target in pairs:
            self.copy([source], [target])
            self.wait()
            self.delete([source])

    def exists(self, path: str) -> bool:
        with self._lock:
            return path in self.held

    def size(self, path: str) -> int:
        return len(self.open(path).read())

    def last_updated(self, path: str) -> float:
        return 0.0

    def checksum(self, path: str) -> str:
        with self._lock:
            return str(self.held[path][1])

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path), 0.0)

    def delete(self, paths: list[str]) -> None:
        self.wait()
        with self._lock:
            for path in paths:
                # As those of Beam 2.77 do: a tree is what ends in a slash.
                gone = [name for name in self.held if name == path or (path.endswith("/") and name.startswith(path))]
                if not gone:
                    raise BeamIOError("Delete failed", {path: FileNotFoundError(path)})
                for name in gone:
                    del self.held[name]


class _Upload(io.BytesIO):
    """What is written becomes an object when it is closed."""

    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            Objects.put(self._path, self.getvalue())
        super().close()


class ObjectsStore(Store):
    """How they are replaced: on the condition of their generation, as Cloud Storage and S3 have it."""

    def read(self, path: str) -> tuple[bytes, Version]:
        Objects.wait()
        data, generation = Objects.held.get(path, (b"", 0))
        return data, str(generation) if generation else None

    def replace(self, path: str, data: bytes, seen: Version) -> Version:
        return str(Objects.put(path, data, int(seen or 0)))
