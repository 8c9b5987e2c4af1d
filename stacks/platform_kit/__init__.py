"""The platform that stacks/hardened and stacks/insecure both deploy, each in a posture of its own."""

from platform_kit.platform import build
from platform_kit.posture import Posture

__all__ = ["Posture", "build"]
