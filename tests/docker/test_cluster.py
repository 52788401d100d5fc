"""docker/compose.cluster.yml and its files were never run as a whole: so their names are held against each other and the project."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from fieldsvc.app import create_app
from fieldsvc.cli import _parser
from fieldsvc.process import ROLES
from fieldsvc.publishing.streams.opening import servers_of
from fieldsvc.secret_settings import secret_names
from fieldsvc.settings import Settings
from tests.acceptance.service import Service
from tests.databases import drop_database, new_database
from tests.docker.images import faults_of_compose, image_of, instructions
from tests.docker.project import ROOT, Project

DOCKER = ROOT / "docker"
TEXT = (DOCKER / "compose.cluster.yml").read_text()
CLUSTER: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
IMAGE = image_of((DOCKER / "Dockerfile").read_text())
PATRONI_FILE = (DOCKER / "patroni.Dockerfile").read_text()
PATRONI = yaml.safe_load((DOCKER / "patroni.yml").read_text())
START = (DOCKER / "patroni.sh").read_text()
BALANCER = (DOCKER / "haproxy.cfg").read_text()
NATS = (DOCKER / "nats-cluster.conf").read_text()
OTHERS = {"docker/patroni.Dockerfile": image_of(PATRONI_FILE)}
NAMES = {f"FIELDSVC_{name.upper()}" for name in Settings.model_fields}
PROJECT = Project(_parser(), NAMES | {f"FIELDSVC_{name.upper()}_FILE" for name in secret_names(Settings)})
RULE = re.compile(r"use_backend (\w+) if \{ path_reg (\S+) \}")


def test_the_cluster_names_only_what_its_images_and_the_project_have() -> None:
    assert faults_of_compose(TEXT, IMAGE, PROJECT, others=OTHERS) == []


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        ("FIELDSVC_NATS_REPLICAS", "FIELDSVC_NATS_COPIES", "no setting"),
        ("./docker/haproxy.cfg", "./docker/proxy.cfg", "no file of the project"),
        ("secrets: [database_url, master_key, nats_url]", "secrets: [database_url, master, nats_url]", "not declared"),
        ("networks: [inside]", "networks: [outside]", "not declared"),
        ("docker/patroni.Dockerfile", "docker/postgres.Dockerfile", "not built from"),
        ("etcd:v3.5.21", "etcd", "no tag"),
        ('"database1:/var/lib/postgresql"', '"database1:/var/lib/pg"', "keeps"),
        ("serve, --roles, web", "serve, --parts, web", "no option --parts"),
        ("depends_on: [etcd1,", "depends_on: [etcd0,", "no service"),
    ],
)
def test_a_wrong_name_in_the_cluster_is_found(said: str, instead: str, fault: str) -> None:
    assert said in TEXT
    found = faults_of_compose(TEXT.replace(said, instead), IMAGE, PROJECT, others=OTHERS)
    assert any(fault in sentence for sentence in found), found


def test_every_role_runs_on_two_nodes_and_the_balancer_knows_exactly_these() -> None:
    backends = {
        name: set(re.findall(r"^  server (\w+) \1:8080$", body, re.MULTILINE))
        for name, body in re.findall(r"^backend (\w+)\n((?:  .*\n?)+)", BALANCER, re.MULTILINE)
    }
    assert backends == {role: {name for name in CLUSTER if roles_of(name) == role} for role in ROLES}
    assert all(len(nodes) == 2 for nodes in backends.values())
    assert IMAGE.ports == {8080}
    assert "option httpchk GET /readyz" in BALANCER


def roles_of(name: str) -> str | None:
    command = CLUSTER[name].get("command", [])
    return command[command.index("--roles") + 1] if "--roles" in command else None


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = new_database(postgres_url)
    made = Service(url, tmp_path_factory.mktemp("var"))
    yield made
    made.close()
    drop_database(postgres_url, url)


def test_the_balancer_sends_every_request_to_nodes_that_have_its_route(service: Service) -> None:
    async def routes(role: str) -> set[tuple[str, str]]:
        app = create_app(service.platform, roles=frozenset({role}))
        return {(each.method, each.resource.canonical) for each in app.router.routes() if each.resource is not None}

    served = {role: service.call(routes(role)) for role in ROLES}
    every = {route for routes_of_role in served.values() for route in routes_of_role if route[0] != "*"}
    assert len(every) > 200
    for method, path in sorted(every - {("GET", "/metrics"), ("HEAD", "/metrics")}):
        for part in ("018f3c7e-0000-7000-8000-000000000001", "run-2026-11-21-T07"):
            chosen = backend_of(re.sub(r"\{[^}]*\}", part, path))
            assert (method, path) in served[chosen], (method, path, chosen)


def backend_of(path: str) -> str:
    """Do as the balancer does."""
    rules = RULE.findall(BALANCER)
    assert len(rules) == BALANCER.count("use_backend ")
    (otherwise,) = re.findall(r"default_backend (\w+)", BALANCER)
    return next((str(backend) for backend, pattern in rules if re.search(pattern, path)), str(otherwise))


def test_patroni_finds_its_etcd_its_passwords_its_scripts_and_a_strict_standby() -> None:
    copied = {word for each in instructions(PATRONI_FILE) if each.name == "COPY" for word in each.words[:-1]}
    kept_out = (DOCKER / "patroni.Dockerfile.dockerignore").read_text().splitlines()
    files = {word for word in copied if not word.startswith("--")}
    assert all((ROOT / word).is_file() for word in files)
    assert files == {line.removeprefix("!") for line in kept_out if line.startswith("!")}
    assert {host.partition(":")[0] for host in PATRONI["etcd3"]["hosts"].split(",")} <= CLUSTER.keys()
    said = PATRONI["bootstrap"]["dcs"]
    assert (said["synchronous_mode"], said["synchronous_mode_strict"]) == (True, True)
    limits = said["postgresql"]["parameters"]
    (login_limit,) = re.findall(r"connection limit (\d+)", (DOCKER / "patroni_login.sql").read_text())
    assert int(login_limit) <= limits["max_connections"] - limits["superuser_reserved_connections"]
    processes = sum(roles_of(name) is not None for name in CLUSTER)
    assert processes * (Settings().pool_size + 2) < int(login_limit)
    nodes = [each for name, each in CLUSTER.items() if name.startswith("database")]
    for node in nodes:
        assert set(re.findall(r"/run/secrets/(\w+)", START)) == set(node["secrets"])
    assert {node["environment"]["PATRONI_NAME"] for node in nodes} == {n for n in CLUSTER if n.startswith("database")}
    assert PATRONI["bootstrap"]["post_bootstrap"].split() == ["/usr/local/bin/patroni.sh", "login"]


def test_nodes_are_told_every_database_and_every_broker_and_where_writes_are_taken() -> None:
    (database,) = re.findall(r'echo "(postgresql://.*)" >', TEXT)
    assert database.endswith("@database1,database2,database3/fieldsvc?target_session_attrs=read-write")
    (brokers,) = re.findall(r'echo "(nats://.*)" >', TEXT)
    found = servers_of(re.sub(r"\$\([^)]*\)", "word", brokers))
    assert {each.rpartition("@")[2].partition(":")[0] for each in found} == {n for n in CLUSTER if n.startswith("nats")}
    assert set(re.findall(r"nats://(\w+):6222", NATS)) == {n for n in CLUSTER if n.startswith("nats")}
    assert "sync_interval: always" in NATS
