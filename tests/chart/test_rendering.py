"""The objects of the chart are valid, restricted and connected, with every example of values."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.chart.rendering import (
    APIS,
    CHART,
    EXAMPLES,
    KUBERNETES,
    environment,
    helm,
    only,
    pods,
    rendered,
    rendered_text,
    values_of,
)
from tests.support.shared import ROOT

pytestmark = pytest.mark.usefixtures("helm")


@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_lint_passes(example: str) -> None:
    output = helm("lint", "--strict", str(CHART), *KUBERNETES, *values_of(example)).stdout
    assert "1 chart(s) linted, 0 chart(s) failed" in output


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_manifest_fits_its_schema(example: str, kubeconform: Path, schemas: Path) -> None:
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = subprocess.run(
        [kubeconform, "-strict", "-summary", "-output", "json", "-schema-location", location, "-"],
        input=rendered_text(example),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    report = json.loads(done.stdout)
    wrong = [
        f"{each['kind']} {each['name']}: {each['msg']}"
        for each in report["resources"]
        if each["status"] != "statusValid"
    ]
    assert not wrong
    assert report["summary"] == {"valid": len(rendered(example)), "invalid": 0, "errors": 0, "skipped": 0}


def test_kubeconform_would_notice_a_field_that_does_not_exist(kubeconform: Path, schemas: Path) -> None:
    deployment = only(rendered("default"), "Deployment", "vigil-api")
    deployment = yaml.safe_load(yaml.safe_dump(deployment))
    deployment["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = subprocess.run(
        [kubeconform, "-strict", "-schema-location", location, "-"],
        input=yaml.safe_dump(deployment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "readOnlyRootFilesystem" in done.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_container_is_restricted_and_reads_only(example: str) -> None:
    for name, pod in pods(rendered(example)):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is name.endswith("-operator"), name
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_container_has_requests_and_a_memory_limit(example: str) -> None:
    for name, pod in pods(rendered(example)):
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            asked, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert set(asked) == {"cpu", "memory"}, name
            assert "memory" in limits, name
            assert "cpu" not in limits, f"{name}: a limit of CPU only makes it wait"


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_long_running_container_has_probes(example: str) -> None:
    for name, pod in pods(rendered(example)):
        if name.startswith(("Job/", "Pod/")):
            continue
        for container in pod["spec"]["containers"]:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), name


@pytest.mark.parametrize(
    ("release", "given", "lease"),
    [
        ("vigil", "", "vigil-operator"),
        ("a", "", "a-vigil-operator"),
        ("b", "", "b-vigil-operator"),
        ("vigil-prod", "vigil-operator", "vigil-operator"),
        ("a", "7", "7"),
    ],
)
def test_each_release_may_use_its_own_lease_only(release: str, given: str, lease: str) -> None:
    """The Lease is the release's own or the one in operator.leaseName, and the Role allows no other."""
    sets = ["--set-string", f"operator.leaseName={given}"] if given else []
    text = helm("template", release, str(CHART), "--namespace", "one", *KUBERNETES, *sets).stdout
    objects = [each for each in yaml.safe_load_all(text) if each]
    name = release if "vigil" in release else f"{release}-vigil"
    operator = only(objects, "Deployment", f"{name}-operator")["spec"]["template"]["spec"]["containers"][0]
    assert environment(operator)["VIGIL_LEASE_NAME"] == lease
    rules = only(objects, "Role", f"{name}-operator-lease")["rules"]
    assert [each["resourceNames"] for each in rules if "update" in each["verbs"]] == [[lease]]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_named_object_exists(example: str) -> None:
    objects = rendered(example)
    accounts = {each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"} | {"default"}
    services = {each["metadata"]["name"] for each in objects if each["kind"] == "Service"}
    secrets = {
        f"{each['metadata']['name']}/{key}" for each in objects if each["kind"] == "Secret" for key in each["data"]
    }
    given = set(re.findall(r"vigil-(?:bus|api|registry|qdrant|database)/[a-z-]+", "\n".join(_secret_keys(objects))))
    for name, pod in pods(objects):
        assert pod["spec"]["serviceAccountName"] in accounts, name
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            for value in environment(container).values():
                for host in re.findall(r"([a-z0-9-]+)\.vigil\.svc", value):
                    assert host in services, f"{name}: {value}"
    assert set(_secret_keys(objects)) <= secrets | (given if example == "production" else set())


def _secret_keys(objects: list[dict[str, object]]) -> list[str]:
    found = []
    for _, pod in pods(objects):
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            for each in container.get("env", []):
                reference = each.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    found.append(f"{reference['name']}/{reference['key']}")
    return found


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_selector_finds_exactly_its_own_pods(example: str) -> None:
    objects = rendered(example)
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}
    for each in objects:
        if each["kind"] not in {"Service", "NetworkPolicy", "PodDisruptionBudget"}:
            continue
        selector = each["spec"].get("selector") or each["spec"]["podSelector"]
        wanted = selector.get("matchLabels", selector)
        found = [name for name, has in labels.items() if wanted.items() <= has.items()]
        assert [name.split("/")[1] for name in found] == [each["metadata"]["name"]], each["metadata"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_everything_that_listens_has_a_network_policy(example: str) -> None:
    objects = rendered(example)
    policies = {each["metadata"]["name"] for each in objects if each["kind"] == "NetworkPolicy"}
    services = {each["metadata"]["name"] for each in objects if each["kind"] == "Service"}
    assert services == policies


def test_replicas_are_spread_and_survive_a_drain() -> None:
    objects = rendered("production")
    budgets = {each["metadata"]["name"] for each in objects if each["kind"] == "PodDisruptionBudget"}
    assert budgets == {"vigil-api", "vigil-identity", "vigil-operator", "vigil-triton"}
    for name in budgets:
        spec = only(objects, "Deployment", name)["spec"]["template"]["spec"]
        keys = {each["topologyKey"] for each in spec["topologySpreadConstraints"]}
        assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert "replicas" not in only(objects, "Deployment", "vigil-api")["spec"], "the autoscaler owns it"
    assert only(objects, "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 2


def test_external_servers_replace_every_bundled_one() -> None:
    objects = rendered("production")
    kinds = {each["kind"] for each in objects}
    assert not kinds & {"StatefulSet", "Secret"}
    text = rendered_text("production")
    assert "library/nats" not in text
    assert "library/postgres" not in text


def test_identity_keeps_an_embedded_gallery_on_its_volume() -> None:
    identity = only(rendered("default"), "StatefulSet", "vigil-identity")
    container = identity["spec"]["template"]["spec"]["containers"][0]
    path = environment(container)["VIGIL_QDRANT_PATH"]
    mount = next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "data")
    assert path.startswith(mount)
    assert identity["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"


def test_the_bus_token_is_the_same_in_every_namespace() -> None:
    """The generated Secret with the bus token is in the release's namespace and in each of cameraNamespaces."""
    objects = rendered("namespaced")
    tokens = {
        each["metadata"]["namespace"]: each["data"]["token"]
        for each in objects
        if each["kind"] == "Secret" and each["metadata"]["name"] == "vigil-bus"
    }
    assert set(tokens) == {"vigil", "shop", "warehouse"}
    assert len(set(tokens.values())) == 1


def test_a_mirror_prefixes_every_image() -> None:
    sets = ("image.registry=mirror.example.com/all", "image.tag=7.0", "triton.accelerator=gpu")
    for name, pod in pods(rendered("default", *sets)):
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            image = container["image"]
            assert image.startswith("mirror.example.com/all/"), name
            assert "docker.io" not in image
            assert "nvcr.io" not in image
            if "/vigil/" in image:
                assert image.endswith(":7.0"), name


def test_registry_path_and_digest_are_set_once_for_own_images() -> None:
    digest = f"sha256:{'a' * 64}"
    sets = ("image.registry=r.example.com", "image.repository=team/vigil", f"api.image.digest={digest}")
    objects = rendered("default", *sets)
    operator = only(objects, "Deployment", "vigil-operator")["spec"]["template"]["spec"]["containers"][0]
    api = only(objects, "Deployment", "vigil-api")["spec"]["template"]["spec"]["containers"][0]
    assert operator["image"] == "r.example.com/team/vigil/operator:0.1.0"
    assert environment(operator)["VIGIL_STREAM_IMAGE"] == "r.example.com/team/vigil/stream:0.1.0"
    assert api["image"] == f"r.example.com/team/vigil/gateway:0.1.0@{digest}"


def test_pull_secrets_reach_every_pod_and_the_streams() -> None:
    objects = rendered("default", "imagePullSecrets[0].name=one", "imagePullSecrets[1].name=two")
    for name, pod in pods(objects):
        assert pod["spec"]["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}], name
    operator = only(objects, "Deployment", "vigil-operator")["spec"]["template"]["spec"]["containers"][0]
    assert environment(operator)["VIGIL_IMAGE_PULL_SECRETS"] == "one,two"


@pytest.mark.parametrize("workload", ["operator", "api", "identity", "triton"])
def test_a_workload_takes_variables_and_account_annotations(workload: str) -> None:
    role = "eks.amazonaws.com/role-arn"
    sets = (
        f"{workload}.extraEnv[0].name=HTTPS_PROXY",
        f"{workload}.extraEnv[0].value=http://proxy:3128",
        f"{workload}.serviceAccount.annotations.{role.replace('.', chr(92) + '.')}=arn",
    )
    objects = rendered("default", *sets)
    (pod,) = (pod for name, pod in pods(objects) if name.endswith(f"/vigil-{workload}"))
    assert environment(pod["spec"]["containers"][0])["HTTPS_PROXY"] == "http://proxy:3128"
    assert only(objects, "ServiceAccount", f"vigil-{workload}")["metadata"]["annotations"] == {role: "arn"}


def test_ingress_and_route_serve_the_paths_of_the_api_only() -> None:
    sets = (
        "api.ingress.enabled=true",
        "api.ingress.hosts[0].host=vigil.example.com",
        "api.ingress.tls[0].secretName=vigil-tls",
        "api.ingress.tls[0].hosts[0]=vigil.example.com",
    )
    spec = only(rendered("production", *sets), "Ingress")["spec"]
    assert spec["tls"] == [{"secretName": "vigil-tls", "hosts": ["vigil.example.com"]}]
    (rule,) = spec["rules"]
    assert rule["host"] == "vigil.example.com"
    paths = {(each["path"], each["pathType"]) for each in rule["http"]["paths"]}
    assert paths == {("/", "Exact"), ("/graphql", "Prefix")}
    assert {each["backend"]["service"]["name"] for each in rule["http"]["paths"]} == {"vigil-api"}
    route = only(rendered("production"), "HTTPRoute")["spec"]["rules"][0]
    matches = {(each["path"]["value"], each["path"]["type"]) for each in route["matches"]}
    assert matches == {("/", "Exact"), ("/graphql", "PathPrefix")}


@pytest.mark.parametrize(
    ("sets", "init", "repository", "mount"),
    [
        (("triton.modelRepository.source=pull",), "models", "/repository/models", "/repository"),
        (
            ("triton.modelRepository.source=pvc", "triton.modelRepository.pvc.claimName=models"),
            None,
            "/repository/models",
            "/repository/models",
        ),
        (
            ("triton.modelRepository.source=image", "triton.modelRepository.image.repository=models"),
            "models",
            "/repository/models",
            "/repository",
        ),
        (
            (
                "triton.modelRepository.source=objectStore",
                "triton.modelRepository.objectStore.url=s3://bucket/models",
                "triton.accelerator=gpu",
            ),
            None,
            "s3://bucket/models",
            None,
        ),
    ],
    ids=["pull", "pvc", "image", "objectStore"],
)
def test_triton_gets_its_models_each_way(
    sets: tuple[str, ...], init: str | None, repository: str, mount: str | None
) -> None:
    spec = only(rendered("default", *sets), "Deployment", "vigil-triton")["spec"]["template"]["spec"]
    assert [each["name"] for each in spec.get("initContainers", [])] == ([init] if init else [])
    container = spec["containers"][0]
    assert f"--model-repository={repository}" in container["args"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts.get("repository") == mount


@pytest.mark.parametrize(("accelerator", "target"), [("cpu", "cpu-python"), ("gpu", "production")])
def test_models_are_exported_for_the_accelerator(accelerator: str, target: str) -> None:
    objects = rendered("default", f"triton.accelerator={accelerator}")
    spec = only(objects, "Deployment", "vigil-triton")["spec"]["template"]["spec"]
    assert f"--target={target}" in spec["initContainers"][0]["args"]


def test_the_chart_contains_the_checked_in_crds() -> None:
    ours = {path.name: path.read_bytes() for path in (ROOT / "crds").glob("*.yaml")}
    chart = {path.name: path.read_bytes() for path in (CHART / "files" / "crds").glob("*.yaml")}
    assert ours
    assert chart == ours, "run: cp crds/*.yaml charts/vigil/files/crds/"


def test_crds_stay_when_the_release_goes() -> None:
    plain = {each.name: yaml.safe_load(each.read_text()) for each in (ROOT / "crds").glob("*.yaml")}
    found = [each for each in rendered("default") if each["kind"] == "CustomResourceDefinition"]
    assert len(found) == len(plain)
    for each in found:
        assert each["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
        if not each["metadata"]["annotations"]:
            del each["metadata"]["annotations"]
    assert sorted(map(_text, found)) == sorted(map(_text, plain.values()))
    assert not [each for each in rendered("namespaced") if each["kind"] == "CustomResourceDefinition"]


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def test_apis_of_other_projects_are_needed_only_when_used() -> None:
    """The defaults need no API that a plain cluster lacks; the production example uses all of them."""
    default = {each["apiVersion"] for each in rendered("default")}
    assert not default & set(APIS)
    assert set(APIS) <= {each["apiVersion"] for each in rendered("production")}
