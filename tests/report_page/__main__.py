#!/usr/bin/env python3
"""Opens a page that `stdp-hpc report` wrote in headless Chromium and looks at it as readers do.

Usage: report_page PAGE [--figures NAME,…] [--of DIR…] [--png DIR] [--screenshots DIR]

At the widths of a phone, a tablet and a desk, in light and in dark, on paper: nothing in the
console, nothing asked of the network, nothing clipped, empty or too small to read; the pointer and
a finger are told the values that are drawn. Prints what is wrong and exits with 1.
  --figures NAME,…    the figures that there must be, and no other
  --of DIR…           the result that the page is of, or several: the numbers are worked out again
                      from spikes.h5, weights.h5 and run.json there
  --png DIR           the figures as files
  --screenshots DIR   only takes pictures: of the page, PAGE-{desk,phone}-{light,dark}.png, and of
                      each figure, FIGURE-{light,dark}.png
"""

import argparse
import pathlib

import look
import numbers_of_run
import numbers_of_runs
import pictures
import pointer
import verdict
from browser import DESK, PHONE, SCHEMES, TABLET, Browser

DEVICES = {"desk": DESK, "phone": PHONE}


def check_all(page, figures, results, png):
    """All that the tests ask of a page."""
    with Browser(page) as browser:
        names = browser.ask("figures()")
        verdict.check(names == figures, f"figures {names}, not {figures}")
        if len(results) == 1:
            numbers_of_run.check_numbers(browser, *results)
        elif results:
            numbers_of_runs.check_numbers(browser, results)
        pointer.check_keyboard(browser)
        for size in (DESK, TABLET, PHONE):
            browser.size(*size)
            for scheme in SCHEMES:
                browser.emulate(scheme)
                look.check_page(browser, names, size[0], scheme)
            if size is not TABLET:
                pointer.check_pointer(browser, names, touch=size is PHONE)
        look.check_print(browser, names)
        for said in browser.complaints():
            verdict.check(False, f"console: {said}")
        # "chrome:" is the browser's own first tab.
        own = ("data:", "chrome:")
        asked = {url for url in browser.requests() if not url.startswith(own)}
        verdict.check(asked == {browser.url}, f"asked for {sorted(asked)}")
    if png:
        pictures.check_pictures(png, figures)


def take_pictures(page, directory):
    """Of the page and its figures, into a directory."""
    with Browser(page) as browser:
        for scheme in SCHEMES:
            browser.emulate(scheme)
            for device, size in DEVICES.items():
                browser.size(*size)
                pictures.save(browser.picture(), directory / f"{page.stem}-{device}-{scheme}.png")
            browser.size(*DESK)
            browser.ask("unfold(true)")
            for name in browser.ask("figures()"):
                at = browser.ask("rectangle(document.getElementById(arguments[0]))", name)
                pictures.save(browser.picture(*at), directory / f"{name}-{scheme}.png")
            browser.ask("unfold(false)")


def main():
    parser = argparse.ArgumentParser(prog="report_page")
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--figures", type=lambda names: names.split(","), default=[])
    parser.add_argument("--of", type=pathlib.Path, nargs="+", default=[])
    parser.add_argument("--png", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path)
    given = parser.parse_args()
    if given.screenshots:
        take_pictures(given.page, given.screenshots)
    else:
        check_all(given.page, given.figures, given.of, given.png)
        verdict.give()


if __name__ == "__main__":
    main()
