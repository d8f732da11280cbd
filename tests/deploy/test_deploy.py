"""The manifests agree with the code: ports, commands, settings, users, versions, metrics. Nothing here needs Docker."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import typer

from aftercall import __version__
from connectors.metrics import DEFINITIONS
from deploy.manifests import DEPLOY, KUBERNETES, dockerfile, document, image_environment, within
from flows.cli.main import app
from flows.service.health_server import PATHS
from flows.service.signals import WITHIN_S
from flows.settings.loading import Settings, load

YAML = sorted(DEPLOY.rglob("*.yaml"))
CUSTOM = {"kustomization.yaml", "podmonitor.yaml"}  # schemas of their own, which no package holds
BUILT_IN = [path for path in sorted(KUBERNETES.glob("*.yaml")) if path.name not in CUSTOM]


def name_of(path: Path) -> str:
    return path.name


def pod() -> Any:
    return document(KUBERNETES / "statefulset.yaml")["spec"]["template"]["spec"]


def container() -> Any:
    (only,) = pod()["containers"]
    return only


def compose(service: str) -> Any:
    return document(DEPLOY / "compose.yaml")["services"][service]


def settings_in_kubernetes(tmp_path: Path) -> Settings:
    file = tmp_path / "aftercall.toml"
    file.write_text(document(KUBERNETES / "configmap.yaml")["data"]["aftercall.toml"], encoding="utf-8")
    return load(file)


@pytest.mark.parametrize("path", YAML, ids=name_of)
def test_every_file_is_yaml_without_a_key_that_stands_twice(path: Path) -> None:
    assert document(path)


@pytest.mark.parametrize("path", BUILT_IN, ids=name_of)
def test_kubernetes_would_take_the_manifest(path: Path) -> None:
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kustomize_takes_all_manifests_but_the_example_and_the_operator_s() -> None:
    listed = set(document(KUBERNETES / "kustomization.yaml")["resources"])
    assert listed == {path.name for path in BUILT_IN} - {"secret.example.yaml"}


def test_every_manifest_is_of_one_application_and_of_no_namespace() -> None:
    for path in KUBERNETES.glob("*.yaml"):
        manifest = document(path)
        assert "namespace" not in dict(within(manifest))
        if path.name != "kustomization.yaml":
            assert manifest["metadata"]["labels"] == {"app.kubernetes.io/name": "aftercall"}
            selectors = [value for key, value in within(manifest) if key in {"selector", "matchLabels"}]
            for selector in selectors:
                assert {"app.kubernetes.io/name": "aftercall"} in (selector, selector.get("matchLabels"))


@pytest.mark.parametrize("path", YAML, ids=name_of)
def test_images_have_a_version_and_ours_is_that_of_the_code(path: Path) -> None:
    for key, image in within(document(path)):
        if key == "image":
            assert re.fullmatch(r"(apache/kafka:\d+\.\d+\.\d+|aftercall:" + re.escape(__version__) + ")", image)
        if key == "newTag":
            assert image == __version__


@pytest.mark.parametrize("path", YAML, ids=name_of)
def test_bytewax_s_own_server_stays_off(path: Path) -> None:
    assert "BYTEWAX_DATAFLOW_API" not in str(document(path))


def test_the_settings_of_the_compose_file_are_settings() -> None:
    assert load(DEPLOY / "aftercall.toml").kafka.brokers == "kafka:19092"
    environment = compose("kafka")["environment"]
    assert "INSIDE://kafka:19092" in environment["KAFKA_ADVERTISED_LISTENERS"].split(",")


def test_the_settings_in_kubernetes_are_settings_and_the_password_is_where_they_point(tmp_path: Path) -> None:
    kafka = settings_in_kubernetes(tmp_path).kafka
    (password,) = kafka.librdkafka_files.values()
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    secret = document(KUBERNETES / "secret.example.yaml")
    assert volumes["kafka"]["secret"]["secretName"] == secret["metadata"]["name"]
    assert password in {f"{mounts['kafka']}/{key}" for key in secret["stringData"]}
    # A mount within another one fails on a read-only volume.
    paths = list(mounts.values())
    assert not [(a, b) for a in paths for b in paths if a != b and b.startswith(f"{a}/")]


def commands() -> list[list[str]]:
    services = document(DEPLOY / "compose.yaml")["services"].values()
    lines = [container()["args"], *(service["command"] for service in services if "command" in service)]
    return [[re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", word) for word in line] for line in lines]


@pytest.mark.parametrize("line", commands(), ids=" ".join)
def test_the_command_line_knows_the_commands(line: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    words = list(line)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    assert command.make_context(line[0], words)


def test_there_is_a_metrics_port_for_every_process_where_the_process_listens(tmp_path: Path) -> None:
    args = container()["args"]
    processes = int(args[args.index("--processes") + 1])
    port = settings_in_kubernetes(tmp_path).service.port
    expected = [("metrics" if i == 0 else f"metrics-{i}", port + i) for i in range(processes)]
    assert [(each["name"], each["containerPort"]) for each in container()["ports"]] == expected
    service = document(KUBERNETES / "service.yaml")["spec"]["ports"]
    assert [(each["name"], each["port"], each["targetPort"]) for each in service] == [(n, p, n) for n, p in expected]
    monitor = document(KUBERNETES / "podmonitor.yaml")["spec"]["podMetricsEndpoints"]
    assert [each["port"] for each in monitor] == [name for name, _ in expected]
    assert compose("pipeline")["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_probes_ask_what_the_server_answers() -> None:
    probes = {kind: container()[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {probe["path"] for probe in probes.values()} <= set(PATHS)
    assert {probe["port"] for probe in probes.values()} == {"metrics"}
    assert probes["readiness"]["path"] == "/readyz"
    assert probes["liveness"]["path"] == probes["startup"]["path"] == "/healthz"


def test_nothing_but_the_folder_of_the_pipeline_can_be_written_and_that_is_a_volume() -> None:
    folder = image_environment()["AFTERCALL_SERVICE__FOLDER"]
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"name": "data", "mountPath": folder} in container()["volumeMounts"]
    (claim,) = document(KUBERNETES / "statefulset.yaml")["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    assert compose("pipeline")["read_only"] is True
    assert compose("pipeline")["volumes"] == [f"data:{folder}"]


def test_the_pod_is_one_and_its_user_is_the_image_s() -> None:
    (user,) = [rest for name, rest in dockerfile() if name == "USER"]
    context = pod()["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert context["runAsNonRoot"] is True
    assert container()["securityContext"]["allowPrivilegeEscalation"] is False
    assert document(KUBERNETES / "statefulset.yaml")["spec"]["replicas"] == 1


def test_a_stop_is_given_more_time_than_it_takes() -> None:
    assert pod()["terminationGracePeriodSeconds"] > 2 * WITHIN_S
    assert compose("pipeline")["stop_grace_period"] == f"{pod()['terminationGracePeriodSeconds']}s"


def test_the_compose_file_names_only_what_it_defines() -> None:
    whole = document(DEPLOY / "compose.yaml")
    for service in whole["services"].values():
        assert set(service.get("depends_on", {})) <= set(whole["services"])
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in whole["volumes"]
        for config in service.get("configs", []):
            assert (DEPLOY / whole["configs"][config["source"]]["file"]).is_file()
            assert config["target"] in service["command"]
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def rules() -> list[Any]:
    (group,) = document(DEPLOY / "prometheus" / "rules.yaml")["groups"]
    return list(group["rules"])


def selectors(node: Any) -> list[str]:
    """The names of the metrics in a PromQL expression."""
    found = [str(node.name)] if isinstance(node, promql_parser.VectorSelector) else []
    inner = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "vector_selector", "vs")]
    for each in [*inner, *getattr(node, "args", [])]:
        if each is not None:
            found += selectors(each)
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_rules_are_promql_over_metrics_that_there_are(rule: Any) -> None:
    known = {definition.name: set(definition.labels) for definition in DEFINITIONS}
    names = selectors(promql_parser.parse(rule["expr"]))
    assert names
    assert set(names) <= set(known)
    assert set(re.findall(r"aftercall_\w+", rule["expr"])) == set(names)
    assert set(re.findall(r"aftercall_\w+", str(rule["annotations"]))) <= set(known)
    used = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))
    assert set(used) <= {"instance", "job"}.union(*(known[name] for name in names))
    assert set(rule["annotations"]) == {"summary", "description"}
    assert rule["labels"]["severity"] in {"warning", "critical"}


def test_rules_fire_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool on the path (it comes with Prometheus)")
    command = [promtool, "test", "rules", str(DEPLOY / "prometheus" / "rules_test.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rule_on_old_snapshots_fires_later_than_a_snapshot_is_due() -> None:
    (rule,) = [rule for rule in rules() if rule["alert"] == "AftercallSnapshotOld"]
    assert int(rule["expr"].rpartition(">")[2]) > 5 * Settings().snapshot.every.total_seconds()


def test_the_page_on_deployment_names_every_file() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for path in [*YAML, DEPLOY / "Dockerfile", DEPLOY / "aftercall.toml"]:
        assert f"`{path.relative_to(DEPLOY)}`" in text
