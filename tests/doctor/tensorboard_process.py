"""Starts a real TensorBoard that knows the plugin, installed or not."""

import configparser
import contextlib
import importlib.metadata
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(folder):
    """Return the environment variables of a TensorBoard that finds the plugin.

    Where the package isn't installed, its entry points are written to `folder`, from
    setup.cfg, as an installation would.
    """
    paths = [str(ROOT)]
    names = {
        e.name for e in importlib.metadata.entry_points(group="tensorboard_plugins")
    }
    if "tfcourse_doctor" not in names:
        config = configparser.ConfigParser()
        config.read(ROOT / "setup.cfg")
        lines = config["options.entry_points"]["tensorboard_plugins"]
        info = folder / "tfcourse-0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tfcourse\n")
        (info / "entry_points.txt").write_text(f"[tensorboard_plugins]\n{lines}\n")
        paths.append(str(folder))
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@contextlib.contextmanager
def tensorboard(logdir, folder, *options):
    """Yield the address of a TensorBoard over `logdir`; at the end, stop it.

    Yields:
        (url, lines): The address, and its output, which grows.
    """
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir)]
    command += ["--port", "0", "--host", "127.0.0.1", "--reload_interval", "1"]
    process = subprocess.Popen(
        [*command, *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment(folder),
    )
    lines = []
    try:
        url = None
        while url is None:
            line = process.stderr.readline()
            if not line:
                raise RuntimeError("TensorBoard ended:\n" + "".join(lines))
            lines.append(line)
            found = re.search(r"TensorBoard \S+ at (http://\S+)", line)
            url = found and found[1]
        # Read on, so that a full pipe never stops it.
        reader = threading.Thread(target=lambda: lines.extend(process.stderr))
        reader.start()
        yield url, lines
    finally:
        process.terminate()
        process.wait(timeout=20)
        if url is not None:
            reader.join(timeout=5)
        process.stderr.close()
