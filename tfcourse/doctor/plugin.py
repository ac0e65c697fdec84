"""The TensorBoard tab "Doctor": a dynamic plugin that shows the findings of each run.

TensorBoard finds it by the entry point `tensorboard_plugins`. It reads with TensorBoard's
data provider, so it works with both of its loaders, and writes nothing. Runs that
Recorder didn't record are diagnosed from their event files by `tab_diagnosis`.

Source: TensorBoard's ADDING_A_PLUGIN.md, version 2.21.
"""

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tensorboard import plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import Request, Response

from tfcourse.doctor import tab_runs
from tfcourse.doctor.tab_diagnosis import BackgroundDiagnosis
from tfcourse.doctor.tab_series import read_series

STATIC_FOLDER = Path(__file__).parent / "static"
CONTENT_TYPES = {".js": "text/javascript", ".css": "text/css"}
MAX_TAGS = 24  # Of one request for series; a finding's charts need fewer.


class DoctorPlugin(base_plugin.TBPlugin):  # type: ignore[misc]
    """Serves the tab's files and, as JSON, what they show.

    Args:
        context: TensorBoard's data provider and logdir.
    """

    plugin_name = tab_runs.PLUGIN_NAME

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._provider = context.data_provider
        self._logdir = context.logdir or ""
        self._diagnosis = BackgroundDiagnosis(self._logdir)

    def get_plugin_apps(self) -> dict[str, Callable[..., Any]]:
        """Return the routes: one for each file of the tab, and those that give JSON."""
        routes = {
            "/runs": self._runs,
            "/run": self._run,
            "/series": self._series,
            "/explanation": self._explanation,
        }
        apps = {route: _json_app(answer) for route, answer in routes.items()}
        for path in STATIC_FOLDER.iterdir():
            if path.suffix in CONTENT_TYPES:
                apps[f"/{path.name}"] = _file_app(path)
        return apps

    def is_active(self) -> bool:
        """Return False: data of the plugins below make the tab active."""
        return False

    def data_plugin_names(self) -> tuple[str, ...]:
        """Return whose data the tab reads: scalars alone can be diagnosed as well."""
        return (tab_runs.PLUGIN_NAME, "scalars")

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Return how TensorBoard shows the tab."""
        return base_plugin.FrontendMetadata(
            es_module_path="/index.js", tab_name="Doctor"
        )

    def _all_runs(
        self, request: Request, only: str | None = None
    ) -> dict[str, tab_runs.Run]:
        """Return the runs, or none but `only`, with what is known of them by now."""
        runs = tab_runs.read_runs(self._source(request), only)
        if only is not None:
            runs = {name: run for name, run in runs.items() if name == only}
        for run in runs.values():
            if not run.recorded:
                run.take(self._diagnosis.answer(run.name))
        return {name: run for name, run in runs.items() if run.is_training}

    def _source(self, request: Request) -> tab_runs.Source:
        return tab_runs.Source(
            self._provider,
            plugin_util.context(request.environ),
            plugin_util.experiment_id(request.environ),
        )

    def _runs(self, request: Request) -> tuple[dict[str, Any], int]:
        """Answer with all runs in short; with little if `known` is the newest version."""
        runs = [run.summary() for run in self._all_runs(request).values()]
        codes = {finding["fault"] for run in runs for finding in run["findings"]}
        answer = {
            "runs": runs,
            "titles": {code: _title(code) for code in sorted(codes)},
            "logdir": self._logdir,
        }
        text = json.dumps(answer, sort_keys=True, default=str)
        version = hashlib.sha256(text.encode()).hexdigest()[:16]
        if request.args.get("known") == version:
            return {"version": version, "unchanged": True}, 200
        return {**answer, "version": version}, 200

    def _run(self, request: Request) -> tuple[dict[str, Any], int]:
        """Answer with everything about the run `name`."""
        name = request.args.get("name", "")
        run = self._all_runs(request, name).get(name)
        if run is None:
            return {"error": f"no run is called {name!r}"}, 404
        if not run.recorded:
            self._diagnosis.hurry(name)
        return run.details(), 200

    def _series(self, request: Request) -> tuple[dict[str, Any], int]:
        """Answer with the scalars `tag` (any number of them) of the run `run`."""
        tags = request.args.getlist("tag")
        if len(tags) > MAX_TAGS:
            return {"error": f"at most {MAX_TAGS} tags at once; got {len(tags)}"}, 400
        name = request.args.get("run", "")
        run = self._all_runs(request, name).get(name)
        if run is None:
            return {"error": f"no run is called {name!r}"}, 404
        return {"series": read_series(self._source(request), run, tags)}, 200

    def _explanation(self, request: Request) -> tuple[dict[str, Any], int]:
        """Answer with the text about the fault `fault`."""
        code = request.args.get("fault", "")
        fault = _faults().get(code)
        if fault is None:
            return {"error": f"no text about {code!r}"}, 404
        names = ("code", "title", "what", "looks_like", "causes", "helps", "example")
        answer = {name: getattr(fault, name, "") for name in (*names, "sources")}
        return answer, 200


def _faults() -> Mapping[str, Any]:
    """Return the explanations by code, which the tab can do without."""
    try:
        faults: Mapping[str, Any] = importlib.import_module(
            "tfcourse.doctor.faults"
        ).FAULTS
    except ImportError:
        return {}
    return faults


def _title(code: str) -> str:
    fault = _faults().get(code)
    return str(fault.title) if fault else code.replace("-", " ")


def _json_app(
    answer: Callable[[Request], tuple[dict[str, Any], int]],
) -> Callable[..., Any]:
    """Return a WSGI application that answers GET with JSON."""

    @Request.application
    def application(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            content, code = {"error": "only GET is answered"}, 405
        else:
            content, code = answer(request)
        response: Response = http_util.Respond(
            request, content, "application/json", code=code
        )
        return response

    return application


def _file_app(path: Path) -> Callable[..., Any]:
    """Return a WSGI application that answers with one file."""

    @Request.application
    def application(request: Request) -> Response:
        response: Response = http_util.Respond(
            request, path.read_bytes(), CONTENT_TYPES[path.suffix]
        )
        return response

    return application
