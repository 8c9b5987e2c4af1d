"""The platform's configuration: what `pulumi config set` gives it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class Settings:
    """Configuration values, with their defaults filled in."""

    image: str
    registries: tuple[str, ...]
    payments_api_key: pulumi.Output[str]


def read() -> Settings:
    """The stack's configuration (see Pulumi.yaml for what each value means)."""
    config = pulumi.Config("platform")
    image = config.require("image")
    named = tuple(one.strip() for one in (config.get("registries") or "").split(",") if one.strip())
    return Settings(image, named or (_repository(image), "registry.k8s.io"), config.require_secret("paymentsApiKey"))


def _repository(image: str) -> str:
    """The image reference without digest and tag; a colon before the last slash is a registry's port."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]
