"""The packaged controls, one file each: controls/<family>/<slug>.py."""
