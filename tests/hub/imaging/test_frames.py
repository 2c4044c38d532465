"""Pictures of real objects by a process that may die."""

from __future__ import annotations

import os
import signal
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from demo.pacs_objects import chest_film, head_ct
from hub.imaging.frames import FrameRenderer, ImagingError, key_image
from tests.mappers.dicom.material import SAMPLES, changed, exam, read, samples

FILM, CT = chest_film(exam(), size=256)[0], head_ct(exam(), slices=3)[1]


@pytest.fixture(scope="module")
def renderer():
    renderer = FrameRenderer()
    yield renderer
    renderer.close()


def picture(jpeg):
    assert len(jpeg) <= 200_000
    image = Image.open(BytesIO(jpeg))
    assert image.format == "JPEG"
    return np.asarray(image).astype(int)


def drawn(renderer, content, **options):
    return picture(key_image(content, renderer=renderer, **options))


def test_a_film_shows_dark_lungs_and_a_bright_heart_and_its_inverse_the_same(renderer):
    film = drawn(renderer, FILM)
    air, lung, heart = film[4, 4], film[100, 60], film[150, 145]
    assert air < lung < heart
    inverted = changed(FILM, PhotometricInterpretation="MONOCHROME1", PixelData=(4095 - pixels(FILM)).astype("<u2").tobytes())
    assert np.abs(drawn(renderer, inverted) - film).mean() < 2


def pixels(content):
    return dcmread(BytesIO(content)).pixel_array


def test_hounsfield_units_and_windows_decide_what_is_white(renderer):
    head = drawn(renderer, CT)
    assert head[2, 2] == 0  # air
    assert head[128, 128 - 90] > 250  # skull
    brain, ventricle = (region.mean() for region in (head[176:184, 124:132], head[114:122, 112:116]))
    assert 30 < ventricle < 60 < 95 < brain < 130  # 6 and 34 HU in the window 40 ± 50
    bone = drawn(renderer, CT, window=(500, 2000))
    assert 50 < bone[176:184, 124:132].mean() < 85
    assert bone[128, 128 - 90] < 255
    automatic = drawn(renderer, changed(CT, WindowCenter=None, WindowWidth=None))
    assert automatic[2, 2] < automatic[180, 128] < automatic[128, 128 - 90]


RENDERED = {
    "cr/RG3_J2KR.dcm": (1024, 1024),
    "ct/CT_small.dcm": (128, 128),
    "transfer-syntax/MR_small_RLE.dcm": (64, 64),
    "transfer-syntax/MR_small_bigendian.dcm": (64, 64),
    "transfer-syntax/MR_small_implicit.dcm": (64, 64),
    "transfer-syntax/MR_small_jp2klossless.dcm": (64, 64),
    "transfer-syntax/SC_rgb_jpeg_dcmtk.dcm": (100, 100),
    "transfer-syntax/OBXXXX1A_rle.dcm": (600, 800),
    "transfer-syntax/image_dfl.dcm": (512, 512),
    "us/examples_palette.dcm": (350, 800),
    "us/examples_ybr_color.dcm": (240, 320),
}


@pytest.mark.parametrize("file", RENDERED)
def test_every_way_of_storing_pixels_is_drawn(file, renderer):
    image = drawn(renderer, read(SAMPLES / "dicom" / file))
    assert image.shape[:2] == RENDERED[file]
    assert image.max() - image.min() > 100
    if file.startswith("us/") or "rgb" in file:
        assert image.ndim == 3
        assert np.abs(image[..., 0] - image[..., 2]).max() > 40  # there is colour in it


def test_one_image_in_five_encodings_is_one_picture(renderer):
    folder = SAMPLES / "dicom" / "transfer-syntax"
    first, *others = (
        drawn(renderer, read(folder / f"MR_small_{name}.dcm")) for name in ("implicit", "RLE", "bigendian", "jp2klossless")
    )
    for other in others:
        assert np.array_equal(first, other)


def test_a_later_frame_is_another_picture_and_one_too_many_is_told(renderer):
    cine = read(SAMPLES / "dicom" / "us" / "examples_ybr_color.dcm")
    assert not np.array_equal(drawn(renderer, cine, frame=0), drawn(renderer, cine, frame=20))
    with pytest.raises(ImagingError, match="frame 31 of 30"):
        key_image(cine, frame=30, renderer=renderer)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("transfer-syntax/MR_small_jpeg_ls_lossless.dcm", "JPEG-LS"),
        ("transfer-syntax/JPGLosslessP14SV1_1s_1f_8b.dcm", "JPEG Lossless"),
        ("sr/test-SR.dcm", "holds no image"),
        ("broken/MR_truncated.dcm", "cannot be decoded"),
    ],
)
def test_what_cannot_be_drawn_says_why(file, reason, renderer):
    with pytest.raises(ImagingError, match=reason):
        key_image(read(SAMPLES / "dicom" / file), renderer=renderer)


@pytest.mark.parametrize("path", samples("dicom/broken"), ids=lambda p: p.stem)
def test_broken_files_end_in_a_reason(path, renderer):
    with pytest.raises(ImagingError):
        key_image(read(path), renderer=renderer)
    assert drawn(renderer, FILM).shape == (256, 256)


def test_a_wide_picture_is_made_narrower(renderer):
    assert drawn(renderer, FILM, width=64).shape == (64, 64)


def test_a_dead_worker_is_replaced(renderer):
    drawn(renderer, FILM)
    first = renderer.process_id
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert drawn(renderer, CT).shape == (256, 256)
    assert renderer.process_id != first


def test_a_worker_that_takes_too_long_is_ended():
    hurried = FrameRenderer(timeout=0.0)
    try:
        with pytest.raises(ImagingError, match="too long"):
            hurried.jpeg(FILM)
    finally:
        hurried.close()


def test_a_picture_that_would_fill_the_memory_is_refused(renderer):
    with pytest.raises(ImagingError, match="pixels"):
        key_image(changed(FILM, Rows=65535, Columns=65535), renderer=renderer)


def test_a_picture_is_drawn_once(renderer, tmp_path):
    file = tmp_path / "film.dcm"
    file.write_bytes(FILM)
    first = key_image(file, cache=tmp_path / "cache", renderer=renderer)
    renderer.close()
    assert key_image(file, cache=tmp_path / "cache", renderer=renderer) == first
    assert renderer.process_id is None  # nobody was asked
    assert key_image(file, cache=tmp_path / "cache", width=64, renderer=renderer) != first
    assert [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [".jpg", ".jpg"]
