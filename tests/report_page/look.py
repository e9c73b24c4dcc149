"""What a page looks like: nothing clipped, nothing empty, everything readable."""

import re
from collections import Counter

from verdict import check

SMALLEST_TEXT = {"screen": 9, "print": 8}
"""Pixels; on paper they are 1/96 inch whatever the sheet."""

LEAST_CONTRAST = 4.5
"""As WCAG has it for text (AA)."""

COLOURED = 24
"""How much the channels of a pixel differ where it is not some grey."""

PAPER = (718, 1047)
"""A4 less 1 cm at each side, in CSS pixels."""


def luminance(colour):
    """Relative luminance of an sRGB colour, as WCAG has it."""
    parts = (c / 255 for c in colour)
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    """Ratio of contrast, 1 … 21."""
    a, b = sorted((luminance(one), luminance(other)))
    return (b + 0.05) / (a + 0.05)


def colour(css):
    """The channels of a computed colour such as `rgb(1, 2, 3)`."""
    return tuple(float(c) for c in re.findall(r"[\d.]+", css)[:3])


def crop(picture, at):
    """A part of the picture of a page; `at` is x, y, width, height."""
    x, y, width, height = at
    return picture.crop((round(x), round(y), round(x + width), round(y + height)))


def background(picture, at):
    """The commonest colour there."""
    return Counter(crop(picture, at).getdata()).most_common(1)[0][0]


def inside(inner, outer, slack=1):
    """Whether a rectangle lies within another."""
    x, y, width, height = inner
    left, top, wide, high = outer
    across = left - slack <= x and x + width <= left + wide + slack
    return across and top - slack <= y and y + height <= top + high + slack


def overlap(one, other, slack=2):
    """Whether two rectangles share more than their rims."""
    (a, b, w, h), (x, y, v, u) = one, other
    across = min(a + w, x + v) - max(a, x)
    down = min(b + h, y + u) - max(b, y)
    return across > slack and down > slack


def check_page(browser, names, width, scheme):
    """All of a page as it is shown now, `width` pixels wide."""
    where = f"{width} px, {scheme}"
    check(browser.ask("innerWidth") == width, f"{where}: laid out for another width")
    wide = browser.ask("whole()")[0]
    check(wide <= width, f"{where}: {wide} px wide")
    picture = browser.picture()
    ground = luminance(picture.getpixel((2, 2)))
    check((ground < 0.2) == (scheme == "dark"), f"{where}: ground of luminance {ground:.2f}")
    check_contrast(picture, browser.ask("words()"), where)
    for name in names:
        check_figure(browser, picture, name, f"{where}: {name}")


def check_figure(browser, picture, name, where, media="screen"):
    """One figure: one drawing to be seen, its panels not empty, its words readable."""
    drawings = browser.ask("drawings(arguments[0]).map(rectangle)", name)
    if not check(len(drawings) == 1, f"{where}: {len(drawings)} drawings to be seen"):
        return
    (drawing,) = drawings
    check(drawing[2] >= 250 and drawing[3] >= 100, f"{where}: {drawing[2]} x {drawing[3]} px")
    panels = browser.ask("dataOf(arguments[0]).panels", name)
    boxes = browser.ask("boxes(arguments[0])", name)
    check(len(boxes) == len(panels) > 0, f"{where}: {len(boxes)} boxes, {len(panels)} panels")
    for number, box in enumerate(boxes):
        panel = f"{where}: panel {number}"
        check(inside(box, drawing), f"{panel}: beyond its drawing")
        pixels = crop(picture, box).getdata()
        drawn = sum(max(p) - min(p) > COLOURED for p in pixels)
        check(drawn >= 20, f"{panel}: {drawn} coloured pixels of {len(pixels)}")
    texts = browser.ask("texts(arguments[0])", name)
    check(texts, f"{where}: no text")
    check_texts(texts, drawing, SMALLEST_TEXT[media], where)
    check_contrast(picture, texts, where)


def check_texts(texts, drawing, least, where):
    """Words of a drawing: large enough, not clipped, not over each other."""
    for text in texts:
        what = f"{where}: {text['text']!r}"
        check(text["pixels"] >= least, f"{what}: {text['pixels']:.1f} px")
        check(inside(text["at"], drawing), f"{what}: beyond its drawing, {text['at']}")
    for number, one in enumerate(texts):
        for other in texts[:number]:
            meet = overlap(one["at"], other["at"])
            check(not meet, f"{where}: {other['text']!r} and {one['text']!r} overlap")


def check_contrast(picture, texts, where):
    """Words against what is behind them."""
    for text in texts:
        if text["at"][2] < 1:
            continue
        ratio = contrast(colour(text["colour"]), background(picture, text["at"]))
        check(ratio >= LEAST_CONTRAST, f"{where}: {text['text']!r}: contrast {ratio:.2f}")


def check_print(browser, names):
    """On paper: a PDF, its ground light, no figure wider than a sheet, higher, or across two."""
    browser.emulate("dark", media="print")
    pdf = browser.pdf()
    check(pdf.startswith(b"%PDF-") and len(pdf) > 10_000, f"print: {len(pdf)} bytes of PDF")
    browser.size(*PAPER)
    picture = browser.picture()
    check(luminance(picture.getpixel((2, 2))) > 0.9, "print: the ground is not white")
    wide = browser.ask("whole()")[0]
    check(wide <= PAPER[0], f"print: {wide} px wide")
    covered = max(browser.ask("covered()"), default=0)
    check(covered <= 1, f"print: a table of which {covered} px are cut off")
    for name in names:
        check_figure(browser, picture, name, f"print: {name}", "print")
        whole = browser.ask("rectangle(document.getElementById(arguments[0]))", name)
        check(whole[3] <= PAPER[1], f"print: {name}: {whole[3]} px high")
        kept = browser.ask(
            "getComputedStyle(document.getElementById(arguments[0])).breakInside", name
        )
        check(kept in ("avoid", "avoid-page"), f"print: {name}: may be cut between two sheets")
