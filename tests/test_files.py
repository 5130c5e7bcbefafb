"""Durable files: whole or not there, never lost to a race, one line when the disk refuses."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from danqing import files
from danqing.errors import BadInput, RunFailed, UsageError

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_writes_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "文件 一.bin"
    with files.atomic_write(path) as stream:
        stream.write(b"first ")
        assert not path.exists()
        stream.write(b"second")
    assert path.read_bytes() == b"first second"
    assert names(tmp_path) == ["文件 一.bin"]


@pytest.mark.parametrize("error", [RuntimeError("mine"), KeyboardInterrupt()])
def test_nothing_is_left_when_the_block_fails(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "文件.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), files.atomic_write(path, overwrite=True) as stream:
        stream.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["文件.bin"]


def test_existing_files_are_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "文件.bin"
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match=r"文件\.bin"), files.atomic_write(path):
        pytest.fail("the block must not run")
    with files.atomic_write(path, overwrite=True) as stream:
        stream.write(b"new")
    assert path.read_bytes() == b"new"


def test_the_name_is_lost_to_whoever_was_first(tmp_path: Path) -> None:
    path = tmp_path / "文件.bin"
    with pytest.raises(UsageError, match="already"), files.atomic_write(path) as stream:
        stream.write(b"mine")
        path.write_bytes(b"theirs")  # another process, meanwhile
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["文件.bin"]


@POSIX
@pytest.mark.parametrize("first", [True, False])
def test_without_hard_links_the_same_holds(first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "文件.bin"
    if first:
        with files.atomic_write(path) as stream:
            stream.write(b"mine")
        assert path.read_bytes() == b"mine"
    else:
        with pytest.raises(UsageError), files.atomic_write(path) as stream:
            path.write_bytes(b"theirs")
        assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["文件.bin"]


def test_on_windows_the_rename_itself_is_exclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(self: Path, target: Path) -> None:  # as Windows does it
        if target.exists():
            raise FileExistsError(errno.EEXIST, "exists")
        os.replace(self, target)  # noqa: PTH105

    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(Path, "rename", rename)
    path = tmp_path / "文件.bin"
    with files.atomic_write(path) as stream:
        stream.write(b"mine")
    with pytest.raises(UsageError), files.atomic_write(tmp_path / "b") as stream:
        (tmp_path / "b").write_bytes(b"theirs")
    assert names(tmp_path) == ["b", "文件.bin"]
    assert (tmp_path / "b").read_bytes() == b"theirs"


def test_one_of_many_writers_wins(tmp_path: Path) -> None:
    """F18."""
    path, won, lost = tmp_path / "文件.bin", [], []

    def write(number: int) -> None:
        try:
            with files.atomic_write(path) as stream:
                stream.write(b"%d" % number * 1000)
            won.append(number)
        except UsageError:
            lost.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 7
    assert path.read_bytes() == b"%d" % won[0] * 1000
    assert names(tmp_path) == ["文件.bin"]


@POSIX
def test_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with files.atomic_write(tmp_path / "new") as stream:
            stream.write(b"")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
        (tmp_path / "old").touch()
        (tmp_path / "old").chmod(0o604)
        with files.atomic_write(tmp_path / "old", overwrite=True) as stream:
            stream.write(b"x")
        assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o604
    finally:
        os.umask(before)


@POSIX
def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with files.atomic_write(tmp_path / "link", overwrite=True) as stream:
        stream.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_names_as_long_as_they_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("画" * 84 + ".b")  # 254 bytes
    with files.atomic_write(path) as stream:
        stream.write(b"x")
    assert path.exists()
    with pytest.raises(RunFailed), files.atomic_write(tmp_path / ("画" * 90)) as stream:
        stream.write(b"x")
    assert len(names(tmp_path)) == 1


def test_content_is_durable_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "文件.bin", []
    sync = os.fsync

    def watch(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((kind, path.exists(), os.fstat(descriptor).st_size if kind == "file" else 4))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    with files.atomic_write(path) as stream:
        stream.write(b"abcd")
    assert seen == [("file", False, 4), *([("folder", True, 4)] if sys.platform != "win32" else [])]


# What the system refuses


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "full"),
        (errno.EFBIG, "larger"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.EIO, "put/output error"),
    ],
)
def test_one_line_names_the_path(code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    path = tmp_path / "文件.bin"
    with pytest.raises(RunFailed, match=says) as caught, files.atomic_write(path) as stream:
        stream.write(b"x")
    assert str(path) in str(caught.value)
    assert not names(tmp_path)


def test_check_target_says_it_before_the_work(tmp_path: Path) -> None:
    """F5."""
    path = tmp_path / "文件.bin"
    files.check_target(path)
    assert not names(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(UsageError):
        files.check_target(path)
    files.check_target(path, overwrite=True)
    with pytest.raises(RunFailed, match="no folder"):
        files.check_target(path / "below")
    with pytest.raises(RunFailed, match="no folder"):
        files.check_target(tmp_path / "没有" / "x")
    with pytest.raises(RunFailed, match="it is a folder"):
        files.check_target(tmp_path, overwrite=True)


def test_a_folder_is_made_or_refused_in_one_line(tmp_path: Path) -> None:
    for _ in range(2):
        files.make_folder(tmp_path / "一" / "二")
    assert (tmp_path / "一" / "二").is_dir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunFailed, match="cannot be written") as caught:
            files.make_folder(path)
        assert str(path) in str(caught.value)


@POSIX
def test_devices_are_written_to_and_never_replaced() -> None:
    with files.atomic_write(os.devnull) as stream:
        stream.write(b"x")
    files.check_target(os.devnull)
    assert Path(os.devnull).is_char_device()


@POSIX
@pytest.mark.parametrize("overwrite", [True, False])
def test_pipes_are_written_to_by_every_name(overwrite: bool, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    (tmp_path / "管道").symlink_to(f"/dev/fd/{writing}")
    try:
        for path in (f"/dev/fd/{writing}", tmp_path / "管道"):
            files.check_target(path, overwrite=overwrite)
            with files.atomic_write(path, overwrite=overwrite) as stream:
                stream.write(b"x")
            assert os.read(reading, 9) == b"x"
    finally:
        os.close(reading)
        os.close(writing)
    assert (tmp_path / "管道").is_symlink()


@POSIX
def test_read_only_folder(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("permissions do not bind root")
    tmp_path.chmod(0o555)
    with pytest.raises(RunFailed, match="read-only"):
        files.check_target(tmp_path / "x")


# sha256, shown


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "文件.bin"
    path.write_bytes(b"danqing" * 100_000)
    assert files.sha256(path) == hashlib.sha256(b"danqing" * 100_000).hexdigest()
    with pytest.raises(BadInput, match="没有"):
        files.sha256(tmp_path / "没有")


def test_shown_is_one_printable_line() -> None:
    assert files.shown(Path("图/一.png")) == str(Path("图/一.png"))
    assert files.shown("a\nb\x1b[0m").isprintable()
    assert files.shown(os.fsdecode(b"\xff.png")).encode("utf-8") == b"\\udcff.png" or sys.platform == "win32"


# Locks


def test_lock_keeps_others_out(tmp_path: Path) -> None:
    path = tmp_path / "缓存"
    code = (
        "import sys\nfrom danqing import files\nfrom danqing.errors import RunFailed\n"
        "try:\n  with files.lock(sys.argv[1], timeout=0.2): print('in')\nexcept RunFailed: print('out')\n"
    )

    def other() -> str:
        return subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout

    with files.lock(path):
        assert other() == "out\n"
        with pytest.raises(RunFailed, match="in use"), files.lock(path, timeout=0):
            pytest.fail("held twice")
    assert other() == "in\n"


@POSIX
def test_the_lock_of_the_killed_is_free(tmp_path: Path) -> None:
    """F14: no lock is ever stale."""
    code = "import sys, time\nfrom danqing import files\nwith files.lock(sys.argv[1]):\n  "
    code += "print(1, flush=True)\n  time.sleep(60)\n"
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path / "x"], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(RunFailed), files.lock(tmp_path / "x", timeout=0):
        pytest.fail("it is held")
    holder.kill()
    holder.communicate()
    with files.lock(tmp_path / "x", timeout=1):
        pass


def test_lock_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="no folder"), files.lock(tmp_path / "没有" / "x"):
        pytest.fail("no folder")


def test_what_killed_writers_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in (".danqing-1-a.tmp", ".danqing-2-b.tmp", "画.tmp"))
    for file in (old, young, other):
        file.touch()
    for file in (old, other):
        os.utime(file, (1, 1))
    files.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, other])
    files.sweep(tmp_path / "没有")


def test_names_become_harmless_for_every_system() -> None:
    assert files.harmless('水/墨\\a:b*c?"<>|\0.png') == "水_墨_a_b_c______.png"
