"""The embedding projector in a real headless Chromium, against a real TensorBoard."""

import time

import numpy as np
import pytest
import tensorflow as tf

from tests.doctor.browser import Browser, find_programs
from tests.doctor.tensorboard_process import tensorboard
from tfcourse.runs import Run

pytestmark = pytest.mark.browser

# The visible texts of the projector's frame, shadow roots included.
TEXTS = """
const texts = [];
const visit = (root) => {
  for (const element of root.querySelectorAll("*")) {
    if (element.shadowRoot) visit(element.shadowRoot);
    if (!element.getClientRects().length) continue;
    if (typeof element.value === "string") texts.push(element.value);
    for (const node of element.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) texts.push(node.textContent.trim());
    }
  }
};
visit(document);
const text = texts.filter((part) => part).join(" ");
"""
SAYS = TEXTS + "return arguments[0].every((part) => text.includes(part)) && text;"


def enter_projector(browser, url):
    browser.resize(1280, 800)
    browser.open(f"{url}#projector")
    browser.enter_frame("iframe[src*='name=projector']")
    browser.enter_frame()  # The plugin's page lies in one of its own.


def red_pixels(browser):
    """Return how many pixels of the screen are about pure red."""
    pixels = tf.io.decode_png(browser.screenshot(), channels=3).numpy().astype(int)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return int(np.sum((red > 200) & (green < 60) & (blue < 60)))


def most_red_pixels(browser, enough, seconds):
    """Return the most red pixels of any screen until `enough` or the time is over.

    The points are drawn some frames after the page says that it is done, on a busy
    machine seconds after.
    """
    end = time.monotonic() + seconds
    most = 0
    while most < enough and time.monotonic() < end:
        most = max(most, red_pixels(browser))
    return most


def write_runs(folder):
    """Write a run of 40 points in 6 dimensions, and one of 2 with red thumbnails."""
    rng = np.random.default_rng(0)
    labels = [f"class {k % 4}" for k in range(40)]
    Run(folder / "plain", show_progress=False).projector(
        "projector", {"pixels": rng.normal(size=(40, 6))}, labels
    )
    images = np.zeros((40, 8, 8, 3), np.uint8)
    images[..., 0] = 255
    Run(folder / "red", show_progress=False).projector(
        "projector", {"last": rng.normal(size=(40, 2))}, labels, images
    )


def test_points_labels_and_thumbnails_are_drawn(tmp_path):
    find_programs()
    write_runs(tmp_path / "logs")
    # The library adds a third column to two, as the projector's first view draws three.
    assert look_at_points(tmp_path / "logs" / "plain", 6, seconds=3) < 500
    assert look_at_points(tmp_path / "logs" / "red", 3, seconds=60) > 1500


def look_at_points(log_dir, dimension, seconds):
    """Open a run in the projector; return the most red pixels that were seen."""
    with tensorboard(log_dir, log_dir.parent) as (url, _), Browser() as browser:
        enter_projector(browser, url)
        found = ["1 tensor found", "labels.tsv", "Points: 40"]
        browser.wait(SAYS, [*found, f"Dimension: {dimension}"])
        browser.wait(TEXTS + "return /described: \\d/.test(text)")
        return most_red_pixels(browser, enough=1501, seconds=seconds)
