"""The tab in a real headless Chromium, against a real TensorBoard."""

import contextlib
import math
import time

import pytest

from tests.doctor.browser import Browser, find_programs
from tests.doctor.event_files import EventFile, finding, write_run
from tests.doctor.tensorboard_process import tensorboard

pytestmark = pytest.mark.browser

HOSTILE = "<b id=hostile>bold</b> <img src=x onerror=alert(1)>"
NUM_RUNS = 50
CODES = (
    "vanishing-gradients",
    "dead-relu",
    "overfitting",
    "label-noise",
    "data-leakage",
)
SUMMARY = ".findings > li:nth-child({}) summary"
# Elements of TensorBoard's dashboards that show one tag, also in shadow roots.
CARDS = """
const [name, tag] = arguments;
const found = [];
const visit = (root) => {
  for (const element of root.querySelectorAll("*")) {
    const isVisible = element.getClientRects().length > 0;
    if (element.localName === name && isVisible) found.push(element);
    if (element.shadowRoot) visit(element.shadowRoot);
  }
};
visit(document);
"""
SHOWN = CARDS + "return found.some((card) => card.tag === tag);"
OTHERS = CARDS + "return found.filter((card) => card.run?.startsWith('run_')).length;"


def several_findings():
    """Return three findings of different severity; the first links everywhere."""
    dashboards = {
        "scalars": "dead_units/dense_1",
        "timeseries": "dead_units/dense_1",
        "histograms": "activations/dense_1",
        "distributions": "activations/dense_1",
        "images": "images/inputs",
        "text": "cards/model",
        "graphs": "",
        "elsewhere": "javascript:alert(1)",
    }
    see = [{"dashboard": name, "tag": tag} for name, tag in dashboards.items()]
    evidence = [
        {
            "rule": "The gradient shrinks by more than 1000 times.",
            "numbers": {"ratio": 56234.1},
            "series": ["gradient_norm/dense/kernel"],
        }
    ]
    return [
        finding(see=see),
        finding("vanishing-gradients", "warning", 0.71, "dense", evidence=evidence),
        finding("class-imbalance", "note", 0.5, "", evidence=[], see=[]),
    ]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Return the address of a TensorBoard (the fast loader's) over many runs."""
    find_programs()
    logdir = tmp_path_factory.mktemp("logs")
    write_run(logdir / "mine", several_findings())
    write_run(logdir / "fine", [])
    write_run(
        logdir / HOSTILE, [finding(layer=HOSTILE, message=HOSTILE, remedy=HOSTILE)]
    )
    with EventFile(logdir / "plain" / "train") as file:
        file.scalars("epoch_loss", [3.0, 2.0, math.nan, 0.5])
    for number in range(NUM_RUNS):
        findings = [
            finding(CODES[(number + i) % 5], "error", 0.9, f"dense_{i}")
            for i in range(10)
        ]
        write_run(logdir / f"run_{number}", findings if number % 3 else [])
    folder = tmp_path_factory.mktemp("environment")
    with tensorboard(logdir, folder, "--load_fast=true") as (url, lines):
        yield url
    assert not [line for line in lines if "In 3.0" in line or "Traceback" in line]


@pytest.fixture(scope="module")
def window():
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(board, window):
    """Return the browser with the tab open, once TensorBoard has read all runs."""
    window.resize(1280, 900)
    window.open(board + "#doctor")
    count = f"(answer) => answer.runs.length === {NUM_RUNS + 4}"
    runs = "fetch('data/plugin/doctor/runs').then((response) => response.json())"
    window.wait(f"return {runs}.then({count})")
    return window


@pytest.fixture
def tab(opened, board):
    """Return the browser in the tab, as if nobody had used it."""
    opened.top()
    opened.resize(1280, 900)
    if not opened.run("return location.href").startswith(board):
        opened.open(board + "#doctor")
    opened.run("location.hash = '#doctor'")
    opened.enter_tab()
    opened.logs()
    # The frame alone is loaded anew, which is quicker.
    opened.run("""
      sessionStorage.clear();
      document.body.dataset.state = "";
      location.reload();
    """)
    opened.enter_tab()
    return opened


def choose(tab, name):
    """Select a run and wait until its findings are there."""
    script = """
      const option = [...document.querySelectorAll("[role=option]")]
        .find((one) => one.querySelector(".name").textContent === arguments[0]);
      option?.click();
      return document.querySelector("#run-name").textContent === arguments[0]
        && !!document.querySelector(".verdict, .finding");
    """
    tab.wait(script, name)


def of_policy(messages):
    return [line for line in messages if "Content Security Policy" in line]


def test_a_finding_is_shown_with_everything(tab):
    choose(tab, "mine")
    tab.wait("return document.querySelectorAll('details .chart').length === 2")
    first = tab.text(".findings > li:nth-child(1)")
    for part in (
        "error",
        "Dead ReLU units",
        "very likely (93 %)",
        "Most units of dense_1 give 0",
        "layer dense_1, steps 40 to 160",
        "More than 50 % of the units",
        "threshold\n0.5",
        "keras.optimizers.Adam(1e-3)",
    ):
        assert part in first, part
    severities = tab.text(".findings .severity").split("\n")
    assert severities == ["error", "warning", "note"]
    chart = tab.run("return document.querySelector('.chart').outerHTML")
    assert 'class="range"' in chart and ">step<" in chart and ">dead units<" in chart
    assert "Chart of dead_units/dense_1. train: 0.00" in chart
    both = tab.run("return document.querySelectorAll('.chart')[1].outerHTML")
    assert "line validation" in both and 'class="range"' not in both
    assert ">epoch<" in both


def test_a_series_over_many_decades_has_a_logarithmic_axis(tab):
    choose(tab, "mine")
    tab.click(SUMMARY.format(2))
    tab.wait("return document.querySelectorAll('details .chart').length === 3")
    labels = tab.run("return document.querySelectorAll('.chart')[2].textContent")
    assert "gradient norm, log scale" in labels and "1e-3" in labels


def test_a_healthy_run_says_so(tab):
    choose(tab, "fine")
    assert tab.text(".verdict") == "No fault found."
    assert not tab.text(".findings")
    tab.wait("return document.querySelectorAll('.losses .chart').length === 2")


def test_a_run_that_was_not_recorded_says_so(tab):
    choose(tab, "plain")
    tab.wait("return !!document.querySelector('.notice')")
    assert "Not recorded by the doctor" in tab.text(".notices")
    assert "gradients" in tab.text(".notices")
    tab.wait("return document.querySelectorAll('.losses .cross').length > 0")
    label = "return document.querySelector('.losses .chart').getAttribute('aria-label')"
    assert "1 value not finite" in tab.run(label)


def test_text_of_logs_is_never_html(tab):
    choose(tab, HOSTILE)
    assert tab.text("#run-name") == HOSTILE
    assert HOSTILE in tab.text(".findings .message")
    assert HOSTILE in tab.text(".findings pre")
    tab.click("[data-view=compare]")
    assert HOSTILE in tab.text("table")
    assert tab.run("return document.querySelectorAll('#hostile, img').length") == 0


def test_the_security_policy_holds(tab):
    choose(tab, "mine")
    assert not of_policy(tab.logs())
    tab.run("""
      const script = document.createElement("script");
      script.textContent = "window.ranInline = true";
      document.body.append(script);
      document.body.setAttribute("style", "color: rgb(1, 2, 3)");
    """)
    assert tab.run("return window.ranInline === undefined")
    color = tab.run("return getComputedStyle(document.body).color")
    assert color != "rgb(1, 2, 3)"
    assert len(of_policy(tab.logs())) >= 2


def test_links_open_the_dashboard_at_the_tag_of_the_run(tab):
    choose(tab, "mine")
    for dashboard, card, tag in (
        ("scalars", "tf-scalar-card", "dead_units/dense_1"),
        ("histograms", "tf-histogram-loader", "activations/dense_1"),
        ("distributions", "tf-distribution-loader", "activations/dense_1"),
        ("images", "tf-image-loader", "images/inputs"),
        ("text", "tf-text-loader", "cards/model"),
    ):
        tab.click(f".see a[href*='#{dashboard}']")
        tab.top()
        tab.wait(SHOWN, card, tag)
        assert tab.run("return location.hash").startswith(f"#{dashboard}&")
        assert tab.run(OTHERS, card, tag) == 0
        tab.run("location.hash = '#doctor'")
        tab.enter_tab()


def test_a_link_opens_the_time_series_at_the_tag_of_the_run(tab):
    choose(tab, "mine")
    tab.click(".see a[href*='#timeseries']")
    tab.top()
    cards = "[...document.querySelectorAll('scalar-card')]"
    tab.wait(f"return {cards}.some((card) => card.innerText.includes('dead_units'))")
    assert tab.run(f"return {cards}.length") == 1
    assert "run_" not in tab.run(f"return {cards}[0].innerText")


def test_a_link_opens_the_graph_of_the_run(tab):
    choose(tab, "mine")
    tab.click(".see a[href*='#graphs']")
    tab.top()
    named = CARDS + "return found.some((e) => e.textContent.endsWith(tag));"
    tab.wait(named, "text", "images_of_mine")
    assert tab.run("return location.hash") == "#graphs&run=mine"


def test_a_dashboard_that_does_not_exist_is_no_link(tab):
    choose(tab, "mine")
    assert "elsewhere: javascript:alert(1)" in tab.text(".see")
    links = tab.run("return [...document.querySelectorAll('a')].map((a) => a.href)")
    assert len(links) == 7 and not [link for link in links if "javascript" in link]


def test_after_a_link_the_tab_is_as_it_was(tab):
    choose(tab, "mine")
    tab.click(SUMMARY.format(2))
    tab.click(".see a[href*='#timeseries']")
    tab.top()
    tab.wait("return document.querySelectorAll('scalar-card').length > 0")
    tab.run("history.back()")
    tab.enter_tab()
    tab.wait("return document.querySelectorAll('details[open]').length === 2")
    assert tab.text("#run-name") == "mine"


def test_a_remedy_is_copied(tab):
    choose(tab, "mine")
    tab.click("[data-key^=copy]")
    tab.wait("return document.querySelector('[data-key^=copy]').innerText === 'Copied'")
    tab.click("#words")
    tab.press("Control+v")
    pasted = tab.wait("return document.querySelector('#words').value")
    assert "keras.optimizers.Adam(1e-3)" in pasted


def test_runs_are_compared_and_filtered(tab):
    tab.click("[data-view=compare]")
    assert (
        tab.run("return document.querySelectorAll('tbody tr').length") == NUM_RUNS + 4
    )
    tab.type("#words", "dead mine")
    assert tab.text("[role=status]") == f"1 of {NUM_RUNS + 4} runs shown"
    heads = tab.run(
        "return [...document.querySelectorAll('thead th')].map((th) => th.innerText)"
    )
    assert len(heads) == 4 and heads[1] == "Dead ReLU units"
    tab.click("td.error")
    tab.wait("return document.activeElement.localName === 'summary'")
    assert "Dead ReLU units" in tab.run("return document.activeElement.innerText")
    assert tab.text("[role=option] .name") == "mine"
    tab.run("document.querySelector('#words').value = 'no such run'")
    tab.type("#words", "!")
    assert tab.text("nav p") == "No run matches."


def test_fifty_runs_are_quick(tab):
    script = """
      const before = performance.now();
      document.querySelector("[data-view=" + arguments[0] + "]").click();
      document.body.getBoundingClientRect();
      return performance.now() - before;
    """
    assert tab.run(script, "compare") < 1000
    assert tab.run(script, "runs") < 500
    took = "return performance.getEntriesByType('resource')"
    took += ".filter((e) => e.name.includes('/runs?'))[0].duration"
    assert tab.run(took) < 2000


def test_the_keyboard_reaches_and_shows_everything(tab):
    choose(tab, "mine")
    tab.click("h1")
    tab.press("Shift+Tab")
    assert tab.run("return document.activeElement.className") == "skip"
    seen = []
    for _ in range(30):
        tab.press("Tab")
        name, key, outline = tab.run("""
          const { localName, dataset, id, className, innerText } = document.activeElement;
          const style = getComputedStyle(document.activeElement);
          return [`${localName} ${id} ${className} ${dataset.view ?? ""} ${innerText}`,
            dataset.key ?? "", style.outlineStyle + " " + style.outlineWidth];
        """)
        if name.startswith("body"):  # Behind the last element.
            break
        seen.append(f"{name} {key}")
        if "input live" not in name:
            assert outline.startswith(("solid", "auto")), (name, outline)
    for wanted in (
        "compare",
        "input words",
        "select only",
        "input live",
        "run mine",
        "summary dead-relu",
        "copy dead-relu",
        "see 0",
        "see 6",
        "explain dead-relu",
        "summary vanishing-gradients",
        "summary class-imbalance",
    ):
        assert [name for name in seen if wanted in name], (wanted, seen)


def test_the_keyboard_does_everything(tab):
    choose(tab, "mine")
    tab.run("document.querySelector('[role=option][aria-selected=true]').focus()")
    tab.press("Down")
    tab.wait("return document.querySelector('#run-name').textContent === 'plain'")
    tab.press("Up", "Enter")
    tab.wait("return document.querySelector('#run-name').textContent === 'mine'")
    tab.wait("return document.querySelectorAll('summary').length === 3")
    tab.run("document.querySelectorAll('summary')[1].focus()")
    tab.press("Enter")
    tab.wait("return document.querySelectorAll('details')[1].open")
    tab.run("document.querySelector('[data-key^=explain]').focus()")
    tab.press("Enter")
    tab.wait("return /What helps/.test(document.querySelector('dialog')?.innerText)")
    tab.press("Escape")
    tab.wait("return !document.querySelector('dialog')")
    assert tab.run("return document.activeElement.dataset.key").startswith("explain")
    tab.run("document.querySelector('[data-view=compare]').focus()")
    tab.press("Space")
    tab.run("document.querySelector('table [tabindex=\"0\"]').focus()")
    tab.press("Down", "Right")
    assert tab.run("return document.activeElement.localName") == "td"


def test_the_theme_is_tensorboards(tab):
    def is_dark():
        return tab.run("return document.documentElement.dataset.theme") == "dark"

    for _ in range(3):  # Its button goes through three themes.
        tab.top()
        tab.click("app-header-dark-mode-toggle button")
        option = "document.querySelectorAll('[mat-menu-item]')"
        names = tab.wait(f"return [...{option}].map((item) => item.innerText)")
        index = next(i for i, name in enumerate(names) if "Dark" in name)
        tab.run(f"{option}[{index}].click()")
        break
    tab.wait("return document.body.classList.contains('dark-mode')")
    tab.enter_tab()
    assert is_dark()
    page, text = tab.run(
        "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    )
    assert page == "rgb(48, 48, 48)" and text == "rgb(241, 241, 241)"


@pytest.mark.parametrize("width", [400, 1900])
def test_nothing_runs_out_of_the_window(tab, width):
    choose(tab, "mine")
    tab.top()
    tab.resize(width, 800)
    tab.enter_tab()
    for view in ("runs", "compare"):
        tab.click(f"[data-view={view}]")
        wide, visible = tab.run(
            "const e = document.scrollingElement; return [e.scrollWidth, innerWidth]"
        )
        assert wide <= visible
    tab.click("[data-view=runs]")
    if width == 400:  # One column: back to the list, and to the run again.
        tab.click(".back")
        assert tab.run("return document.activeElement.getAttribute('role')") == "option"
        assert not tab.run("return document.querySelector('main').offsetParent")
        tab.press("Enter")
        assert tab.run("return document.activeElement.id") == "run-name"


def test_an_empty_logdir_fills_while_the_tab_is_open(window, tmp_path):
    """With the slow loader, below a path: no run, one that goes on, its end."""
    logdir = tmp_path / "logs"
    logdir.mkdir()
    options = ("--load_fast=false", "--path_prefix=/under/this")
    with tensorboard(logdir, tmp_path, *options) as (url, lines):
        window.top()
        window.resize(1280, 700)
        window.open(url + "#doctor")
        window.run("sessionStorage.clear()")
        window.open(url + "#doctor")
        window.enter_tab()
        assert "There is no run yet" in window.text("main")
        assert f'Recorder("{logdir}/mine")' in window.text("main pre")

        write_run(logdir / "mine", several_findings(), finished=False)
        reload(window, "return document.querySelectorAll('.finding').length === 3")
        assert "going on" in window.text(".about")
        window.click(SUMMARY.format(2))
        window.run("document.querySelector('main').scrollTop = 150")
        window.run(
            "document.querySelectorAll('summary')[1].focus({preventScroll: true})"
        )

        newer = [finding("overfitting", "error"), *several_findings()]
        newer[2]["message"] = "The gradient of dense vanishes, still."
        with EventFile(logdir / "mine", time.time() + 1) as file:
            file.scalar("step/loss", 400, 0.1)
            file.doctor("findings", 400, newer)
            file.doctor("probes", 400, {"when": "end"})
        reload(window, "return document.querySelectorAll('.finding').length === 4")
        assert "finished" in window.text(".about")
        focused = window.run("return document.activeElement.innerText")
        assert "vanishes, still" in focused
        opened = "return [...document.querySelectorAll('details')].map((d) => d.open)"
        assert window.run(opened) == [True, True, True, False]
        assert window.run("return document.querySelector('main').scrollTop") >= 150

        window.run("document.querySelector('#live').click()")
    window.run("document.querySelector('#live').click()")
    window.wait("return !!document.querySelector('.alert:not([hidden])')")
    assert not [line for line in lines if "In 3.0" in line or "Traceback" in line]


def reload(window, condition):
    """Press TensorBoard's reload button until the tab has what was written."""
    for _ in range(10):
        window.top()
        window.click("app-header-reload button")
        window.enter_tab()
        with contextlib.suppress(AssertionError):
            return window.wait(condition, seconds=1)
    return window.wait(condition)
