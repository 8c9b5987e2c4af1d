"""Images of frozen clusters that no record names are found by their labels, and nobody else's are touched."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pytest

from pytest_k8ssec.cli.cache import cache
from pytest_k8ssec.clusters.frozen import shelf, strays
from tests.unit.clusters.frozen import put_entry
from tests.unit.machine.dockers import FakeDocker

DAY = 86400


def image(docker: FakeDocker, name: str, cache: str, *, key: str = "aa", old: float = 0) -> str:
    """Have an image of an entry. Returns its tag."""
    tag = f"{shelf.REPOSITORY}:{name}"
    docker.image(tag, labels={shelf.FROZEN_LABEL: key, strays.CACHE_LABEL: cache}, old=old)
    return tag


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another cache of this machine, which is there."""
    with monkeypatch.context() as context:
        context.setenv("K8SSEC_CACHE", str(tmp_path / "another cache"))
        return strays.this_cache()


def test_what_no_record_names_goes(fake_docker: FakeDocker) -> None:
    """Its record is gone, or is of a later image; what is named stays, whoever made it, and so does what has nothing to do with us."""
    whole = put_entry(fake_docker, "aa")
    theirs = put_entry(fake_docker, "bb", cache="another-machine:/cache", old=32 * DAY)
    stray = image(fake_docker, "stray", strays.this_cache())
    fake_docker.image("somebody/elses:1", labels={shelf.FROZEN_LABEL: "aa"}, old=99 * DAY)
    fake_docker.image(f"{shelf.REPOSITORY}:unlabelled", old=99 * DAY)
    assert [stray] == strays.remove_strays()
    assert [
        whole.nodes[0].image,
        theirs.nodes[0].image,
        "somebody/elses:1",
        f"{shelf.REPOSITORY}:unlabelled",
    ] == fake_docker.images


def test_what_is_being_made_stays(fake_docker: FakeDocker) -> None:
    """Its record is written last."""
    stray = image(fake_docker, "half", strays.this_cache())
    with shelf.making("aa"):
        assert [] == strays.remove_strays()
    assert [stray] == strays.remove_strays()


def test_what_is_still_in_use_goes_later(fake_docker: FakeDocker) -> None:
    """A copy of it runs."""
    stray = image(fake_docker, "stray", strays.this_cache())
    fake_docker.uses(stray)
    assert [] == strays.remove_strays()
    fake_docker.uses()
    assert [stray] == strays.remove_strays()


def test_another_cache_is_left_until_it_is_thrown_away(fake_docker: FakeDocker, tmp_path: Path, elsewhere: str) -> None:
    """Two users, or two folders, share a docker daemon."""
    theirs = image(fake_docker, "theirs", elsewhere)
    assert [] == strays.remove_strays()
    shutil.rmtree(tmp_path / "another cache")
    assert [theirs] == strays.remove_strays()


def test_one_that_can_not_be_looked_at_is_there(fake_docker: FakeDocker, tmp_path: Path, elsewhere: str) -> None:
    """It may be another user's; here it is a link that leads to itself."""
    theirs = image(fake_docker, "theirs", elsewhere)
    shutil.rmtree(tmp_path / "another cache")
    (tmp_path / "another cache").symlink_to(tmp_path / "another cache")
    assert [] == strays.remove_strays()
    assert [theirs] == fake_docker.images


@pytest.mark.parametrize(("days", "goes"), [(29, False), (32, True)])
@pytest.mark.parametrize("cache", ["", "another-machine:/gone"])
def test_whosever_it_is_it_goes_once_nobody_would_thaw_it(
    fake_docker: FakeDocker, cache: str, days: int, goes: bool
) -> None:
    """No cache takes an entry of more than thirty days; an older version of ours did not say whose an image is."""
    image(fake_docker, "far", cache, old=days * DAY)
    assert goes == bool(strays.remove_strays())


def test_the_same_folder_by_another_name_is_the_same_cache(
    fake_docker: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link leads there."""
    here = strays.this_cache()
    (tmp_path / "link").symlink_to(shelf.folder().parent)
    monkeypatch.setenv("K8SSEC_CACHE", str(tmp_path / "link"))
    assert here == strays.this_cache()


def test_clearing_the_cache_removes_them(fake_docker: FakeDocker, capsys: pytest.CaptureFixture[str]) -> None:
    """And says how many."""
    put_entry(fake_docker, "aa")
    image(fake_docker, "stray", strays.this_cache())
    assert 0 == cache(argparse.Namespace(what="clear"))
    assert "removed 1 images of frozen clusters that no cache knows" in capsys.readouterr().out
    assert [] == fake_docker.images
