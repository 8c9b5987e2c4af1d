"""Entries of frozen clusters: found whole or not at all, by their owner only, and not more than there is room for."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from pytest_k8ssec.clusters import sweep
from pytest_k8ssec.clusters.frozen import shelf
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.machine.ledger import Run
from tests.unit.clusters.frozen import put_entry
from tests.unit.machine.dockers import FakeDocker

DAY = 86400


def test_what_is_put_is_taken(fake_docker: FakeDocker) -> None:
    """Each field comes back as it was, with tuples where there were tuples."""
    assert put_entry(fake_docker, "aa") == shelf.take_from("aa")


def test_nobody_else_reads_it(fake_docker: FakeDocker) -> None:
    """Images that it names hold the private keys of CAs."""
    put_entry(fake_docker, "aa")
    assert 0o700 == shelf.folder().stat().st_mode & 0o777
    assert {0o600} == {file.stat().st_mode & 0o777 for file in shelf.folder().glob("aa*")}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 0}', '{"format": 1, "nodes": [{}], "tokens": []}'])
def test_a_damaged_record_is_none(fake_docker: FakeDocker, text: str) -> None:
    """It is no error either: the cluster is made anew."""
    put_entry(fake_docker, "aa")
    (shelf.folder() / "aa.json").write_text(text)
    assert shelf.take_from("aa") is None
    assert [] == shelf.entries()


def test_a_record_of_another_key_is_none(fake_docker: FakeDocker) -> None:
    """Somebody renamed or copied it."""
    put_entry(fake_docker, "aa")
    (shelf.folder() / "aa.json").rename(shelf.folder() / "bb.json")
    assert shelf.take_from("bb") is None


def test_an_image_that_was_pruned_makes_it_none(fake_docker: FakeDocker) -> None:
    """Or one that is another by now."""
    entry = put_entry(fake_docker, "aa")
    shelf.remove_images([entry.nodes[0].image])
    assert shelf.take_from("aa") is None
    fake_docker.image(entry.nodes[0].image, "sha256:other")
    assert shelf.take_from("aa") is None


def test_the_images_of_a_record_that_is_replaced_go(fake_docker: FakeDocker) -> None:
    """Nothing would name them any more."""
    put_entry(fake_docker, "aa", run="one", old=31 * DAY)
    entry = put_entry(fake_docker, "aa", run="two")
    assert [entry.nodes[0].image] == fake_docker.images
    shelf.put(entry)
    assert [entry.nodes[0].image] == fake_docker.images


def test_what_a_container_was_made_of_keeps_its_tag(fake_docker: FakeDocker) -> None:
    """Without it nobody would find the image once the container is gone. What is said to be removed is."""
    tag = put_entry(fake_docker, "aa").nodes[0].image
    fake_docker.uses(tag)
    assert [] == shelf.remove_images([tag, "k8ssec/frozen:none"])
    fake_docker.uses()
    assert [tag] == shelf.remove_images([tag])
    assert not [line for line in fake_docker.asked if line.startswith("image rm --force")]


def test_one_record_that_vanishes_hides_no_other(fake_docker: FakeDocker) -> None:
    """Another process removes it while they are listed; images of the others would be taken for nobody's."""
    put_entry(fake_docker, "aa")
    whole = put_entry(fake_docker, "bb")
    (shelf.folder() / "aa.json").unlink()
    (shelf.folder() / "aa.json").symlink_to(shelf.folder() / "gone")
    assert ["bb"] == [entry.key for entry in shelf.entries()]
    assert {whole.nodes[0].image} == shelf.images()


def test_one_that_vanishes_while_it_is_listed_was_used_when_it_was_made(fake_docker: FakeDocker) -> None:
    """Its last line in the list is no error."""
    entry = put_entry(fake_docker, "aa")
    shelf.remove(entry)
    assert entry.made == shelf.used(entry)


@pytest.mark.parametrize("when", ["room", "clear"])
def test_records_that_nobody_can_read_go_with_their_images(fake_docker: FakeDocker, when: str) -> None:
    """One of an older format names its images still; one of a newer version of ours is that one's."""
    put_entry(fake_docker, "aa")
    old, new = put_entry(fake_docker, "bb"), put_entry(fake_docker, "cc")
    (shelf.folder() / "aa.json").write_text("{")
    for key, entry, version in (("bb", old, 1), ("cc", new, 99)):
        told = {"format": version, "nodes": [{"image": entry.nodes[0].image}, {"image": "somebody/elses:1"}]}
        (shelf.folder() / f"{key}.json").write_text(json.dumps(told))
    fake_docker.image("somebody/elses:1")
    with shelf.using("bb"):
        shelf.make_room(100)
    assert "bb.json" in {path.name for path in shelf.folder().glob("*.json")}
    if when == "room":
        shelf.make_room(100)
    else:
        shelf.clear_shelf()
    assert {"cc.json"} == {path.name for path in shelf.folder().glob("*.json")}
    assert {new.nodes[0].image} == shelf.images()
    assert {"k8ssec/frozen:aa-0", new.nodes[0].image, "somebody/elses:1"} == {*fake_docker.images}


def test_without_a_cache_of_ours_no_image_is_taken_for_nobodys(
    fake_docker: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep would remove whole entries of the run that it sweeps."""
    whole = put_entry(fake_docker, "aa")
    run = Run.begin(docker=fake_docker.endpoint)
    run.uses(fake_docker.endpoint, fake_docker.daemon)
    run.will_create("image", whole.nodes[0].image)
    run.release()
    (tmp_path / "file").touch()
    monkeypatch.setenv("K8SSEC_CACHE", str(tmp_path / "file"))
    (swept,) = sweep.sweep()
    assert "file" in swept.failure
    assert [whole.nodes[0].image] == fake_docker.images


@pytest.mark.parametrize(("old", "found"), [(29 * DAY, True), (31 * DAY, False), (-DAY, False)])
def test_it_lasts_thirty_days(fake_docker: FakeDocker, old: float, found: bool) -> None:
    """By a clock that was put back it may also come from the future."""
    put_entry(fake_docker, "aa", old=old)
    assert found == (shelf.take_from("aa") is not None)


def test_a_failure_is_remembered_for_a_day(fake_docker: FakeDocker) -> None:
    """Not every run pays for trying, and an entry that was made after all ends it."""
    assert "" == shelf.failure("aa")
    shelf.put_failure("aa", "why")
    assert "why" == shelf.failure("aa")
    put_entry(fake_docker, "aa")
    assert "" == shelf.failure("aa")


def test_an_old_failure_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a day it is tried again."""
    shelf.put_failure("aa", "why")
    later = time.time() + DAY + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert "" == shelf.failure("aa")


def test_the_longest_unused_goes_first(fake_docker: FakeDocker) -> None:
    """As many as it takes; to be used counts, not to be made."""
    for number, key in enumerate(("aa", "bb", "cc")):
        put_entry(fake_docker, key, size=10)
        os.utime(shelf.folder() / f"{key}.json", (number, number))
    assert shelf.take_from("aa")
    assert ["bb"] == [entry.key for entry in shelf.make_room(25)]
    assert {"aa", "cc"} == {entry.key for entry in shelf.entries()}
    assert 2 == len(fake_docker.images)


def test_what_is_too_old_goes_though_there_is_room(fake_docker: FakeDocker) -> None:
    """Nobody would use it any more."""
    put_entry(fake_docker, "aa", old=31 * DAY)
    put_entry(fake_docker, "bb")
    assert ["aa"] == [entry.key for entry in shelf.make_room(100)]


def test_what_is_being_thawed_stays(fake_docker: FakeDocker) -> None:
    """For want of room, and when all are to go."""
    put_entry(fake_docker, "aa")
    with shelf.using("aa"), shelf.using("aa"):
        assert [] == shelf.make_room(0)
        assert ([], ["aa"]) == tuple([entry.key for entry in some] for some in shelf.clear_shelf())
    assert shelf.take_from("aa")
    shelf.clear_shelf()
    assert [] == fake_docker.images


def test_what_is_being_made_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs do not freeze the same cluster twice."""
    monkeypatch.setattr(shelf, "_WAIT_SECONDS", 0)
    with shelf.making("aa"):
        with pytest.raises(TimeoutError, match="used by another process"), shelf.using("aa"):
            raise AssertionError
        with pytest.raises(TimeoutError), shelf.making("aa"):
            raise AssertionError
        with shelf.using("bb"):
            pass


@pytest.mark.parametrize(("given", "bytes_"), [("", 4_096_000_000), ("5", 5_000_000)])
def test_the_limit_is_a_setting(monkeypatch: pytest.MonkeyPatch, given: str, bytes_: int) -> None:
    """In megabytes."""
    monkeypatch.setenv(shelf.LIMIT_VARIABLE, given)
    assert bytes_ == shelf.limit()


def test_a_limit_that_is_no_number_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the name of the variable."""
    monkeypatch.setenv(shelf.LIMIT_VARIABLE, "4G")
    with pytest.raises(SettingsError, match="K8SSEC_FROZEN_MB: '4G' is no number"):
        shelf.limit()


def test_a_sweep_removes_images_of_what_was_half_frozen(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """Those of an entry that was written down are whole, and stay."""
    whole = put_entry(fake_docker, "aa")
    run = Run.begin(docker=fake_docker.endpoint)
    run.uses(fake_docker.endpoint, fake_docker.daemon)
    run.will_create("image", whole.nodes[0].image)
    run.will_create("image", "k8ssec/frozen:half")
    run.will_create("image", "k8ssec/frozen:never-made")
    fake_docker.image("k8ssec/frozen:half")
    run.release()
    (swept,) = sweep.sweep()
    assert ("k8ssec/frozen:half",) == swept.removed
    assert [whole.nodes[0].image] == fake_docker.images
