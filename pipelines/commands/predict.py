"""`beamfleet predict`: rows of a file with the pushed models."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import BeamfleetError
from pipelines.pushed import pushed_directory, version_path

if TYPE_CHECKING:
    import pyarrow as pa

    from components.entity_models.spec import ModelSpec


def main(arguments: argparse.Namespace) -> int:
    """Prints the rows' predictions as CSV, or as a JSON list; 1 if a row has none."""
    directory = pushed_directory(arguments.models)
    file = Path(arguments.rows)
    if not file.is_file():
        raise BeamfleetError(f"there is no file {file}")
    store = version_path(directory, arguments.version)
    # Imported once the arguments are known to be good: pandas and scikit-learn take seconds.
    from components.entity_models.predict import predict
    from components.entity_models.store import EntityModels

    models = EntityModels(store)
    table = _read(file, models.spec)
    result = predict(models, table)
    if arguments.json:
        json.dump(result.to_pylist(), sys.stdout)
        print()
    else:
        _print_csv(result)
    return 1 if result.column("error").null_count < result.num_rows else 0


def _read(file: Path, spec: "ModelSpec") -> "pa.Table":
    """Reads only what the models need, in their types."""
    import pyarrow as pa

    names = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64()}
    types = {column: names[kind] for column, kind in spec.features}
    types.update(dict.fromkeys(spec.entity_columns, pa.string()))
    try:
        return _read_json(file, types) if file.suffix == ".json" else _read_csv(file, types)
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise BeamfleetError(
            f"{file} does not fit the models, which need {', '.join(types)}: {error}"
        ) from None


def _read_csv(file: Path, types: dict[str, Any]) -> "pa.Table":
    from pyarrow import csv

    options = csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=["", "?"],
        strings_can_be_null=True,
    )
    return csv.read_csv(file, convert_options=options)


def _read_json(file: Path, types: dict[str, Any]) -> "pa.Table":
    import pyarrow as pa

    rows = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected a list of objects")
    return pa.Table.from_pylist(
        [{name: row[name] for name in types} for row in rows], schema=pa.schema(types.items())
    )


def _print_csv(result: "pa.Table") -> None:
    from pyarrow import csv

    flat = result.drop_columns(["probabilities"])
    csv.write_csv(flat, sys.stdout.buffer, csv.WriteOptions(quoting_style="needed"))
