import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcourse.skeleton import (
    BEGIN,
    END,
    SkeletonError,
    find_regions,
    make_skeleton,
    solution_lines,
)

SOLUTION = '''\
"""A module whose docstring names # BEGIN SOLUTION."""
import numpy


def double(x):
    """Return 2 x."""
    # BEGIN SOLUTION
    y = x + x
    return y
    # END SOLUTION


class Layer:
    """A layer."""

    def call(self, x):
        """Return x + 1."""
        shift = 1
        # BEGIN SOLUTION
        def add(a):
            return a + shift

        return add(x)
        # END SOLUTION


def given(x):
    return x
'''


def test_the_region_becomes_one_raise_and_the_rest_stays():
    skeleton = make_skeleton(SOLUTION, 7)
    assert 'raise NotImplementedError("exercise 07: write double()")' in skeleton
    assert 'raise NotImplementedError("exercise 07: write Layer.call()")' in skeleton
    assert "y = x + x" not in skeleton
    assert "shift = 1" in skeleton
    assert skeleton.endswith("def given(x):\n    return x\n")
    namespace: dict = {}
    exec(compile(skeleton, "skeleton.py", "exec"), namespace)
    with pytest.raises(NotImplementedError, match=r"write double\(\)"):
        namespace["double"](1)


def test_the_enclosing_function_is_the_task():
    assert [region.task for region in find_regions(SOLUTION)] == [
        "double",
        "Layer.call",
    ]
    assert "return y" in solution_lines(SOLUTION)


def test_text_without_markers_is_unchanged():
    assert make_skeleton("x = 1\r\ny = 2", 1) == "x = 1\r\ny = 2"


def test_windows_line_ends_stay():
    skeleton = make_skeleton(SOLUTION.replace("\n", "\r\n"), 7)
    assert "\n" not in skeleton.replace("\r\n", "")


def body(text: str) -> str:
    """A function with a docstring and this body."""
    return 'def f(x):\n    """Return x."""\n' + textwrap.indent(
        textwrap.dedent(text), "    "
    )


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        (body(f"{BEGIN}\n{BEGIN}\nreturn x\n{END}\n"), 4, "nested"),
        (body(f"{BEGIN}\nreturn x\n"), 3, "never closed"),
        (body(f"return x\n{END}\n"), 4, "without"),
        (body(f"# BEGIN SOLUTOIN\nreturn x\n{END}\n"), 3, "misspelt"),
        (body(f"{BEGIN}\nreturn x\n# end solution\n"), 5, "misspelt"),
        (body(f"#BEGIN SOLUTION\nreturn x\n{END}\n"), 3, "misspelt"),
        (body(f"### BEGIN SOLUTION\nreturn x\n{END}\n"), 3, "misspelt"),
        (body(f"{BEGIN} 1\nreturn x\n{END}\n"), 3, "misspelt"),
        (body(f"{BEGIN}:\nreturn x\n{END}\n"), 3, "misspelt"),
        (body(f"y = x  {BEGIN}\nreturn y\n{END}\n"), 3, "not alone"),
        (f"{BEGIN}\nx = 1\n{END}\n", 1, "inside one function"),
        (f"def f(x):\n    {BEGIN}\n    return x\n    {END}\n", 2, "no docstring"),
        (body(f"{BEGIN}\n{END}\nreturn x\n"), 3, "no whole statement"),
        (body(f"if x:\n    {BEGIN}\n    x = 1\n    {END}\nreturn x\n"), 4, "whole"),
        (
            body(f"if x:\n    pass\n    {BEGIN}\n    x = 1\nreturn x\n{END}\n"),
            5,
            "cuts",
        ),
        (body(f"{BEGIN}\nreturn x\n    {END}\n"), 3, "indented"),
        (
            body(
                f'def g(y):\n    """Return y."""\n    {BEGIN}\n    return y\n    {END}\n'
            ),
            5,
            "function inside a function",
        ),
        (
            body(f"{BEGIN}\nx = 1\n{END}\n{BEGIN}\nreturn x\n{END}\n"),
            6,
            "second region",
        ),
        (
            body(f"{BEGIN}\nreturn x\n") + body(f"x = 1\n{END}\nreturn x\n"),
            3,
            "inside one function",
        ),
        (
            f'def f(x):\n    {BEGIN}\n    """Return x."""\n    return x\n    {END}\n',
            2,
            "docstring",
        ),
        ("def f(:\n", 1, "not Python"),
        ("x = 1\n\0", 1, "not Python"),
    ],
)
def test_a_wrong_marker_is_refused_with_file_and_line(text, line, rule):
    with pytest.raises(SkeletonError) as caught:
        make_skeleton(text, 1, "07/solution.py")
    assert str(caught.value).startswith(f"07/solution.py:{line}:"), caught.value
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    "comment", ["# The solution begins here.", "# Solution of the equation", "# End."]
)
def test_ordinary_comments_are_no_markers(comment):
    assert make_skeleton(f"{comment}\nx = 1\n", 1) == f"{comment}\nx = 1\n"


names = st.from_regex(r"[a-z]{3,8}_[0-9]{1,3}", fullmatch=True)
statements = st.builds("secret_{0} = {1}".format, names, st.integers(0, 10**6))


@st.composite
def solutions(draw):
    """A module of functions, some with a solution region, and their secret lines."""
    parts, secrets, tasks = [], [], []
    for name in draw(st.lists(names, min_size=1, max_size=5, unique=True)):
        before = draw(st.lists(st.just("kept = 1"), max_size=2))
        inside = draw(st.lists(statements, min_size=1, max_size=4))
        after = draw(st.lists(st.just("return kept"), max_size=1))
        has_region = draw(st.booleans())
        lines = [f"def {name}(x):", f'    """Return {BEGIN}."""']
        lines += [f"    {line}" for line in before]
        if has_region:
            lines += ["    " + line for line in (BEGIN, *inside, END)]
            secrets += inside
            tasks.append(name)
        lines += [f"    {line}" for line in after]
        parts.append("\n".join(lines) + "\n")
    return "\n\n".join(parts), secrets, tasks


@given(solutions())
def test_nothing_leaks_and_the_rest_is_kept(case):
    text, secrets, tasks = case
    skeleton = make_skeleton(text, 1)
    assert not any(line in skeleton for line in secrets)
    assert [region.task for region in find_regions(text)] == tasks
    assert skeleton.count("raise NotImplementedError") == len(tasks)
    assert make_skeleton(skeleton, 1) == skeleton
    signatures = [(node.name, ast.get_docstring(node)) for node in ast.parse(text).body]
    assert signatures == [
        (node.name, ast.get_docstring(node)) for node in ast.parse(skeleton).body
    ]


@given(solutions(), st.data())
def test_a_lost_or_doubled_marker_never_passes(case, data):
    text, _, tasks = case
    lines = text.splitlines()
    markers = [i for i, line in enumerate(lines) if line.strip() in (BEGIN, END)]
    if not markers:
        return
    index = data.draw(st.sampled_from(markers))
    changed = data.draw(
        st.sampled_from(
            [
                lines[:index] + lines[index + 1 :],
                lines[:index] + [lines[index]] + lines[index:],
                lines[:index]
                + [lines[index].replace("SOLU", "SOUL")]
                + lines[index + 1 :],
                lines[:index] + [lines[index].lower()] + lines[index + 1 :],
            ]
        )
    )
    with pytest.raises(SkeletonError, match=r"^solution.py:\d+: "):
        make_skeleton("\n".join(changed) + "\n", 1)


@given(st.text(max_size=200))
def test_any_text_is_returned_or_refused(text):
    try:
        make_skeleton(text, 1)
    except SkeletonError:
        pass
