"""docker/ cannot be built everywhere, and pages are not run: so every name in them is checked against the project."""

from collections.abc import Iterator

import pytest

from fieldsvc.cli import _parser
from fieldsvc.secret_settings import secret_names
from fieldsvc.settings import Settings
from fieldsvc.web.documents import every_router
from fieldsvc.web.middlewares import METRICS
from handlers.registry import discover
from tests.acceptance.service import Service
from tests.databases import drop_database, new_database
from tests.docker.commands import faults_of_command
from tests.docker.images import faults_of_compose, faults_of_dockerfile, image_of, is_ignored
from tests.docker.pages import faults_of_page, logged_events
from tests.docker.project import ROOT, Project

DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
IGNORE = (DOCKER / "Dockerfile.dockerignore").read_text()
COMPOSE = (DOCKER / "compose.yaml").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
SETTINGS = frozenset(f"FIELDSVC_{name.upper()}" for name in Settings.model_fields)
FILES = frozenset(f"FIELDSVC_{name.upper()}_FILE" for name in secret_names(Settings))
PARSER = _parser()
PROJECT = Project(PARSER, SETTINGS | FILES)


def test_the_image_names_only_what_the_project_has() -> None:
    assert faults_of_dockerfile(DOCKERFILE, IGNORE, PROJECT) == []


def test_the_compose_file_names_only_what_the_image_and_the_project_have() -> None:
    assert faults_of_compose(COMPOSE, image_of(DOCKERFILE), PROJECT) == []


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        ("COPY geo geo", "COPY geography geo", "no such file"),
        ("COPY geo geo", "COPY docs docs", "leaves it out"),
        ("python:3.12-slim", "python", "no tag"),
        ("FIELDSVC_VAR_DIR", "FIELDSVC_VAR_FOLDER", "no setting"),
        ("USER fieldsvc\n", "", "runs as root"),
        ("USER fieldsvc\n", "USER root\n", "runs as root"),
        ("/readyz", "/ready", "/readyz"),
        ("8080, timeout", "8081, timeout", "another port"),
        ("EXPOSE 8080", "EXPOSE 80", "not the one"),
        ('"--port", "8080"', '"--listen", "8080"', "no option --listen"),
        ('"serve"', '"start"', "no start"),
        ('"0.0.0.0"', '"127.0.0.1"', "reaches it"),
        ("RUN /opt/fieldsvc/bin/python -m fieldsvc.web.pages.assets\n", "", "assets"),
        ("requirements/assets.txt requirements/\n", "requirements/\n", "locked npm"),
        ('ENTRYPOINT ["fieldsvc"]', 'ENTRYPOINT ["python"]', "does not run"),
    ],
)
def test_a_wrong_name_in_the_image_is_found(said: str, instead: str, fault: str) -> None:
    assert said in DOCKERFILE
    found = faults_of_dockerfile(DOCKERFILE.replace(said, instead), IGNORE, PROJECT)
    assert any(fault in sentence for sentence in found), found


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        ("postgres:18", "postgres", "no tag"),
        ("FIELDSVC_DATABASE_URL", "FIELDSVC_DATABASE", "no setting"),
        ("- files:/var", "- data:/var", "not declared"),
        ("files:/var/lib/fieldsvc", "files:/var/lib/other", "keeps"),
        ("8080:8080", "8080:80", "does not expose"),
        ("dockerfile: docker/Dockerfile", "dockerfile: Dockerfile", "not built from"),
        ("context: ..", "context: .", "not built from"),
        ("depends_on:\n      database", "depends_on:\n      store", "no service"),
        ("fieldsvc account create", "fieldsvc account make", "no make"),
        ("stop_grace_period", "command: [serve, --colour, red]\n    stop_grace_period", "no option --colour"),
    ],
)
def test_a_wrong_name_in_the_compose_file_is_found(said: str, instead: str, fault: str) -> None:
    assert said in COMPOSE
    found = faults_of_compose(COMPOSE.replace(said, instead), image_of(DOCKERFILE), PROJECT)
    assert any(fault in sentence for sentence in found), found


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("fieldsvc", False),
        ("fieldsvc/app.py", False),
        ("fieldsvc/web/pages/static/vendor", True),
        ("fieldsvc/web/pages/static/vendor/maplibre-gl.css", True),
        ("fieldsvc/web/__pycache__", True),
        ("requirements/run.txt", False),
        ("requirements/test.txt", True),
        ("var", True),
        (".git", True),
    ],
)
def test_the_build_sees_the_project_and_nothing_else(path: str, ignored: bool) -> None:
    assert is_ignored(path, IGNORE) is ignored


@pytest.mark.parametrize(
    "line",
    [
        "serve --roles intake --port 0",
        "import roster FILE",
        "quarantine list|show ID",
        "account create supervisor EMAIL --site SITE --json > person.json",
        "bench",
    ],
)
def test_a_command_line_of_a_page_is_understood(line: str) -> None:
    assert faults_of_command(line, PARSER) == []


@pytest.mark.parametrize(
    "line", ["serv", "import rooster FILE", "quarantine list --colour", "bench ingest all more", "import roster A B"]
)
def test_a_command_line_that_does_not_exist_is_found(line: str) -> None:
    assert faults_of_command(line, PARSER)


@pytest.fixture(scope="module")
def project(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The project with what only a running service can tell: its metrics and its routes."""
    url = new_database(postgres_url)
    service = Service(url, tmp_path_factory.mktemp("var"))
    try:
        known = service.app[METRICS].registry._names_to_collectors
        metrics = {name: tuple(getattr(found, "_labelnames", ())) for name, found in known.items()}
        yield Project(PARSER, SETTINGS | FILES, metrics=metrics, events=logged_events() | _types(), routes=_routes())
    finally:
        service.close()
        drop_database(postgres_url, url)


def _types() -> set[str]:
    registry = discover()
    return {*registry.by_type, *registry.public}


def _routes() -> set[tuple[str, str]]:
    return {(each.method, each.resource.canonical) for each in every_router().routes() if each.resource is not None}


@pytest.mark.parametrize("name", ["docs/operating.md", "README.md"])
def test_a_page_names_only_what_exists(project: Project, name: str) -> None:
    assert faults_of_page((ROOT / name).read_text(), project) == []


def test_every_setting_is_on_the_operators_page() -> None:
    assert [name for name in sorted(SETTINGS) if f"`{name}`" not in OPERATING] == []


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("`FIELDSVC_COLOUR=red`", "FIELDSVC_COLOUR is no setting"),
        ("`fieldsvc quarantine forget ID`", "no forget"),
        ("```sh\nmake run\n.venv/bin/fieldsvc serve --colour\n```", "no option --colour"),
        ("`fieldsvc_colours_total`", "no metric"),
        ("`fieldsvc_events_total{colour}`", "no label colour"),
        ("`colour.changed`", "no log line"),
        ("`GET /v1/colours`", "no route"),
    ],
)
def test_a_wrong_name_on_a_page_is_found(project: Project, said: str, fault: str) -> None:
    found = faults_of_page(f"Some words.\n\n{said}\n", project)
    assert len(found) == 1
    assert fault in found[0]
