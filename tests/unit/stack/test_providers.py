"""A provider of another kind is refused before it does anything, unless it was allowed by name with a reason."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_k8ssec.errors import SettingsError, StackError
from pytest_k8ssec.stack.messages import Diagnostic
from pytest_k8ssec.stack.plugins import REFUSES, cache_of, download_rules, refusing_folder
from pytest_k8ssec.stack.providers import Providers
from pytest_k8ssec.stack.source import StackSource, prepare

_URN = "urn:pulumi:dev::shop::pulumi:providers:aws::default_6_0_0"
_PLACE = "github://api.github.com/pulumi/pulumi-"


def _gate(*allowed: str) -> tuple[Providers, list[str]]:
    said: list[str] = []
    return Providers(dict.fromkeys(allowed, "a reason"), said.append), said


@pytest.mark.parametrize(
    "name",
    ["aws", "command", "random", "tls", "docker", "helm", "pulumi-python", "pulumi-nodejs", "kubernetes-cert-manager"],
)
@pytest.mark.parametrize("operation", ["preview", "up"])
def test_a_provider_of_another_kind_is_refused(name: str, operation: str) -> None:
    """The error names it, where it stands, and both ways out."""
    gate, said = _gate("azure")
    with pytest.raises(StackError, match=f"^provider {name} ") as caught:
        gate.look_at(f"pulumi:providers:{name}", _URN, operation)
    assert _URN in caught.value.message
    assert ("; nothing was created" in caught.value.message) == (operation == "preview")
    assert f"--k8ssec-allow-provider {name}=REASON" in caught.value.fix
    assert "leave it out" in caught.value.fix
    assert not said
    assert not gate.used()


@pytest.mark.parametrize(
    "type_",
    [
        "pulumi:providers:kubernetes",
        "pulumi:providers:pulumi",
        "kubernetes:core/v1:Secret",
        "aws:s3/bucket:Bucket",
        "pulumi:pulumi:Stack",
    ],
)
def test_what_is_no_provider_of_another_kind_passes(type_: str) -> None:
    """Kubernetes' own is looked at for its server elsewhere; a resource is its provider's matter."""
    gate, said = _gate()
    gate.look_at(type_, _URN, "preview")
    assert not said


def test_an_allowed_provider_is_told_once_and_one_that_is_not_used_too() -> None:
    """With its reason, however many resources it has; an allowance without effect is said to be one."""
    gate, said = _gate("aws", "tls")
    for operation in ("preview", "preview", "up"):
        gate.look_at("pulumi:providers:aws", _URN, operation)
    gate.tell_unused()
    assert said[0] == "stack: provider aws is allowed: a reason"
    assert len(said) == 2
    assert "tls" in said[1]
    assert "was not used" in said[1]
    assert gate.used() == {"aws": "a reason"}
    assert gate.unused() == ["tls"]


@pytest.mark.parametrize("parent", ["", "shop:index:Part$"])
def test_a_plugin_that_was_kept_out_is_a_refusal_and_no_failure_of_pulumi(parent: str) -> None:
    """Whatever kept it out, the user reads which provider, and what to do; for one that is allowed, what lies below it."""
    urn = _URN.replace("pulumi:providers", f"{parent}pulumi:providers")
    other = Diagnostic(
        "error", "urn:pulumi:dev::shop::kubernetes:core/v1:Secret::x", "pulumi-resource-aws is mentioned"
    )
    missing = Diagnostic("error", urn, "no resource plugin 'pulumi-resource-aws' found in the workspace")
    gate, _ = _gate()
    refusal = gate.kept_out([other, missing], "preview")
    assert refusal
    assert refusal.message.startswith(f"provider aws ({urn})")
    assert "--k8ssec-allow-provider aws=REASON" in refusal.fix
    assert gate.kept_out([other, replace(missing, urn=urn.replace(":aws::", ":kubernetes::"))], "preview") is None
    # Allowed, and not to be had: Pulumi's own words say that.
    allowing, _ = _gate("aws")
    assert allowing.kept_out([missing], "preview") is None
    # Allowed, and rests on one that is not.
    text = "could not read plugin [/x/refused/pulumi-resource-terraform-provider]: exit status 1"
    below = allowing.kept_out([replace(missing, message=text)], "preview")
    assert below
    assert "--k8ssec-allow-provider terraform-provider=REASON" in below.fix


def test_kubernetes_own_provider_from_a_place_of_its_own_is_told() -> None:
    """Nothing but Pulumi's own place is open to it; Pulumi says so in a warning, and then only that it has failed."""
    gate, _ = _gate()
    failed = Diagnostic("error", _URN.replace(":aws::", ":kubernetes::"), "failed all 5 attempts")
    assert gate.kept_out([failed], "preview") is None
    gate.hear(Diagnostic("warning", "", f'error downloading provider: unknown plugin source scheme: "{REFUSES}"'))
    told = gate.kept_out([failed], "preview")
    assert told
    assert "pulumi-resource-kubernetes on PATH" in told.fix


def test_stand_ins_come_before_the_plugins_of_others(tmp_path: Path) -> None:
    """Those on PATH and those beside Pulumi are started as programs that refuse; allowed ones and our own are not."""
    for place, names in (("path", ("aws", "tls", "kubernetes")), ("pulumi", ("pulumi-python", "pulumi-nodejs"))):
        (tmp_path / place).mkdir()
        for name in names:
            (tmp_path / place / f"pulumi-resource-{name}").touch(mode=0o755)
    (tmp_path / "pulumi" / "pulumi-language-python").touch(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "pulumi" / "pulumi")
    path = os.pathsep.join([str(tmp_path / "path"), str(tmp_path / "nowhere"), ""])

    made = refusing_folder(tmp_path / "refused", tmp_path / "link", path, {"tls"})

    assert sorted(each.name.removeprefix("pulumi-resource-") for each in made.iterdir()) == [
        "aws", "pulumi-nodejs", "pulumi-python",
    ]  # fmt: skip
    ran = subprocess.run([made / "pulumi-resource-aws"], capture_output=True, text=True, check=False, timeout=30)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert shutil.which("pulumi-resource-aws", path=f"{made}{os.pathsep}{path}") == str(made / "pulumi-resource-aws")
    refusing_folder(made, tmp_path / "link", path, {"tls"})  # the next worker's, in the same place


def test_each_set_of_allowances_has_a_cache_of_its_own(tmp_path: Path) -> None:
    """What was fetched under an allowance is not found without it."""
    assert cache_of(tmp_path, ()).name == "kubernetes"
    assert cache_of(tmp_path, {"tls", "aws"}) == cache_of(tmp_path, {"aws", "tls"}) != cache_of(tmp_path, {"aws"})


@pytest.mark.parametrize(
    ("place", "allowed", "led_astray"),
    [
        (f"{_PLACE}kubernetes", (), False),
        ("https://get.pulumi.com/releases/plugins", (), False),
        (f"{_PLACE}aws", (), True),
        (f"{_PLACE}kubernete", (), True),
        (f"{_PLACE}kubernetes-cert-manager", (), True),
        (f"{_PLACE}kubernetesx", (), True),
        ("github://api.github.com/other/pulumi-kubernetes", (), True),
        ("https://plugins.example.com", (), True),
        ("", (), True),
        (f"{_PLACE}aws", ("aws",), False),
        (f"{_PLACE}kubernetes", ("aws",), False),
        (f"{_PLACE}aws-native", ("aws",), True),
        (f"{_PLACE}command", ("aws",), True),
        ("github://api.github.com/other/pulumi-thing", ("thing",), False),
    ],
)
def test_downloads_are_led_astray_unless_allowed(place: str, allowed: tuple[str, ...], led_astray: bool) -> None:
    """Pulumi takes the first pattern that matches the place where it would look for a plugin."""
    pattern, _, leads_to = download_rules(allowed).partition("=")
    assert "," not in pattern
    assert bool(re.search(pattern, place)) is led_astray
    assert leads_to.startswith(REFUSES)


def _source(tmp_path: Path, more: str = "", **providers: str) -> StackSource:
    (tmp_path / "Pulumi.yaml").write_text(f"name: shop\nruntime: python\n{more}")
    (tmp_path / "__main__.py").touch()
    return StackSource(tmp_path, "dev", providers=providers)


@pytest.mark.parametrize("name", ["kubernetes", "pulumi"])
def test_kubernetes_needs_no_allowance(tmp_path: Path, name: str) -> None:
    """And can't be allowed elsewhere by one."""
    with pytest.raises(SettingsError, match="needs no allowance"):
        prepare(_source(tmp_path, **{name: "why not"}))


@pytest.mark.parametrize("name", ["", "aws,tls", "a=b", "../aws", "pulumi:providers:aws"])
def test_what_is_no_name_is_an_error(tmp_path: Path, name: str) -> None:
    """Known before a cluster is made."""
    with pytest.raises(SettingsError, match="is not the name of a provider"):
        prepare(_source(tmp_path, **{name: "why not"}))


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("plugins:\n  providers:\n    - name: shopdb\n      path: ./bin\n", "plugins.providers"),
        ("packages:\n  shopdb: ./component\n", "packages"),
        ("packages:\n  shopdb:\n    source: /opt/component\n", "packages"),
        ("packages:\n  shopdb: components/shopdb\n", "packages"),
        ("packages:\n  shopdb: components/shopdb@1.0.0\n", "packages"),
        ("packages:\n  shopdb: .component\n", "packages"),
        ("packages:\n  shopdb: my component\n", "packages"),
        ("packages:\n  shopdb: x\n", "packages"),
        ("packages:\n  shopdb:\n    source: shopdb@latest\n", "packages"),
        ("packages:\n  shopdb: https://example.dev/shopdb.git\n", "packages"),
    ],
)
def test_a_plugin_that_the_project_brings_along_is_refused_before_a_cluster_is_made(
    tmp_path: Path, more: str, where: str
) -> None:
    """Pulumi would start it from its path, past PATH and cache."""
    with pytest.raises(StackError, match=f"provider shopdb .*{re.escape(where)} of"):
        prepare(_source(tmp_path, more))
    prepare(_source(tmp_path, more, shopdb="a reason"))


def test_a_plugin_under_the_name_of_kubernetes_own_is_not_that(tmp_path: Path) -> None:
    """Pulumi takes it instead, so it would be talked to as if it were the official one."""
    for more in (
        "packages:\n  kubernetes: components/infra\n",
        "plugins:\n  providers:\n    - {name: kubernetes, path: ./x}\n",
    ):
        with pytest.raises(StackError, match=r"provider kubernetes .* is a plugin of the project's own"):
            prepare(_source(tmp_path, more))


def test_what_a_component_s_folder_names_is_started_as_well(tmp_path: Path) -> None:
    """However deep, also in a circle; a component that is allowed does not allow what it needs."""
    for folder, more in (
        ("infra", "deeper: parts/deeper"),
        ("parts/deeper", "deepest: parts/deepest\n  infra: ./infra"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "PulumiPlugin.yaml").write_text(f"runtime: python\npackages:\n  {more}\n")
    more = "packages:\n  infra: ./infra\n"
    with pytest.raises(StackError, match=r"provider deeper \(packages of .*infra/PulumiPlugin.yaml of"):
        prepare(_source(tmp_path, more, infra="a reason"))
    with pytest.raises(StackError, match=r"provider deepest \(packages of .*deeper/PulumiPlugin.yaml of"):
        prepare(_source(tmp_path, more, infra="a reason", deeper="a reason"))
    prepare(_source(tmp_path, more, infra="a reason", deeper="a reason", deepest="a reason"))


@pytest.mark.parametrize(
    "more",
    [
        "packages:\n  tls: tls@5.0.0\n",
        "packages:\n  tls: {source: terraform-provider, version: 1.0.0}\n",
        "plugins: {}\n",
        "packages:\n",
        "plugins:\n  providers:\n",
    ],
)
def test_what_a_project_only_names_is_looked_at_when_it_is_used(tmp_path: Path, more: str) -> None:
    """Whether a program uses it depends on its configuration."""
    prepare(_source(tmp_path, more))
