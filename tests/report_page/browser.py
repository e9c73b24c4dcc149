"""A headless Chromium with one page open."""

import base64
import io
import json
import pathlib
import shutil
import sys
import tempfile

import PIL.Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

SWITCHES = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]

PHONE, TABLET, DESK = (360, 740), (768, 1024), (1280, 900)
"""Width and height in CSS pixels."""

SCHEMES = ["light", "dark"]


class Browser:
    """Opens `path` by its file:// address, at a desk's width and in light.

    What the page shows is asked for by scripts; `look.js` beside this file is there in each page.
    """

    def __init__(self, path):
        self.url = path.resolve().as_uri()
        self.directory = tempfile.TemporaryDirectory(prefix="chromium-")
        self.driver = webdriver.Chrome(
            _options(self.directory.name), Service(_program("chromedriver"))
        )
        self.helpers = pathlib.Path(__file__).with_name("look.js").read_text()
        self.size(*DESK)
        self.emulate()
        self.driver.get(self.url)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
        self.directory.cleanup()

    def cdp(self, command, **arguments):
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def ask(self, expression, *arguments):
        """The value of a JavaScript expression, in which `arguments` may be used."""
        return self.driver.execute_script(f"{self.helpers}\nreturn {expression};", *arguments)

    def size(self, width, height):
        """Makes the window this large; a small one is touched."""
        touched = width < 1000
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touched,
        )
        self.cdp("Emulation.setTouchEmulationEnabled", enabled=touched)

    def emulate(self, scheme="light", media="screen"):
        """The colours that the reader prefers, and what the page is shown on."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.cdp("Emulation.setEmulatedMedia", media=media, features=[feature])

    def complaints(self):
        """What the console has said at the level of a warning or above."""
        grave = ("WARNING", "SEVERE")
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in grave]

    def requests(self):
        """What has been asked for by address since the last call."""
        entries = (json.loads(e["message"]) for e in self.driver.get_log("performance"))
        sent = (e["message"] for e in entries)
        sent = (e for e in sent if e["method"] == "Network.requestWillBeSent")
        return [e["params"]["request"]["url"] for e in sent]

    def picture(self, x=0, y=0, width=None, height=None):
        """A rectangle of the page, from its top left corner; all of it by default."""
        whole_width, whole_height = self.ask("whole()")
        clip = {
            "x": x,
            "y": y,
            "width": width or whole_width,
            "height": height or whole_height,
            "scale": 1,
        }
        shot = self.cdp("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return PIL.Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")

    def pdf(self):
        """The page as it is printed, on A4."""
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
        return base64.b64decode(self.cdp("Page.printToPDF", **paper)["data"])


def _options(directory):
    options = webdriver.ChromeOptions()
    options.binary_location = _program("chromium", "google-chrome", "chrome")
    for switch in [*SWITCHES, f"--user-data-dir={directory}"]:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return options


def _program(*names):
    """Where the first of these programs is that is there."""
    found = [path for path in map(shutil.which, names) if path]
    return (
        found[0]
        if found
        else sys.exit(f"report_page: no {names[0]} on PATH: scripts/setup.sh --tests")
    )
