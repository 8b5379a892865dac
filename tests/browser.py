"""A headless Chromium, for pages as a person sees them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

__all__ = ["BROWSER", "DRIVER", "browser"]

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")


@contextmanager
def browser(profile: Path, width: int = 1900, height: int = 2400, *flags: str) -> Iterator["Chrome"]:
    """A window of its own, in pixels, with an empty folder for its profile.

    What pages ask for and complain of is kept: `get_log("performance")` and `get_log("browser")`.
    """
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
                 "disable-dev-shm-usage", "disable-background-networking", "disable-component-update",
                 f"window-size={width},{height}", f"user-data-dir={profile}", *flags):  # fmt: skip
        options.add_argument(f"--{flag}")
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
