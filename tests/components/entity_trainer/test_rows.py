"""Row hashes, samples and shards, without Beam."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from components.entity_trainer.columns import TrainingColumns
from components.entity_trainer.rows import (
    ENTITY,
    FALLBACK_SHARD,
    HASH,
    RowSharder,
    Summary,
    prepare,
)
from components.entity_trainer.sample import SmallestHashes
from tests.components.entity_trainer.training import config_of, people, schema_of, table_of

COLUMNS = TrainingColumns.of_schema(schema_of(), config_of())
WORDS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "é", "x\0"]))
ROWS = st.lists(
    st.fixed_dictionaries(
        {"city": WORDS, "age": st.one_of(st.none(), st.integers(-3, 3)), "job": WORDS,
         "income": WORDS}
    ),
    max_size=40,
)  # fmt: skip


def split(rows, batch_rows, **limits):
    sharder = RowSharder(COLUMNS, True, 5, **({"max_rows": 9, "max_fallback_rows": 9} | limits))
    chunks, total = [], Summary()
    for batch in table_of(rows).to_batches(batch_rows):
        found, summary = sharder.split(batch)
        chunks += found
        total += summary
    return chunks, total


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 40))
def test_every_row_is_in_one_tally_or_has_no_entity(rows, batch_rows):
    chunks, total = split(rows, batch_rows)
    tallied = {"usable": 0, "without_label": 0, "dropped": 0}
    for chunk in chunks:
        for name in tallied:
            tallied[name] += sum(chunk.tally[name].to_pylist())
    assert total.rows_in == len(rows)
    assert total.rows_without_entity == sum(row["city"] in (None, "") for row in rows)
    assert sum(tallied.values()) + total.rows_without_entity == len(rows)
    assert tallied["usable"] == total.rows_usable
    homes: dict[str, set[int]] = {}
    for chunk in chunks:
        for entity in chunk.tally["entity"].to_pylist():
            homes.setdefault(entity, set()).add(chunk.shard)
    assert all(len(shards) == 1 for shards in homes.values())


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms())
def test_hashes_depend_on_content_only(rows, random):
    def hashes(of):
        table = prepare(table_of(of).combine_chunks().to_batches()[0], COLUMNS) if of else None
        return sorted(table[HASH].to_pylist()) if table else []

    shuffled = list(rows)
    random.shuffle(shuffled)
    assert hashes(rows) == hashes(shuffled)
    different = {(r["city"] or None, r["age"], r["job"], r["income"]) for r in rows}
    assert len(set(hashes(rows))) == len(different)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=200), st.integers(1, 20), st.integers(1, 30))
def test_no_row_of_the_sample_is_lost(values, size, batch):
    sketch = SmallestHashes(size)
    hashes = np.array(values, np.uint64)
    kept = [
        part[sketch.add(part)]
        for part in (hashes[start : start + batch] for start in range(0, len(hashes), batch))
    ]
    survivors = np.sort(np.concatenate([*kept, hashes[:0]]))
    assert survivors[:size].tolist() == np.sort(hashes)[:size].tolist()


def test_a_hot_entity_and_the_fallback_are_thinned_before_they_travel():
    rows = [people("hot", 1, n)[0] | {"age": n} for n in range(20_000)] + people("cold", 8)
    chunks, total = split(rows, 500, max_rows=100, max_fallback_rows=50)
    assert total.rows_usable == 20_008
    sent = [row for c in chunks if c.shard != FALLBACK_SHARD for row in c.rows[ENTITY].to_pylist()]
    assert 100 <= sent.count("hot") < 1_500
    assert sent.count("cold") == 8
    fallback = sum(c.rows.num_rows for c in chunks if c.shard == FALLBACK_SHARD)
    assert 50 <= fallback < 1_000


def test_encoded_and_plain_words_meet():
    from components.entity_trainer.fit import read_tables
    from components.entity_trainer.train import _stream

    plain = pa.record_batch({"w": pa.array(["a", None, "b"])})
    encoded = pa.record_batch({"w": pa.array(["c", "a"]).dictionary_encode()})
    other = pa.record_batch({"w": pa.array(["d"]).dictionary_encode()})
    words = read_tables([_stream(b) for b in (plain, encoded, other)])["w"].to_pylist()
    assert words == ["a", None, "b", "c", "a", "d"]
    assert read_tables([_stream(b) for b in (encoded, other)])["w"].to_pylist() == ["c", "a", "d"]
