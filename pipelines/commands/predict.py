"""`beamfleet predict`: rows of a file with the pushed models."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import BeamfleetError
from components.files import exists
from pipelines.pushed import pushed_directory, version_path

if TYPE_CHECKING:
    import pyarrow as pa


def main(arguments: argparse.Namespace) -> int:
    """Prints the rows' predictions as CSV, or as a JSON list; 1 if a row has none."""
    directory = pushed_directory(arguments.models)
    file = Path(arguments.rows)
    if not file.is_file():
        raise BeamfleetError(f"there is no file {file}")
    store = version_path(directory, arguments.version)
    if exists(f"{store}/ensemble.json"):
        raise BeamfleetError(
            f"{store} is an ensemble, which predicts no rows of a file: ask it with "
            f"`beamfleet serve {arguments.models}`, or run its pipeline on other images"
        )
    # Imported once the arguments are known to be good: pandas and scikit-learn take seconds.
    from components.entity_models.open import open_models
    from components.entity_models.predict import predict
    from components.entity_models.read_rows import read_rows

    models = open_models(store)
    table, rejects = read_rows(file, models.spec)
    result = predict(models, table)
    if arguments.json:
        json.dump(result.to_pylist(), sys.stdout)
        print()
    else:
        _print_csv(result)
    for reject in rejects:
        print(f"{reject.file} line {reject.line} cannot be read: {reject.reason}", file=sys.stderr)
    if result.num_rows and all(result.column("fallback").to_pylist()):
        print(
            f"all {result.num_rows} rows were predicted by the fallback: no "
            f"{', '.join(models.spec.entity_columns)} in {file} has a model of its own",
            file=sys.stderr,
        )
    return 1 if rejects or result.column("error").null_count < result.num_rows else 0


def _print_csv(result: "pa.Table") -> None:
    from pyarrow import csv

    flat = result.drop_columns(["probabilities"])
    csv.write_csv(flat, sys.stdout.buffer, csv.WriteOptions(quoting_style="needed"))
