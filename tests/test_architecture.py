"""Who may import whom, and how long things may be: read from the sources."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "tfcourse").rglob("*.py"))
EXERCISES = sorted((ROOT / "exercises").glob("*/*.py"))
EVERYTHING = [*LIBRARY, *EXERCISES, *sorted((ROOT / "tests").rglob("*.py"))]

# Importing these must not load TensorFlow or Keras (tested in a child as well).
WITHOUT_TENSORFLOW = (
    "tfcourse",
    "tfcourse.audio",
    "tfcourse.audio.metrics",
    "tfcourse.audio.mixing",
    "tfcourse.authoring",
    "tfcourse.catalog",
    "tfcourse.check_process",
    "tfcourse.checking",
    "tfcourse.cli",
    "tfcourse.cli_author",
    "tfcourse.cli_compress",
    "tfcourse.cli_data",
    "tfcourse.cli_doctor",
    "tfcourse.compression",
    "tfcourse.compression.recipe",
    "tfcourse.compression.session",
    "tfcourse.compression.table",
    "tfcourse.console",
    "tfcourse.data",
    "tfcourse.doctor",
    "tfcourse.doctor.diagnosis",
    "tfcourse.doctor.faults",
    "tfcourse.doctor.plugin",
    "tfcourse.doctor.reading",
    "tfcourse.doctor.report",
    "tfcourse.doctor.tab_diagnosis",
    "tfcourse.doctor.tab_runs",
    "tfcourse.doctor.tab_series",
    "tfcourse.errors",
    "tfcourse.execution",
    "tfcourse.notebook",
    "tfcourse.results",
    "tfcourse.skeleton",
    "tfcourse.sound_files",
    "tfcourse.submission",
    "tfcourse.workspace",
)
# Domain modules that don't import one another.
SEPARATE = ("data", "audio", "text", "images", "plots")
# Only here may these packages be imported.
ONLY_IN = {
    "tf_keras": ("tfcourse/compression/worker.py",),
    "tensorflow_model_optimization": ("tfcourse/compression/worker.py",),
}
# Without blank lines; functions and solutions without their docstrings, which tell
# students what to write.
MAX_FILE_LINES = 300
MAX_SOLUTION_LINES = 250
MAX_FUNCTION_LINES = 60  # A training function's; most have under 30.


def imports(path):
    """Return the full names of all modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def name_of(path):
    return str(path.relative_to(ROOT)).replace("\\", "/")


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_packages_with_one_place_stay_there(path):
    for package, places in ONLY_IN.items():
        if name_of(path) not in places:
            found = [n for n in imports(path) if n.split(".")[0] == package]
            assert not found, f"{package} belongs to {places} alone"


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_the_library_imports_no_exercise(path):
    assert not [n for n in imports(path) if n.startswith(("exercises", "_exercises"))]


@pytest.mark.parametrize("path", EXERCISES, ids=name_of)
def test_an_exercise_imports_no_exercise(path):
    names = {folder.name for folder in (ROOT / "exercises").iterdir()}
    assert not [n for n in imports(path) if n.split(".")[0] in names | {"exercises"}]


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_domain_modules_stay_apart(path):
    parts = name_of(path).removesuffix(".py").split("/")
    owner = parts[1]
    if owner in SEPARATE:
        others = {f"tfcourse.{name}" for name in SEPARATE if name != owner}
        found = [n for n in imports(path) if ".".join(n.split(".")[:2]) in others]
        assert not found


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_training_gets_models_and_data_as_arguments(path):
    if name_of(path).startswith("tfcourse/training/"):
        assert not [n for n in imports(path) if n.startswith("tfcourse.data")]


def test_light_modules_load_no_tensorflow():
    program = (
        "import sys, importlib\n"
        f"for name in {WITHOUT_TENSORFLOW!r}:\n"
        "    importlib.import_module(name)\n"
        "    loaded = {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)\n"
        "    assert not loaded, (name, loaded)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr.decode()


def docstring_lines(node):
    """Return how many lines the docstring of a function, class or module has."""
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return first.end_lineno - first.lineno + 1 if is_docstring else 0


def num_lines(node):
    """Return the lines of a function without its docstring."""
    return node.end_lineno - node.lineno + 1 - docstring_lines(node)


def num_docstring_lines(text):
    """Return how many lines, but blank ones, all docstrings of a file have."""
    documented = ast.FunctionDef | ast.ClassDef | ast.Module
    nodes = [
        n for n in ast.walk(ast.parse(text)) if isinstance(n, documented) and n.body
    ]
    docstrings = [n.body[0].value.value for n in nodes if docstring_lines(n)]
    return sum(bool(line.strip()) for d in docstrings for line in d.splitlines())


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip()]
    if path.name == "solution.py":
        assert len(lines) - num_docstring_lines(text) <= MAX_SOLUTION_LINES
    elif path.name != "checks.py" and "tests" not in path.parts:
        assert len(lines) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = num_lines(node)
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", [*LIBRARY, *EXERCISES], ids=name_of)
def test_names_say_what_is_inside(path):
    assert not re.search(r"utils?|helpers?|misc|common", path.stem)


@pytest.mark.parametrize("path", [*LIBRARY, *EXERCISES], ids=name_of)
def test_assert_is_for_checks_and_tests(path):
    if path.name != "checks.py":
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert)]
        assert not found
