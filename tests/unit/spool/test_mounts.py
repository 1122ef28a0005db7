"""Which file systems need their folders fsynced."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuva_gateway.spool.mounts import file_system, folders_need_fsync, links_need_sync, mount_options

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
25 22 0:23 / /proc rw - proc proc rw
30 22 0:40 / /srv/spool rw - nfs4 server:/spool rw
31 30 254:1 / /srv/spool/fast rw,noatime - xfs /dev/vdb rw,nobarrier
32 22 0:41 /vol /mnt/with\\040space rw shared:5 master:2 - btrfs /dev/vdc rw
33 22 0:42 / /over rw - tmpfs tmpfs rw
34 22 0:43 / /over rw - ext4 /dev/vdd rw
nonsense
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("folder", "kind", "fsync"),
    [
        ("/var/lib", "ext4", False),
        ("/srv/spool", "nfs4", True),
        ("/srv/spool/arrived", "nfs4", True),
        ("/srv/spool/fast/arrived", "xfs", False),
        ("/srv/spool2", "ext4", False),
        ("/mnt/with space/x", "btrfs", False),
        ("/over/x", "ext4", False),
    ],
)
def test_the_nearest_mount_decides(mounts: Path, folder: str, kind: str, fsync: bool) -> None:
    assert file_system(Path(folder), mounts) == kind
    assert folders_need_fsync(Path(folder), "auto", mounts) is fsync
    assert folders_need_fsync(Path(folder), "strict", mounts)


@pytest.mark.parametrize(
    ("folder", "durability", "needed"),
    [
        ("/mnt/with space/x", "auto", True),  # btrfs
        ("/mnt/with space/x", "strict", False),
        ("/srv/spool/fast/arrived", "auto", False),  # xfs
        ("/var/lib", "auto", False),  # ext4
        ("/srv/spool", "auto", False),  # nfs4
    ],
)
def test_links_need_a_sync_of_their_own_where_names_are_written_in_any_order_and_folders_are_not_fsynced(
    mounts: Path, folder: str, durability: str, needed: bool
) -> None:
    assert links_need_sync(Path(folder), durability, mounts) is needed


def test_what_cannot_be_told_is_treated_with_care(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "missing") == ""
    assert folders_need_fsync(tmp_path, "auto", tmp_path / "missing")


def test_this_machines_own_mounts_can_be_read(tmp_path: Path) -> None:
    assert file_system(tmp_path)


def test_options_are_those_of_the_mount_and_of_the_file_system(mounts: Path) -> None:
    assert mount_options(Path("/srv/spool/fast/arrived"), mounts) == {"rw", "noatime", "nobarrier"}
    assert mount_options(Path("/mnt/with space"), mounts) == {"rw"}
