"""
Zeros in the unused parts of b-tree pages, where copies of deleted rows survive.

When SQLite balances pages it moves rows and leaves their old images in the gap between a page's
cell pointers and its cells. `secure_delete` zeroes a row where it stands when it is deleted, not
those copies (seen with 3.40.1, tests/storage/test_scrubbing.py); only VACUUM would, which holds
all writers up for as long as it takes to copy the whole file. So the gaps are zeroed in the file
itself. SQLite never reads them, hence readers are not concerned; the writer's own page cache is
dropped, or it would write the old images back.

File format: https://www.sqlite.org/fileformat2.html, sections 1.6 (b-tree pages) and 1.8 (pointer
map, which every database with auto_vacuum has and which tells the kind of each page).
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlite_utils import Database

from storage import database

_ROOT, _BTREE = 1, 5  # kinds of the pointer map
_HEADER_BYTES = {2: 12, 5: 12, 10: 8, 13: 8}  # by the flag of a b-tree page
_PENDING_BYTE = 1 << 30  # SQLite's lock byte: its page holds nothing

# To close any descriptor of a file drops all locks that the process holds on it (POSIX, fcntl),
# SQLite's among them. So these are kept to the end of the process.
_kept: dict[tuple[int, int], int] = {}


def scrub(db: Database, path: Path, first: int, until: Callable[[], bool]) -> int | None:
    """
    Zero the gaps of b-tree pages from page `first` on, until `until()` says stop.

    Returns the page to go on with, None at the end of the file. Not inside a transaction, and
    right after `database.truncate_log`: if something is in the WAL again nothing is done.
    """
    with database.write(db):  # nobody else writes meanwhile
        if database.log_bytes(path):
            return first
        file = _descriptor(path)
        try:
            return _scrub_from(file, first, until)
        finally:
            os.fdatasync(file)
            db.conn.execute("pragma shrink_memory").fetchall()


def _scrub_from(file: int, first: int, until: Callable[[], bool]) -> int | None:
    head = os.pread(file, 100, 0)
    page_bytes = int.from_bytes(head[16:18])
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    usable = page_bytes - head[20]
    count = os.fstat(file).st_size // page_bytes
    for number in _btree_pages(file, page_bytes, usable, first, count):
        if number > first and until():
            return number
        _scrub_page(file, number, page_bytes, usable)
    return None


def _btree_pages(file: int, page_bytes: int, usable: int, first: int, count: int) -> Iterator[int]:
    if first <= 1:
        yield 1
    group = usable // 5 + 1  # a page of the pointer map and the pages that it tells of
    pending = _PENDING_BYTE // page_bytes + 1
    for start in range(2 + max(first - 2, 0) // group * group, count + 1, group):
        at = start + 1 if start == pending else start
        kinds = os.pread(file, usable, (at - 1) * page_bytes)[::5]
        for number in range(max(at + 1, first), min(start + group - 1, count) + 1):
            if kinds[number - at - 1] in (_ROOT, _BTREE) and number != pending:
                yield number


def _scrub_page(file: int, number: int, page_bytes: int, usable: int) -> None:
    page = os.pread(file, page_bytes, (number - 1) * page_bytes)
    header = 100 if number == 1 else 0
    if page[header] not in _HEADER_BYTES:
        return
    cells = int.from_bytes(page[header + 3 : header + 5])
    gap = header + _HEADER_BYTES[page[header]] + 2 * cells
    end = int.from_bytes(page[header + 5 : header + 7]) or 65536
    # A page that contradicts itself is for `doctor`, not for us.
    if gap < end <= usable and any(page[gap:end]):
        os.pwrite(file, bytes(end - gap), (number - 1) * page_bytes + gap)


def _descriptor(path: Path) -> int:
    found = path.stat()
    key = (found.st_dev, found.st_ino)
    if key not in _kept:
        _kept[key] = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    return _kept[key]
