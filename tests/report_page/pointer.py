"""What the pointer tells: where it points, and what ought to be said there."""

import math
import re

from selenium.webdriver.common.actions import interaction
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from look import inside
from verdict import check

ROUNDED = 0.006
"""Values are told to three figures."""


def along(value, axis):
    """Where a value lies on an axis: 0 at its lower end, 1 at its upper one."""
    low, high = axis["range"]
    if axis["scale"] == "log":
        value, low, high = (math.log(v) if v > 0 else -math.inf for v in (value, low, high))
    return (value - low) / (high - low)


def items(series):
    """What of a series can be pointed at: (x from, x to, y from, y to, values to be told).

    In the panel's own units; y is None where any height will do.
    """
    return [item for item in KINDS[series["shape"]](series) if None not in item[4]]


def _dots(series):
    for x, y in zip(series["x"], series["y"]):
        yield x, x, y, y, [x, y]


def _line(series):
    for x, y in zip(series["x"], series["y"]):
        yield x, x, None, None, [x, y]


def _bins(series):
    edges = series["edges"]
    for low, high, value in zip(edges, edges[1:], series["values"]):
        yield low, high, None, None, [value]


def _bars(series):
    for at, low, high in zip(series["at"], series["low"], series["high"]):
        yield at, at, low, high, [high - low]


def _spreads(series):
    for at, *values in zip(*(series[key] for key in ("at", "low", "middle", "high"))):
        yield at, at, values[1], values[1], values


def _cells(series):
    columns, rows = series["x_edges"], series["y_edges"]
    for i, value in enumerate(series["values"]):
        row, column = divmod(i, len(columns) - 1)
        yield columns[column], columns[column + 1], rows[row], rows[row + 1], [value]


KINDS = {
    "dots": _dots,
    "line": _line,
    "bins": _bins,
    "bars": _bars,
    "spreads": _spreads,
    "cells": _cells,
}


def extent(item, panel, box):
    """Where an item is drawn, in pixels of the page: left, right, top, bottom."""
    x_from, x_to, y_from, y_to, _ = item
    left, right = (box[0] + along(x, panel["x"]) * box[2] for x in (x_from, x_to))
    if y_from is None:
        return left, right, box[1], box[1] + box[3]
    top, bottom = (box[1] + (1 - along(y, panel["y"])) * box[3] for y in (y_to, y_from))
    return left, right, top, bottom


def places(panel, box):
    """A few places for each series: (its name, x and y in pixels, what may be told there).

    What may be told is a list of alternatives: what is drawn within two pixels.
    """
    drawn = [
        (series["name"], item[4], extent(item, panel, box))
        for series in panel["series"]
        for item in items(series)
    ]
    seen = [d for d in drawn if _within(_centre(d[2]), box)]
    for name in dict.fromkeys(name for name, _, _ in seen):
        own = [d for d in seen if d[0] == name]
        for i in sorted({0, len(own) // 3, len(own) // 2, len(own) - 1}):
            x, y = _into(_centre(own[i][2]), box)
            near = [values for _, values, e in drawn if _near((x, y), e)]
            yield name, x, y, near


def _centre(extent_):
    left, right, top, bottom = extent_
    return (left + right) / 2, (top + bottom) / 2


def _within(place, box):
    return box[0] <= place[0] <= box[0] + box[2] and box[1] <= place[1] <= box[1] + box[3]


def _into(place, box):
    """The pixel there, or the nearest one that lies wholly within the box."""
    x, y = place
    left, top, width, height = box
    return (
        min(max(round(x), math.ceil(left)), math.floor(left + width) - 1),
        min(max(round(y), math.ceil(top)), math.floor(top + height) - 1),
    )


def _near(place, extent_):
    left, right, top, bottom = extent_
    return left - 2 <= place[0] <= right + 2 and top - 2 <= place[1] <= bottom + 2


def numbers(text):
    """All numbers that a text tells."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", text)]


def told(value, text):
    """Whether a text tells this number, rounded."""
    return any(abs(n - value) <= ROUNDED * abs(value) + 1e-9 for n in numbers(text))


def check_pointer(browser, names, touch):
    """Points at places of every figure's panels, with a mouse or a finger, and away again."""
    for name in names:
        panels = browser.ask("dataOf(arguments[0]).panels", name)
        boxes = browser.ask("boxes(arguments[0])", name)
        for number, (panel, box) in enumerate(zip(panels, boxes)):
            for series, x, y, alternatives in places(panel, box):
                how = "tap" if touch else "hover"
                where = f"{how}: {name}: panel {number}: {series} at ({x}, {y})"
                check_place(browser, (x, y), alternatives, touch, where)


def check_place(browser, place, alternatives, touch, where):
    """One place: one of the alternatives is told, on the page; nothing once the mouse is away."""
    point(browser, *place, touch)
    tip = browser.ask("tip()")
    if check(tip, f"{where}: nothing is told"):
        right = any(all(told(value, tip["text"]) for value in values) for values in alternatives)
        said = " | ".join(tip["text"].split("\n"))
        check(right, f"{where}: {alternatives[:3]} not told: {said}")
        top, width = browser.ask("[scrollY, innerWidth]")
        check(inside(tip["at"], (0, top, width, math.inf)), f"{where}: the tip is cut off")
    if not touch:
        point(browser, 1, browser.ask("scrollY") + 1, touch)
        check(browser.ask("tip()") is None, f"{where}: the tip stays when the pointer leaves")


def point(browser, x, y, touch):
    """Moves the mouse to a place of the page, or taps it; the page is scrolled there."""
    top, height = browser.ask("[scrollY, innerHeight]")
    if not top < y < top + height:
        top = browser.ask("scrolledTo(arguments[0])", y - height / 2)
    kind = interaction.POINTER_TOUCH if touch else interaction.POINTER_MOUSE
    actions = ActionBuilder(browser.driver, mouse=PointerInput(kind, kind), duration=0)
    pointer = actions.pointer_action.move_to_location(int(x), int(y - top))
    if touch:
        pointer.pointer_down().pointer_up()
    actions.perform()


def check_keyboard(browser):
    """Every fold is shut, and opens when its summary has the focus and Enter is pressed."""
    for fold in browser.driver.find_elements(By.TAG_NAME, "details"):
        title = fold.find_element(By.TAG_NAME, "summary")
        check(not fold.get_property("open"), f"keyboard: {title.text!r} is open from the start")
        title.send_keys(Keys.ENTER)
        check(fold.get_property("open"), f"keyboard: {title.text!r} does not open")
