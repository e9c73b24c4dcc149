"""The figures as files: PNG, for papers and READMEs."""

import PIL.Image

from verdict import check

FEWEST_COLOURS = 6
FEWEST_PIXELS = 400


def check_pictures(directory, names):
    """A PNG of every figure, large enough and not empty; nothing else."""
    found = sorted(path.name for path in directory.iterdir())
    check(found == sorted(f"{name}.png" for name in names), f"{directory}: {found}")
    for path in directory.glob("*.png"):
        check(path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n"), f"{path}: no PNG")
        with PIL.Image.open(path) as picture:
            picture.load()
            check(
                picture.format == "PNG" and min(picture.size) > FEWEST_PIXELS, f"{path}: {picture}"
            )
            colours = len(picture.convert("RGB").getcolors(1 << 24))
            check(colours > FEWEST_COLOURS, f"{path}: {colours} colours")


def save(picture, path):
    """Saves what a browser showed in few bytes: 256 colours do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256, dither=PIL.Image.Dither.NONE).save(path, optimize=True)
