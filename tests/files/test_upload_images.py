"""PIL images as files: upright, converted to a mode of PNG, or refused."""

import io
from concurrent.futures import ThreadPoolExecutor

import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import pytest

from replicate_rs import Replicate, exceptions
from support.uploads import get_contents

pytest_plugins = ["support.file_fixtures"]


def test_an_image_arrives_as_png(both, create, server):
    client = both.client(server.base_url)
    for mode in ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"):
        image = PIL.Image.new(mode, (3, 2))
        create(server, image, client=client)
        arrived = server.forms[-1]
        assert (arrived.name, arrived.kind) == ("image.png", "image/png")
        with PIL.Image.open(io.BytesIO(arrived.content)) as again:
            assert (again.format, again.mode, again.tobytes()) == ("PNG", mode, image.tobytes())


def test_an_image_that_png_cannot_store_is_refused(both, create, server):
    for mode in ("F",):
        image = PIL.Image.new(mode, (2, 2))
        with pytest.raises(
            TypeError,
            match=rf"^input\.value\[1\]: PNG cannot store an image of mode {mode}: convert it",
        ):
            create(server, [b"first", image])
        with pytest.raises(TypeError, match="convert it"):
            both(lambda image=image: both.client(server.base_url).files.create(image))
    assert server.seen == []


def test_a_picture_that_was_saved_to_a_buffer_arrives(send_image, server):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (20, 10), "red").save(buffer, "PNG")
    send_image(buffer)
    assert get_contents(server) == [buffer.getvalue()]


def test_concurrent_calls_share_a_picture_that_is_not_loaded(server):
    buffer = io.BytesIO()
    PIL.Image.effect_noise((300, 300), 90).save(buffer, "PNG")
    with (
        Replicate("x", base_url=server.base_url) as client,
        ThreadPoolExecutor(8) as pool,
        PIL.Image.open(buffer) as picture,
    ):
        list(pool.map(lambda _: client.files.create(picture), range(8)))
        assert set(get_contents(server)) == {get_contents(server)[0]}
        with PIL.Image.open(io.BytesIO(get_contents(server)[0])) as arrived:
            assert arrived.tobytes() == picture.tobytes()


def photo(form, orientation):
    """Create a photo with an EXIF orientation; a red corner shows which way is up."""
    picture = PIL.Image.new("RGB", (40, 20), "white")
    picture.paste((255, 0, 0), (0, 0, 10, 10))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, form, exif=exif)
    return buffer


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_arrives_upright(send_image, server, form, orientation):
    with (
        PIL.Image.open(photo(form, orientation)) as picture,
        PIL.Image.open(photo(form, orientation)) as other,
    ):
        upright = PIL.ImageOps.exif_transpose(other)
        send_image(picture)
    with PIL.Image.open(io.BytesIO(get_contents(server)[0])) as arrived:
        assert arrived.getexif().get(0x0112, 1) == 1
        assert (arrived.size, arrived.convert("RGB").tobytes()) == (
            upright.size,
            upright.convert("RGB").tobytes(),
        )


def test_a_picture_stays_what_it_was(send_image):
    with PIL.Image.open(photo("JPEG", 6)) as picture:
        send_image(picture)
        assert (picture.size, picture.getexif()[0x0112]) == ((40, 20), 6)


def test_exif_that_is_damaged_is_left_out(send_image, server):
    picture = PIL.Image.new("RGB", (4, 2), "red")
    picture.info.update(exif=b"Exif\0\0nonsense", transparency="none", icc_profile=5)
    send_image(picture)
    with PIL.Image.open(io.BytesIO(get_contents(server)[0])) as arrived:
        assert arrived.tobytes() == picture.tobytes()


def lab():
    srgb, lab = PIL.ImageCms.createProfile("sRGB"), PIL.ImageCms.createProfile("LAB")
    picture = PIL.Image.new("RGB", (3, 2), (200, 30, 60))
    return PIL.ImageCms.applyTransform(
        picture, PIL.ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    )


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "RGBX", "RGBa", "La", "PA"])
def test_a_picture_of_a_mode_that_png_has_not_is_converted(send_image, server, mode):
    start = PIL.Image.new("RGB", (3, 2), (200, 30, 60))
    if mode in ("RGBa", "La", "PA"):
        start = PIL.Image.new({"RGBa": "RGBA", "La": "LA", "PA": "LA"}[mode], (3, 2), 100)
    picture = start.convert(mode)
    picture.info["icc_profile"] = b"of another kind"
    send_image(picture)
    with PIL.Image.open(io.BytesIO(get_contents(server)[0])) as arrived:
        assert arrived.format == "PNG"
        assert mode != "CMYK" or "icc_profile" not in arrived.info
        wanted = picture.convert({"RGBa": "RGBA", "La": "LA", "PA": "RGBA"}.get(mode, "RGB"))
        assert (arrived.mode, arrived.tobytes()) == (wanted.mode, wanted.tobytes())
    assert picture.mode == mode


def test_colours_of_lab_are_those_of_the_screen(send_image, server):
    send_image(lab())
    with PIL.Image.open(io.BytesIO(get_contents(server)[0])) as arrived:
        assert arrived.mode == "RGB"
        assert all(
            abs(a - b) <= 2 for a, b in zip(arrived.getpixel((0, 0)), (200, 30, 60), strict=True)
        )


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "I;16L"])
def test_grey_of_16_bits_keeps_them(send_image, server, mode):
    send_image(PIL.Image.new(mode, (3, 2), 40_000))
    with PIL.Image.open(io.BytesIO(get_contents(server)[0])) as arrived:
        assert (arrived.mode, arrived.getpixel((2, 1))) == ("I;16", 40_000)


def test_a_palette_keeps_what_is_transparent(send_image, server):
    picture = PIL.Image.new("P", (2, 2))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.info["transparency"] = 0
    send_image(picture)
    send_image(PIL.Image.new("RGBA", (2, 2), (1, 2, 3, 4)).quantize())
    pixels = []
    for content in get_contents(server):
        with PIL.Image.open(io.BytesIO(content)) as arrived:
            pixels.append(arrived.convert("RGBA").getpixel((0, 0)))
    assert pixels == [(255, 0, 0, 0), (1, 2, 3, 4)]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_a_picture_that_is_cut_off_is_refused_each_time(both, send_image, server, form):
    buffer = io.BytesIO()
    PIL.Image.effect_noise((200, 200), 50).save(buffer, form)
    content = buffer.getvalue()
    try:
        picture = PIL.Image.open(io.BytesIO(content[: len(content) * 2 // 3]))
    except OSError:
        pytest.skip("it is not even opened")
    with picture:
        for _ in range(2):
            with pytest.raises(
                exceptions.FileError, match=r"^input\.image\[1\]: the picture cannot be read: "
            ):
                send_image([b"first", picture])
        with pytest.raises(exceptions.FileError, match="^the picture cannot be read: "):
            both(lambda: both.client(server.base_url).files.create(picture))
    assert server.seen == []


def test_a_picture_that_is_closed_is_refused(send_image, server):
    picture = PIL.Image.new("RGB", (2, 2))
    picture.close()
    with pytest.raises(ValueError, match=r"^input\.image: .*closed"):
        send_image(picture)
    assert server.seen == []
