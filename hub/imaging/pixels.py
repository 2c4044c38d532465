"""One frame of a DICOM file → a JPEG that a doctor can look at in a list: modality LUT, window, colour, size.

Presentation pipeline: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_N.2.html

Runs in the limited child process of `hub.imaging.worker` only: decoders are C code fed with a stranger's bytes.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

MAX_BYTES = 200_000
MAX_PIXELS = 64_000_000

Window = tuple[float, float]


class CannotRender(Exception):
    """Why there is no picture. No patient data."""


def jpeg_of_frame(content: bytes, *, frame: int, width: int, window: Window | None) -> bytes:
    """A JPEG of at most 200 kB and `width` pixels across. Raise CannotRender with the reason."""
    dataset = dcmread(BytesIO(content), force=True)
    pixels = _frame(dataset, frame)
    image = Image.fromarray(_colour(dataset, pixels) if _in_colour(dataset, pixels) else _grey(dataset, pixels, window))
    return _small(image, width)


def _frame(dataset: Dataset, frame: int) -> Any:
    if "Rows" not in dataset or "PixelData" not in dataset:
        raise CannotRender("the object holds no image")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if not 0 <= frame < frames:
        raise CannotRender(f"frame {frame + 1} of {frames}")
    if int(dataset.Rows) * int(dataset.Columns) > MAX_PIXELS:
        raise CannotRender(f"more than {MAX_PIXELS} pixels")
    if "TransferSyntaxUID" not in dataset.get("file_meta", {}):
        raise CannotRender("no transfer syntax stated")
    try:
        return pixel_array(dataset, index=frame)
    except MemoryError:
        raise
    except Exception as error:
        syntax = UID(dataset.file_meta.TransferSyntaxUID).name
        raise CannotRender(f"pixels in {syntax} cannot be decoded ({type(error).__name__})") from None


def _in_colour(dataset: Dataset, pixels: Any) -> bool:
    return bool(pixels.ndim == 3 or dataset.PhotometricInterpretation == "PALETTE COLOR")


def _colour(dataset: Dataset, pixels: Any) -> Any:
    """RGB in 8 bits; `pixel_array` has turned YBR into RGB."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    return (pixels.astype(np.float32) * (255 / max(1, int(np.iinfo(pixels.dtype).max)))).astype(np.uint8)


def _grey(dataset: Dataset, pixels: Any, window: Window | None) -> Any:
    """Rescale, then the window asked for, the file's own, or the range between the 1st and 99th percentile."""
    values = np.asarray(apply_modality_lut(pixels, dataset), dtype=np.float32)
    shown, low, high = values, 0.0, 0.0
    if window is None and (window := _own_window(dataset)) is None:
        if "VOILUTSequence" in dataset:
            shown = np.asarray(apply_voi_lut(np.asarray(apply_modality_lut(pixels, dataset)), dataset), dtype=np.float32)
            low, high = float(shown.min()), float(shown.max())
        else:
            low, high = _percentiles(dataset, values)
    else:
        low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
    scaled = np.clip((shown - low) * (255 / max(high - low, 1e-6)), 0, 255)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        scaled = 255 - scaled
    return scaled.astype(np.uint8)


def _own_window(dataset: Dataset) -> Window | None:
    """Window Center and Width; of several the first. A width below 1 is nobody's window."""
    centre, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    return (centre, width) if centre is not None and width is not None and width >= 1 else None


def _first(value: Any) -> float | None:
    if isinstance(value, (list, tuple)) or (hasattr(value, "__iter__") and not isinstance(value, str)):
        value = next(iter(value), None)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _percentiles(dataset: Dataset, values: Any) -> Window:
    padding = _first(dataset.get("PixelPaddingValue"))
    sample = values[::4, ::4]
    if padding is not None and (kept := sample[sample != padding]).size:
        sample = kept
    low, high = np.percentile(sample, (1, 99))
    return (float(low), float(high)) if high > low else (float(values.min()), float(values.max()))


def _small(image: Image.Image, width: int) -> bytes:
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    while True:
        for quality in (88, 75, 60):
            buffer = BytesIO()
            image.save(buffer, "JPEG", quality=quality, optimize=True)
            if buffer.tell() <= MAX_BYTES:
                return buffer.getvalue()
        image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)), Image.Resampling.LANCZOS)
