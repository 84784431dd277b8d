"""Clean functions that tests name by dotted path."""

import pyarrow as pa
import pyarrow.compute as pc


def upper_words(table: pa.Table) -> pa.Table:
    """Writes the words of column `word` in capitals."""
    return table.set_column(
        table.schema.get_field_index("word"), "word", pc.utf8_upper(table["word"])
    )


def lose_a_row(table: pa.Table) -> pa.Table:
    """Breaks the rule that a clean function keeps the number of rows."""
    return table.slice(1)


def change_its_mind(table: pa.Table) -> pa.Table:
    """Breaks the rule that a column has one type: it depends on the first value of the block."""
    kind = pa.int64() if table["number"][0].as_py() == 0 else pa.float64()
    return table.set_column(0, "number", table["number"].cast(kind))


def without_years(table: pa.Table) -> pa.Table:
    """Leaves the number of "3 years" in column `age`."""
    return table.set_column(0, "age", pc.replace_substring(table["age"], " years", ""))
