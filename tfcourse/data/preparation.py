"""What the command line does with sets: prepare one, verify one, say what is there."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tfcourse.data import cache
from tfcourse.data.folder import (
    Progress,
    find_in_folder,
    named_folder,
    sha256_of_file,
    verify_originals,
)
from tfcourse.data.locks import exclusive
from tfcourse.data.recording_specs import is_recordings
from tfcourse.data.records import DatasetSpec, DatasetStatus, PathLike, VerifiedFile
from tfcourse.data.specs import find_spec
from tfcourse.data.table_specs import is_table
from tfcourse.errors import UserError

Notice = Callable[[str], None]


def prepare(
    name: str,
    data_dir: PathLike | None = None,
    *,
    notice: Notice | None = None,
    progress: Progress | None = None,
) -> DatasetStatus:
    """Bring the real set into the cache, from a folder or the network; return what's there.

    A damaged cache is made anew, a whole one is left alone. An npz is read and checked
    where it is; it is not cached.

    Args:
        name: A set of the catalogue.
        data_dir: Folder of original files; default: TFCOURSE_DATA_DIR, else the network.
        notice: Called with a line of text at each stage.
        progress: Called with (what, done, in all): bytes of files, then examples.

    Raises:
        UserError: If it can't be prepared; nothing half-made is left.
    """
    if is_table(name):
        from tfcourse.data.tables import prepare_table

        return prepare_table(name, data_dir, progress)
    if is_recordings(name):
        from tfcourse.data.recordings import prepare_recordings

        return prepare_recordings(name, data_dir)
    spec = find_spec(name)
    notice = notice or print_notice
    root = named_folder(data_dir)
    if root is not None:
        found = find_in_folder(spec, root)
        if not found.registered:
            from tfcourse.data.npz import npz_counts

            counts = npz_counts(spec, found.path)
            notice(
                f"{found.path} is used where it is, unverified: {counts['train']:,} "
                f"training and {counts['test']:,} test examples"
            )
            return status(name, data_dir)
        notice(f"{name}: original files found in {found.path}")
        verify_originals(spec, found.path, progress)
    make_prepared(spec, root, notice, progress)
    return status(name, data_dir)


def make_prepared(
    spec: DatasetSpec, root: Path | None, notice: Notice, progress: Progress | None
) -> cache.Manifest:
    """Return the manifest of the set, prepared now unless a whole one is there.

    `root` holds verified original files; None means the network.

    Raises:
        UserError: If it can't be prepared; nothing half-made is left.
    """
    needed_bytes = 3 * spec.prepared_bytes + (0 if root else spec.download_bytes)
    with cache.storage_errors(spec, needed_bytes):
        base = cache.cache_folder()
        base.mkdir(parents=True, exist_ok=True)
        with exclusive(
            base / f"{spec.name}.lock",
            when_waiting=lambda: notice(
                f"{spec.name}: another process is preparing it; waiting"
            ),
        ):
            manifest = _whole_manifest(spec, notice)
            if manifest is None:
                if shutil.disk_usage(base).free < needed_bytes:
                    raise cache.disk_full(spec, needed_bytes)
                _prepare_locked(spec, root, notice, progress)
                manifest = cache.read_manifest(spec)
    if manifest is None:
        raise UserError(f"{cache.set_folder(spec)} was removed while it was prepared")
    return manifest


def _whole_manifest(spec: DatasetSpec, notice: Notice) -> cache.Manifest | None:
    """Return the manifest if every array is whole; else tell, and return None."""
    try:
        manifest = cache.read_manifest(spec)
        if manifest is not None:
            cache.verify_prepared(spec, manifest)
            notice(f"{spec.name}: prepared in {cache.set_folder(spec)}")
    except UserError:
        notice(f"{spec.name}: what is in the cache is damaged and is made anew")
        return None
    return manifest


def _prepare_locked(
    spec: DatasetSpec, root: Path | None, notice: Notice, progress: Progress | None
) -> None:
    """Make the set's folder in the cache; the caller holds the lock."""
    from tfcourse.data.network import download_originals
    from tfcourse.data.tfds_preparation import arrays_from_originals

    final = cache.set_folder(spec)
    work = final.with_name(f"{spec.name}.incomplete")
    cache.remove(work)  # Left by a process that was killed.
    try:
        work.mkdir()
        if root is None:
            originals = work / "originals"
            originals.mkdir()
            notice(f"{spec.name}: downloading {spec.download_bytes / 1e6:,.0f} MB")
            download_originals(spec, originals, progress)
        else:
            originals = find_in_folder(spec, root).path
        scratch = work / "tfds"
        scratch.mkdir()
        count = sum(spec.num_examples.values())
        notice(f"{spec.name}: TFDS prepares {count:,} examples, once")
        arrays = arrays_from_originals(spec, originals, scratch, progress)
        source = "folder" if root else "tfds"
        cache.write_prepared(spec, arrays, work / "arrays", source)
        cache.remove(final)  # What was damaged.
        (work / "arrays").rename(final)
        notice(f"{spec.name}: prepared in {final}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def verify(
    name: str, data_dir: PathLike | None = None, *, progress: Progress | None = None
) -> tuple[VerifiedFile, ...]:
    """Return the set's files, each read from end to end and found whole.

    Those of the named folder (`data_dir`, else TFCOURSE_DATA_DIR) if there is one, and
    those of the cache.

    Raises:
        UserError: If one is damaged, or there is nothing to verify.
    """
    if is_table(name):
        from tfcourse.data.tables import verify_table

        return verify_table(name, data_dir, progress)
    if is_recordings(name):
        from tfcourse.data.recordings import verify_recordings

        return verify_recordings(name, data_dir, progress)
    spec = find_spec(name)
    root = named_folder(data_dir)
    files: tuple[VerifiedFile, ...] = ()
    if root is not None:
        found = find_in_folder(spec, root)
        if not found.registered:
            from tfcourse.data.npz import npz_counts

            npz_counts(spec, found.path)
            size, digest = found.path.stat().st_size, sha256_of_file(found.path)
            files = (VerifiedFile(found.path, size, digest, registered=False),)
        else:
            files = verify_originals(spec, found.path, progress)
    manifest = cache.read_manifest(spec)
    if manifest is not None:
        files += cache.verify_prepared(spec, manifest)
    if not files:
        raise UserError(
            f"there is no real {name} to verify: run: tfcourse data prepare {name}"
        )
    return files


def status(name: str, data_dir: PathLike | None = None) -> DatasetStatus:
    """Return what is there of the real set; reads names and sizes only.

    A named folder (`data_dir`, else TFCOURSE_DATA_DIR) that lacks the set is no mistake
    here: the cache may have it.
    """
    if is_table(name):
        from tfcourse.data.tables import table_status

        return table_status(name, data_dir)
    if is_recordings(name):
        from tfcourse.data.recordings import recordings_status

        return recordings_status(name, data_dir)
    spec = find_spec(name)
    root = named_folder(data_dir)
    found, complaint = None, ""
    try:
        found = find_in_folder(spec, root) if root is not None else None
    except UserError as error:
        complaint = str(error)
    if found and not found.registered:
        size = found.path.stat().st_size
        return DatasetStatus(name, "npz", "read as it is, unverified", found.path, size)
    try:
        manifest = cache.read_manifest(spec)
    except UserError as error:
        return DatasetStatus(name, "damaged", str(error), cache.set_folder(spec))
    if manifest is not None:
        size = sum(facts["num_bytes"] for facts in manifest.arrays.values())
        origin = "a folder" if manifest.source == "folder" else "the network"
        detail = f"verified originals from {origin}, prepared by TFDS"
        return DatasetStatus(name, "prepared", detail, cache.set_folder(spec), size)
    if found:
        detail = "original files; the first use prepares them"
        return DatasetStatus(name, "originals", detail, found.path, spec.download_bytes)
    detail = complaint or "the first use downloads it"
    return DatasetStatus(name, "absent", detail)


def print_notice(line: str) -> None:
    """Print a line where it does not mix with results."""
    print(line, file=sys.stderr, flush=True)
