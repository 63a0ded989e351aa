"""NIfTI files: a header, and voxels as they are, x fastest, then y, z and time."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import DamagedData, JobError
from ...geometry import Span
from ...volume import WHOLE
from ..images.plane import Header, Unfit, check_band, check_size, damage, voxel_type
from .contents import Contents, known_size
from .gzipped import GzipBytes
from .raw import Bytes, FileBytes, RawPlanes
from .settings import Source

GZIP_MAGIC = b"\x1f\x8b"
SIZES = {size.to_bytes(4, order): size for size in (348, 540) for order in ("little", "big")}
"""First bytes of NIfTI-1 and NIfTI-2, which are the length of the header."""
NAMES = {"mm": "mm", "micron": "um", "meter": "m"}


def is_nifti(start: bytes, name: str) -> bool:
    """By the first bytes of a file and, where these say only gzip, its name."""
    return start[:4] in SIZES or (start[:2] == GZIP_MAGIC and name.lower().endswith(".nii.gz"))


def contents_of(path: Path, settings: Source) -> Contents:
    """What the header says. Raises DamagedData, or Unfit for voxels that are no unsigned integers."""
    for key in ("series", "level"):
        if getattr(settings, key):
            raise Unfit(f"source.{key}={getattr(settings, key)}: {path.name} holds one volume.")
    with open(path, "rb") as file:
        packed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        header = _header(file, packed, path.name)
    with damage(path.name):
        x, y, z, t, bands = _shape(header, path.name)
        _check_scaling(header, path.name)
        dtype = header.get_data_dtype()
        start = int(header.get_data_offset())
        size, unit = _voxel_size(header)
        metadata = {key: _plain(header[key]) for key in header}
    samples = len(dtype.names or (0,))
    value = dtype[0] if dtype.names else dtype
    plain = Header(x, y, voxel_type(path.name, value.kind, 8 * value.itemsize), WHOLE if packed else 1)
    check_size(path.name, plain)
    chosen = check_band(path.name, bands * samples, settings.band)
    plane = x * y * dtype.itemsize
    volume = Span(start + chosen // samples * t * z * plane, start + bands * t * z * plane)
    data: Bytes = GzipBytes(path, volume.stop) if packed else FileBytes(path)
    return Contents(
        name=path.name,
        header=plain,
        places=(volume.start + plane * np.arange(t * z, dtype=np.int64)).reshape(t, z),
        planes=RawPlanes(data, plain, value, samples, chosen % samples),
        voxel_size=size,
        voxel_unit=unit,
        metadata={"file": path.name, "format": "NIfTI", "header": metadata},
    )


def _header(file: IO[bytes], packed: bool, name: str) -> Any:
    """As nibabel reads it."""
    try:
        from nibabel.nifti1 import Nifti1Header
        from nibabel.nifti2 import Nifti2Header
    except ImportError:
        raise JobError(f"{name} is a NIfTI file, which needs nibabel: pip install 'ndex[nifti]'.") from None
    try:
        start = gzip.GzipFile(fileobj=file).read(540) if packed else file.read(540)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedData(f"{name} is damaged: {error}.") from error
    if start[:4] not in SIZES:
        raise Unfit(f"{name} is not a NIfTI file inside. Unpack it, and see what it is.")
    kind: Any = Nifti1Header if SIZES[start[:4]] == 348 else Nifti2Header
    with damage(name):
        header = kind.from_fileobj(io.BytesIO(start))
    if not bytes(header["magic"]).startswith(b"n+"):
        raise Unfit(f"{name} is only the header of a pair of files. Save both as one .nii file.")
    return header


def _shape(header: Any, name: str) -> tuple[int, int, int, int, int]:
    """Along x, y, z, t, and the values of a voxel."""
    shape = [int(n) for n in header.get_data_shape()]
    shape += [1] * (5 - len(shape))
    if np.prod(shape[5:]) > 1 or min(shape) < 1:
        raise Unfit(f"{name} has the shape {tuple(shape)}. Only x, y, z, time and one axis of bands can be used.")
    x, y, z, t, bands = shape[:5]
    return x, y, z, t, bands


def _check_scaling(header: Any, name: str) -> None:
    """Raises Unfit for voxels that mean something else than their integers."""
    slope, inter = header.get_slope_inter()
    if slope is not None and (slope, inter) != (1, 0):
        raise Unfit(
            f"{name} has voxels that are to be scaled (scl_slope={slope:g}, scl_inter={inter:g}). Save it as unsigned "
            "integers without scaling first."
        )


def _voxel_size(header: Any) -> tuple[tuple[float, float, float] | None, str | None]:
    x, y, z = ([float(size) for size in header.get_zooms()] + [1.0, 1.0])[:3]
    return known_size((x, y, z), NAMES.get(header.get_xyzt_units()[0], ""))


def _plain(value: Any) -> object:
    """A field of the header as JSON can hold it."""
    plain = value.tolist()
    return plain.decode("latin-1").rstrip("\0") if isinstance(plain, bytes) else plain
