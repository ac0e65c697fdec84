"""The wheel, the README's commands and the declared dependencies."""

import ast
import configparser
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tfcourse import results
from tfcourse.catalog import load_catalog

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "google": "protobuf"}


def run(*command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the `tfcourse` of a wheel that was installed in an empty environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    for name in files:
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    run(sys.executable, "-m", "pip", *build, "-w", folder, source)
    (wheel,) = folder.glob("tfcourse-*.whl")
    environment = folder / "environment"
    run(sys.executable, "-m", "venv", environment)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    install = ["install", "--no-deps", "--no-index", "-q"]
    # A checkout in PYTHONPATH would pass for an installed course.
    env = clean_environment(folder)
    run(scripts / "python", "-m", "pip", *install, wheel, env=env)
    # The dependencies are those of the tests, so that no network is needed; a path in a
    # .pth file brings packages, but not this checkout's editable install.
    purelib = run(
        scripts / "python",
        "-c",
        "import sysconfig; print(sysconfig.get_path('purelib'))",
        env=env,
    ).strip()
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return scripts / "tfcourse"


def clean_environment(tmp_path):
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return {**kept, "TFCOURSE_HOME": str(tmp_path)}


def test_the_wheel_brings_the_exercises(installed, tmp_path):
    env = clean_environment(tmp_path)
    listed = json.loads(run(installed, "list", "--json", cwd=tmp_path, env=env))
    assert [entry["name"] for entry in listed] == [e.name for e in load_catalog()]
    table = json.loads(run(installed, "results", "--json", cwd=tmp_path, env=env))
    assert len(table) == len(results.rows(load_catalog()))
    where = run(
        installed.parent / "python",
        "-c",
        "import tfcourse; print(tfcourse.__file__)",
        cwd=tmp_path,
        env=env,
    )
    assert str(ROOT) not in where


def test_an_installed_course_checks_a_file(installed, tmp_path):
    env = clean_environment(tmp_path)
    run(installed, "start", "1", cwd=tmp_path, env=env)
    exercise = load_catalog()[0]
    solution = exercise.path("solution.py").read_text(encoding="utf-8")
    (tmp_path / "work" / f"{exercise.name}.py").write_text(solution, encoding="utf-8")
    report = json.loads(run(installed, "check", "1", "--json", cwd=tmp_path, env=env))
    assert report["status"] == "pass"


def test_the_readmes_table_is_fresh():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert results.updated_readme(readme, results.rows(load_catalog())) == readme, (
        "stale: tfcourse results --write"
    )


def test_ci_calls_the_readmes_test_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    install = '-r requirements.txt -e ".[test]" && pytest\n'
    assert f"    pip install {install}" in readme
    assert install in script


def packages(lines):
    """Return the normalised names of the packages in lines of setup.cfg."""
    return {
        re.split(r"[<>=! ]", line)[0].lower().replace("-", "_")
        for line in lines.splitlines()
        if line and not line.startswith("#")
    }


def test_every_import_is_declared():
    """What only an extra installs is asked for before it is imported."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    declared = packages(config["options"]["install_requires"])
    extras = packages("\n".join(config["options.extras_require"].values()))
    known = sys.stdlib_module_names | {"tfcourse"}
    for path in [*ROOT.glob("tfcourse/**/*.py"), *ROOT.glob("exercises/*/*.py")]:
        for name in imported_packages(path) - known:
            package = DISTRIBUTIONS.get(name, name).lower().replace("-", "_")
            asks = f'find_spec("{name}")' in path.read_text(encoding="utf-8")
            is_declared = package in declared or (package in extras and asks)
            assert is_declared, f"{path.name} imports {name}"


def imported_packages(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_every_dependency_is_pinned():
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").lower()
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]["test"]
    lines = config["options"]["install_requires"].splitlines() + extras.splitlines()
    for line in lines:
        name = re.split(r"[<>=! ]", line)[0].lower()
        if name and not line.startswith("#"):
            assert re.search(rf"^{re.escape(name)}==", pins, re.MULTILINE), name


def test_the_version_stands_in_one_place():
    from tfcourse import __version__

    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {__version__}\n" in citation
