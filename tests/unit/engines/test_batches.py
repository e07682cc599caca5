from __future__ import annotations

import pyarrow as pa
import pytest

from opscore.engines.batches import same_sized


def batch(*values: int | None) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(values, pa.int64())})


def all_set(*values: int) -> pa.RecordBatch:
    """Values with a bitmap that says that none is null, as engines leave them."""
    data = pa.array(values, pa.int64()).buffers()[1]
    return pa.record_batch({"n": pa.Array.from_buffers(pa.int64(), len(values), [pa.py_buffer(b"\xff" * 8), data])})


@pytest.mark.parametrize(
    "pieces",
    [
        [batch(1, 2, None, 4, 5)],
        [batch(1), batch(2, None), batch(), batch(4, 5)],
        [all_set(1, 2), batch(None, 4), all_set(5)],
    ],
)
def test_the_same_rows_come_in_the_same_batches_however_they_were_cut(pieces: list[pa.RecordBatch]) -> None:
    found = list(same_sized(pieces, 2))

    assert [piece.to_pydict()["n"] for piece in found] == [[1, 2], [None, 4], [5]]
    assert [piece.nbytes for piece in found] == [16, 17, 8]


def test_no_rows_are_no_batches() -> None:
    assert list(same_sized([], 2)) == []
    assert list(same_sized([batch()], 2)) == []
