"""A bucket of S3, or a folder in it, through boto3.

What boto3 would try again by itself is switched off: there is one policy, that of the job.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from boto3.s3.transfer import S3Transfer, TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.loaders import create_loader
from botocore.session import Session

from ..errors import DamagedData, JobError, Missing
from .access import Access
from .draft import LocalDraft
from .faults import translated
from .local import Folder
from .place import Page
from .ranges import Part, RangedFile
from .s3_faults import Absent, S3Faults

CONNECT_TIMEOUT = 10
"""Seconds."""
READ_TIMEOUT = 60
"""Seconds without a byte."""
CONNECTIONS = 64
"""Kept open at most, for as many threads."""
PAGE = 1000
"""Names that S3 gives at once, at most."""
STAMP = "ndex-stamp"
"""Name of the stamp in the metadata of an object."""
CHUNK = 16 << 20
"""Bytes that are sent at once; larger files go in parts."""
ADDRESS = re.compile(r"s3://(?P<bucket>[^/]+)/*(?P<prefix>.*?)/*", re.IGNORECASE)
MEDIA = {".tif": "image/tiff", ".tiff": "image/tiff", ".png": "image/png"}


class Connection:
    """boto3's client, which threads may share, made when it is first needed."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def client(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._made()
            return self._client

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _made(self) -> Any:
        access = self.access
        options: dict[str, Any] = {"signature_version": UNSIGNED} if access.anonymous else {}
        if access.endpoint_url:
            # Checksums in trailers are news to many stores that speak S3.
            options |= {
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            }
        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": 1},
            user_agent_extra="ndex",
            **options,
        )
        session = Session(profile=access.profile)
        session.register_component("data_loader", _loader())
        return session.create_client("s3", region_name=access.region, endpoint_url=access.endpoint_url, config=config)


@cache
def _loader() -> Any:
    """Keeps the description of S3, which takes 0.2 s to read, for the next client of this process."""
    return create_loader()


class Bucket:
    """The objects whose keys begin with a prefix, as files in a folder."""

    def __init__(self, bucket: str, prefix: str, key: str, connection: Connection) -> None:
        """`prefix` has no slash at its ends; `key` is the setting it comes from."""
        self.key = key
        self._bucket, self._prefix, self._connection = bucket, prefix, connection
        self._faults = S3Faults(key, bucket, connection.access)

    @classmethod
    def named(cls, text: str, key: str, access: Access) -> Bucket:
        """The place of an address. Raises JobError when it names no bucket."""
        match = ADDRESS.fullmatch(text)
        if match is None:
            raise JobError(f"{key}={text}: the name of a bucket must follow, as in s3://bucket/prefix.")
        return cls(match["bucket"], match["prefix"], key, Connection(access))

    @property
    def is_remote(self) -> bool:
        return True

    def __str__(self) -> str:
        return self.where("")

    def where(self, name: str) -> str:
        return "s3://" + "/".join(filter(None, [self._bucket, self._prefix, name]))

    def resolved(self) -> str:
        endpoint = self._connection.access.endpoint_url
        return str(self) + (f" at {endpoint.rstrip('/')}" if endpoint else "")

    def below(self, folder: str) -> Bucket:
        prefix = "/".join(filter(None, [self._prefix, folder.strip("/")]))
        return Bucket(self._bucket, prefix, self.key, self._connection)

    def exists(self) -> bool:
        return bool(self._list(MaxKeys=1).get("KeyCount"))

    def page(self, after: str | None = None, deep: bool = False) -> Page:
        """Up to PAGE names. Raises Missing when there is no such bucket, or nothing under the prefix."""
        options = {} if deep else {"Delimiter": "/"}
        answer = self._list(MaxKeys=PAGE, **options, **({"ContinuationToken": after} if after else {}))
        if not after and not answer.get("KeyCount"):
            raise Missing(f"{self.key}={self}: there is nothing of that name in the bucket {self._bucket}.")
        start = len(self._object(""))
        found = (item["Key"][start:] for item in answer.get("Contents", ()))
        visible = [name for name in found if not any(part[:1] in ("", ".") for part in name.split("/"))]
        return Page(visible, answer.get("NextContinuationToken") if answer.get("IsTruncated") else None)

    def holds(self, name: str) -> bool:
        return self._head(name) is not None

    def stamp_of(self, name: str) -> str | None:
        head = self._head(name)
        stamp: str | None = (head or {}).get("Metadata", {}).get(STAMP)
        return stamp

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read in ranges, of which the first is the only one for a header."""
        with closing(BufferedReader(RangedFile(partial(self._get, name)))) as file:
            yield file

    def fetch(self, name: str, limit: int) -> bytes:
        with self._faults.translated(self.where(name)):
            answer = self._connection.client.get_object(Bucket=self._bucket, Key=self._object(name))
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > limit:
                    raise DamagedData(f"{self.where(name)} has {answer['ContentLength']:,} bytes, which cannot be.")
                data: bytes = body.read()
        return data

    def check_writable(self) -> None:
        """Raises JobError when there is no such bucket, or it may not be seen; writing can only be tried."""
        self._list(MaxKeys=1)

    def room(self) -> None:
        """There is no end to it."""

    def create(self) -> None:
        """A prefix exists once there is something under it."""

    def draft(self, name: str, stamp: str) -> S3Draft:
        """A file in the folder for temporary files, until it is complete."""
        return S3Draft(self, name, stamp)

    def upload(self, path: Path, name: str, stamp: str) -> None:
        """Make a local file an object, in place of one that had its name; nobody ever sees a part of it."""
        media = MEDIA.get(Path(name).suffix.lower(), "application/octet-stream")
        with self._faults.translated(self.where(name)):
            config = TransferConfig(multipart_threshold=CHUNK, multipart_chunksize=CHUNK, max_concurrency=4)
            with S3Transfer(self._connection.client, config) as transfer:
                transfer.upload_file(
                    str(path),
                    self._bucket,
                    self._object(name),
                    extra_args={"Metadata": {STAMP: stamp}, "ContentType": media},
                )

    def sync(self) -> None:
        """An object is durable once it is there."""

    def sweep(self, stamp: str) -> int:
        return _temporary().sweep(stamp)

    def close(self) -> None:
        self._connection.close()

    def _object(self, name: str) -> str:
        """Key of a file in the bucket."""
        return f"{self._prefix}/{name}" if self._prefix else name

    def _list(self, **options: Any) -> dict[str, Any]:
        with self._faults.translated(f"{self.key}={self}"):
            answer: dict[str, Any] = self._connection.client.list_objects_v2(
                Bucket=self._bucket, Prefix=self._object(""), **options
            )
        return answer

    def _head(self, name: str) -> dict[str, Any] | None:
        """What S3 says of an object; None when there is none."""
        try:
            with self._faults.translated(self.where(name)):
                answer: dict[str, Any] = self._connection.client.head_object(
                    Bucket=self._bucket, Key=self._object(name)
                )
        except Absent:
            return None
        return answer

    def _get(self, name: str, start: int, size: int | None, tag: str | None) -> Part:
        """A range of an object, to its end where `size` is None; `tag` is that of the version it must be."""
        options = {"Range": f"bytes={start}-{'' if size is None else start + size - 1}"}
        options |= {"IfMatch": tag} if tag else {}
        with self._faults.translated(self.where(name)):
            answer = self._connection.client.get_object(Bucket=self._bucket, Key=self._object(name), **options)
            with closing(answer["Body"]) as body:
                data: bytes = body.read()
        if "ContentRange" not in answer:
            return Part(data, 0, len(data), answer.get("ETag"))
        return Part(data, start, int(answer["ContentRange"].rpartition("/")[2]), answer.get("ETag"))


class S3Draft:
    """A file while it is written: it waits among the temporary files of this machine until it is complete."""

    def __init__(self, bucket: Bucket, name: str, stamp: str) -> None:
        self.final = bucket.where(name)
        self._bucket, self._name, self._stamp = bucket, name, stamp
        self._local: LocalDraft = _temporary().draft(Path(name).name, stamp)
        self.file = self._local.file

    def complete(self) -> None:
        with translated(self.final):
            self.file.close()

    def publish(self) -> None:
        self._bucket.upload(self._local.path, self._name, self._stamp)

    def discard(self) -> None:
        self._local.discard()


def _temporary() -> Folder:
    return Folder(Path(tempfile.gettempdir()), "TMPDIR")
