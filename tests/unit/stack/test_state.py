"""From Pulumi's state to resources and outputs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_k8ssec.secrecy.redact import MARK, Redactor
from pytest_k8ssec.stack.messages import Diagnostic, EngineStep, Failed, Finished, Message, decode, encode
from pytest_k8ssec.stack.model import Secret
from pytest_k8ssec.stack.state import (
    NotPlain,
    declared_resources,
    deployed_resources,
    metadata_of,
    plain_outputs,
    stack_outputs,
)
from pytest_k8ssec.stack.types import RELEASE

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = {_SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
_STACK = "pulumi:pulumi:Stack"


def _state(type_: str, name: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:dev::shop::{type_}::{name}", "type": type_, **more}


def test_objects_are_called_as_in_the_cluster() -> None:
    """Name and namespace come from the object's metadata, not from the program."""
    (found,) = deployed_resources(
        [
            _state(_STACK, "shop-dev"),
            _state("pulumi:providers:kubernetes", "default"),
            _state(
                "kubernetes:core/v1:ServiceAccount",
                "in-program",
                id="web/shop-abc",
                outputs={"metadata": {"name": "shop-abc", "namespace": "web", "annotations": {"a": "b"}}},
            ),
        ]
    )
    assert (found.name, found.namespace, found.id, found.annotations) == ("shop-abc", "web", "web/shop-abc", {"a": "b"})


def test_an_object_with_secret_metadata_is_found_by_its_id() -> None:
    """Where metadata is encrypted, the id tells namespace and name."""
    (found,) = deployed_resources(
        [_state("kubernetes:core/v1:ConfigMap", "x", id="web/conf", outputs={"metadata": _SECRET})]
    )
    assert (found.namespace, found.name) == ("web", "conf")


def test_a_namespace_that_a_release_makes_is_declared() -> None:
    """No record of Helm's lists it, and it is the stack's all the same: where it was deployed, and where it is only read."""
    release = {"name": "broker", "namespace": "queue", "createNamespace": True, "values": {"password": "hush"}}
    metadata = metadata_of(RELEASE, release)
    assert "hush" not in str(metadata)
    outputs = {"metadata": {"name": "broker", "namespace": "queue"}}
    deployed = deployed_resources([_state(RELEASE, "b", inputs={"metadata": metadata}, outputs=outputs)])
    declared = declared_resources([EngineStep("done", "create", deployed[0].urn, RELEASE, metadata)])
    for found in (deployed, declared):
        assert [(one.type, one.name) for one in found] == [
            (RELEASE, "broker"),
            ("kubernetes:core/v1:Namespace", "queue"),
        ]
    plain = metadata_of(RELEASE, {**release, "createNamespace": False})
    assert len(declared_resources([EngineStep("done", "create", deployed[0].urn, RELEASE, plain)])) == 1


def test_what_pulumi_is_about_to_delete_is_left_out() -> None:
    """The old half of a replacement is no resource of the stack any more."""
    assert deployed_resources([_state("kubernetes:core/v1:ConfigMap", "x", delete=True)]) == ()


def test_last_applied_configuration_is_dropped() -> None:
    """The annotation in which kubectl keeps a Secret's data is never taken over."""
    metadata = {"name": "a", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hush"}}
    (found,) = deployed_resources([_state("kubernetes:core/v1:Secret", "a", outputs={"metadata": metadata})])
    assert found.annotations == {}


def test_declared_objects_have_no_id_and_reads_are_external() -> None:
    """A preview's steps become resources; what the program only reads is marked."""
    steps = [
        EngineStep("done", "create", "urn:x::k", "kubernetes:core/v1:ConfigMap", {"name": "a", "namespace": "web"}),
        EngineStep("done", "read", "urn:x::r", "kubernetes:core/v1:Namespace", {}),
        EngineStep("done", "create", "urn:x::s", _STACK),
    ]
    made, read = declared_resources(steps)
    assert (made.name, made.namespace, made.id, made.external) == ("a", "web", "", False)
    assert (read.name, read.external) == ("r", True)


def test_secret_outputs_are_wrapped_at_any_depth() -> None:
    """Whatever the state marks as secret is a Secret, also inside a mapping or a list."""
    values = {"a": "hush", "b": {"c": ["plain", "hush"]}}
    state = [_state(_STACK, "shop-dev", outputs={"a": _SECRET, "b": {"c": ["plain", _SECRET]}})]
    outputs = stack_outputs(values, state, str)
    assert isinstance(outputs["a"], Secret)
    assert outputs["b"]["c"][0] == "plain"
    assert outputs["b"]["c"][1].reveal() == "hush"
    assert "hush" not in repr(outputs)


@pytest.mark.parametrize("value", ["hush", 7, None, ["a", 1], {"b": {"c": True}}])
def test_outputs_are_told_by_an_exported_state(value: Any) -> None:
    """As the program exported them, also where they, or parts of them, are secret."""
    told = {_SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(value)}
    state = [
        _state("kubernetes:core/v1:Pod", "a", outputs={"x": 1}),
        _state(_STACK, "s", outputs={"a": told, "b": [told], "c": value}),
    ]
    assert {"a": value, "b": [value], "c": value} == plain_outputs(state)


def test_a_stack_without_outputs_has_none() -> None:
    """Its state says nothing of them, then."""
    assert {} == plain_outputs([_state(_STACK, "shop-dev")])


@pytest.mark.parametrize("signature", ["c44067f5952c0a294b673a41bacd8c17", "5cf8f73096256a8f31e491e813e4eb8e"])
def test_what_only_pulumi_can_tell_is_asked(signature: str) -> None:
    """An asset, and a reference to a resource; and a secret that was not opened."""
    with pytest.raises(NotPlain):
        plain_outputs([_state(_STACK, "shop-dev", outputs={"a": [{_SIGNATURE: signature}]})])
    with pytest.raises(NotPlain):
        plain_outputs([_state(_STACK, "shop-dev", outputs={"a": _SECRET})])


def test_known_secrets_are_taken_out_of_plain_outputs() -> None:
    """A program that exports a secret as plain text does not get it into a report."""
    outputs = stack_outputs({"url": "https://hush-7@x"}, [], Redactor(["hush-7"], whole=True))
    assert outputs == {"url": f"https://{MARK}@x"}


@pytest.mark.parametrize("text", ['say "hu\nsh"', 'say \\"hu\\nsh\\"', "Imh1CnNoIg=="])
def test_a_secret_is_hidden_in_each_form_it_may_take(text: str) -> None:
    """A secret value is found as it is, escaped as JSON, and in base64."""
    assert MARK in Redactor(['"hu\nsh"'], whole=True)(text)


@pytest.mark.parametrize(
    "message",
    [
        EngineStep("failed", "create", "urn", "type", {"name": "x"}, {"kubeconfig": "[secret]"}),
        Diagnostic("error", "urn", "message", passing=True),
        Finished({"a": 1}, [{"urn": "x"}], [{"secret": "a"}]),
        Failed("why"),
    ],
)
def test_messages_arrive_as_they_were_sent(message: Message) -> None:
    """Each message survives the way between the processes."""
    assert decode(encode(message)) == message
