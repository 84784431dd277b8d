"""What can be said about a pipeline before TFX is imported."""

import ast
import glob
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.ensemble.pretrained import pretrained_config
from components.ensemble.weights import ModelSource
from components.entity_evaluator.config import LOWER_IS_BETTER, EvaluationConfig
from components.errors import BeamfleetError
from components.example_gen.source import PAYLOADS, SPAN, GivenSplit
from components.user_function import load_function
from pipelines import steps
from pipelines.steps import Step, method_name

EXAMPLES = "a source of examples"
IMAGES = "a source of images"
SCHEMA = "a schema"
ROW_MODELS = "models of rows"
FEATURES = "features"

# What each step needs, and the calls that give it.
_NEEDS: Mapping[type[Step], tuple[str, ...]] = {
    steps.StreamFeatures: (FEATURES,),
    steps.PredictOnline: (FEATURES, "up-to-date features", "pushed models"),
    steps.GenerateStatistics: (EXAMPLES,),
    steps.InferSchema: ("statistics",),
    steps.ValidateExamples: ("statistics", SCHEMA),
    steps.TrainPerEntity: (EXAMPLES, SCHEMA),
    steps.Preprocess: (EXAMPLES, SCHEMA),
    steps.Tune: (SCHEMA, "preprocessed examples", "a model to train"),
    steps.WithHyperparameters: ("a model to train",),
    steps.WithModel: ("a step that uses it",),
    steps.Train: (SCHEMA, "preprocessed examples"),
    steps.Evaluate: (ROW_MODELS, EXAMPLES),
    steps.InferImages: (IMAGES, "an ensemble"),
    steps.EvaluateCaptions: ("captions",),
    steps.ReportCaptions: ("captions",),
    steps.InfraValidate: ("models", EXAMPLES),
    steps.PushTo: ("models",),
    steps.BulkInfer: (ROW_MODELS,),
}
_MODELS = (steps.TrainPerEntity, steps.Train, steps.WithEnsemble, steps.WithModel)
_GIVEN_BY: Mapping[str, tuple[type[Step], ...]] = {
    EXAMPLES: (
        steps.ReadExamples,
        steps.ReadImages,
        steps.GivenExamples,
        steps.FromFeatureView,
    ),
    FEATURES: (steps.FromFeatureView,),
    "up-to-date features": (steps.StreamFeatures,),
    "pushed models": (steps.PushTo,),
    IMAGES: (steps.ReadImages, steps.GivenExamples),
    "statistics": (steps.GenerateStatistics,),
    SCHEMA: (steps.InferSchema, steps.WithSchema),
    "preprocessed examples": (steps.Preprocess,),
    "a model to train": (steps.Train,),
    "a step that uses it": (steps.InfraValidate, steps.PushTo, steps.BulkInfer),
    "models": _MODELS,
    ROW_MODELS: (steps.TrainPerEntity, steps.Train, steps.WithModel),
    "an ensemble": (steps.WithEnsemble,),
    "captions": (steps.InferImages,),
}
_SPLITS: tuple[tuple[type[Step], str], ...] = (
    (steps.TrainPerEntity, "train"),
    (steps.Preprocess, "train"),
    (steps.Train, "train"),
    (steps.Train, "eval"),
    (steps.Evaluate, "eval"),
    (steps.InfraValidate, "eval"),
)
_ADVICE = {
    EXAMPLES: ".from_csv(path) (or .from_parquet, .from_tfrecord, .with_examples, "
    ".from_feature_view)",
    FEATURES: '.from_feature_view("user_code.payments.fraud", splits=..., as_of=...)',
    "up-to-date features": ".stream_features(until=...)",
    "pushed models": ".push_to()",
    "statistics": ".generate_statistics()",
    SCHEMA: ".infer_schema() or .with_schema(path)",
    "preprocessed examples": '.preprocess("user_code.taxi.preprocessing_fn")',
    "a model to train": ".train(run_fn, label=...)",
    "a step that uses it": ".infra_validate(), .push_to() or .bulk_infer(source)",
    "models": ".train_per_entity(...), .train(...), .with_ensemble(...) or .with_model(path)",
    ROW_MODELS: ".train_per_entity(...), .train(...) or .with_model(path)",
    IMAGES: ".from_images(place)",
    "an ensemble": ".with_ensemble(...)",
    "captions": ".infer_images(...)",
}


EXTRAS: Mapping[str, tuple[str, ...]] = {
    "captions": ("torch", "transformers", "PIL", "sacrebleu"),
    "export": ("mlflow", "openlineage"),
}
"""Extra of the distribution -> modules that come with it."""


def check_installed(extra: str) -> None:
    """The packages of one of EXTRAS are there; nothing is imported.

    Raises:
      BeamfleetError: says how to install them.
    """
    if missing := [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]:
        ours = f"`make run PIPELINE={extra}`, or " if extra == "captions" else ""
        raise BeamfleetError(
            f"{', '.join(missing)} cannot be found: install with {ours}"
            f"`pip install 'beamfleet[{extra}]'`"
        )


def check_pretrained(models: Mapping[str, str | Path], **classes: str) -> None:
    """Folders hold models of these classes of transformers; those of a hub the node looks at.

    Args:
      models: name -> folder, or name on a hub.
      classes: name -> class.

    Raises:
      BeamfleetError: names the model and what it is.
    """
    for name, model_class in classes.items():
        try:
            place = ModelSource.parse(str(models[name])).source
            if Path(place).is_dir():
                pretrained_config(place, model_class)
        except BeamfleetError as error:
            raise BeamfleetError(f"{name}: {error}") from None


def check_inputs(name: str, recorded: Mapping[type[Step], Step]) -> None:
    """Every step finds what it needs, wherever in the chain it was called.

    Raises:
      BeamfleetError: says which step to add, or to leave out.
    """
    sources = (*_GIVEN_BY[EXAMPLES], steps.WithModel)
    if not any(kind in recorded for kind in sources):
        raise BeamfleetError(f"pipeline {name!r} needs {EXAMPLES}: add {_ADVICE[EXAMPLES]}")
    models = [method_name(kind) for kind in _MODELS if kind in recorded]
    if len(models) > 1:
        raise BeamfleetError(
            f"pipeline {name!r} has {' and '.join(models)}: one pipeline makes one kind of models, "
            "leave one out"
        )
    if steps.Tune in recorded and steps.WithHyperparameters in recorded:
        raise BeamfleetError(
            f"pipeline {name!r} has tune and with_hyperparameters: leave one out, there can be one "
            "source of hyperparameters"
        )
    given = recorded.get(steps.WithModel)
    if isinstance(given, steps.WithModel) and steps.Evaluate in recorded:
        _check_evaluable(name, given)
    for kind in recorded:
        for need in _NEEDS.get(kind, ()):
            if not any(giver in recorded for giver in _GIVEN_BY[need]):
                raise BeamfleetError(
                    f"pipeline {name!r}: {method_name(kind)}() needs {need}: add {_ADVICE[need]}"
                )


def _check_evaluable(name: str, given: steps.WithModel) -> None:
    from components.saved_model.layout import find_saved_model

    if not given.path or find_saved_model(given.path):
        raise BeamfleetError(
            f"pipeline {name!r}: evaluate() needs the label, which the preprocessing of the "
            "pipeline that trained a SavedModel makes: evaluate it there. Entity models given "
            "by path are evaluated here"
        )


def check_splits(name: str, recorded: Mapping[type[Step], Step]) -> None:
    """The splits that the steps read are made.

    Raises:
      BeamfleetError: names the split that is missing.
    """
    read, view = recorded.get(steps.ReadExamples), recorded.get(steps.FromFeatureView)
    if isinstance(read, steps.ReadExamples):
        made = read.config.splits.names
    elif isinstance(view, steps.FromFeatureView):
        made = view.config.split_names
    else:
        return  # another component's splits are known only when it runs
    for kind, split in _SPLITS:
        if kind in recorded and split not in made:
            raise BeamfleetError(
                f"pipeline {name!r}: {method_name(kind)}() reads split {split!r}, but the examples "
                f"are split into {', '.join(made)}; name the splits 'train' and 'eval'"
            )


def check_traffic(name: str, recorded: Mapping[type[Step], Step]) -> None:
    """A challenger can be had of these models on these terms.

    Raises:
      BeamfleetError: says what to change.
    """
    push = recorded.get(steps.PushTo)
    plan = push.traffic if isinstance(push, steps.PushTo) else None
    if plan is None:
        return
    plan.check_time()
    if plan.shadow and steps.WithEnsemble in recorded:
        raise BeamfleetError(
            f"pipeline {name!r}: an ensemble takes all cores for one request, so that it cannot be "
            "a shadow: give the challenger a share"
        )
    if plan.by == "entity" and steps.TrainPerEntity not in recorded:
        raise BeamfleetError(
            f'pipeline {name!r}: by="entity" needs one model for each entity; the requests of '
            'one model are shared by="request"'
        )


def check_comparisons(name: str, recorded: Mapping[type[Step], Step]) -> None:
    """Drift has spans to compare, skew has rows to predict.

    Raises:
      BeamfleetError: says what to add.
    """
    validate, read = recorded.get(steps.ValidateExamples), recorded.get(steps.ReadExamples)
    if not isinstance(validate, steps.ValidateExamples):
        return
    spans = isinstance(read, steps.ReadExamples) and any(
        SPAN in p for p in read.config.source.paths
    )
    if validate.drift and not spans:
        raise BeamfleetError(
            f"pipeline {name!r}: drift compares spans, and no path holds {SPAN}: write "
            f".from_csv('data/span-{SPAN}')"
        )
    if validate.skew and steps.BulkInfer not in recorded:
        raise BeamfleetError(
            f"pipeline {name!r}: skew compares with the rows to predict: add .bulk_infer(...)"
        )


def check_paths(name: str, recorded: Mapping[type[Step], Step]) -> None:
    """Local paths exist and patterns match; spans and other filesystems are looked at by the node.

    Raises:
      BeamfleetError: names the path, or the folder of a model, that is missing.
    """
    for path in _paths(recorded):
        if not _is_there(path):
            problem = "nothing matches" if glob.has_magic(path) else "there is no file or folder"
            start = "; `beamfleet schema init` makes it of an earlier run's schema"
            hint = start if recorded.get(steps.WithSchema) == steps.WithSchema(path) else ""
            raise BeamfleetError(f"pipeline {name!r}: {problem} {path}{hint}")
    ensemble = recorded.get(steps.WithEnsemble)
    if isinstance(ensemble, steps.WithEnsemble):
        for place in ensemble.models.values():
            ModelSource.parse(place)


def check_functions(recorded: Mapping[type[Step], Step]) -> None:
    """The user's functions exist and take what they will be given.

    Raises:
      BeamfleetError: names the function and what was expected.
    """
    train = recorded.get(steps.TrainPerEntity)
    if isinstance(train, steps.TrainPerEntity):
        check_user_function(train.config.train_fn, ("examples", "hparams"), "parent")
    preprocess = recorded.get(steps.Preprocess)
    if isinstance(preprocess, steps.Preprocess):
        check_user_function(preprocess.preprocessing_fn, ("inputs",), "custom_config")
    tune = recorded.get(steps.Tune)
    if isinstance(tune, steps.Tune):
        check_user_function(tune.tuner_fn, ("fn_args",))
    lone = recorded.get(steps.Train)
    if isinstance(lone, steps.Train):
        check_user_function(lone.run_fn, ("fn_args",))
    ensemble = recorded.get(steps.WithEnsemble)
    if isinstance(ensemble, steps.WithEnsemble):
        check_user_function(ensemble.ensemble_fn, ("models", "hparams"))
    on_exit = recorded.get(steps.OnExit)
    if isinstance(on_exit, steps.OnExit):
        check_user_function(on_exit.function, ("outcome",))
    read, bulk = recorded.get(steps.ReadExamples), recorded.get(steps.BulkInfer)
    for clean in (
        read.config.clean if isinstance(read, steps.ReadExamples) else "",
        bulk.clean if isinstance(bulk, steps.BulkInfer) else "",
    ):
        if clean:
            check_user_function(clean, ("table",))


def check_metrics(recorded: Mapping[type[Step], Step]) -> None:
    """The metrics are of the task.

    Raises:
      BeamfleetError: names those that are not, and the ones to choose from.
    """
    train, evaluate = recorded.get(steps.TrainPerEntity), recorded.get(steps.Evaluate)
    if isinstance(train, steps.TrainPerEntity) and isinstance(evaluate, steps.Evaluate):
        EvaluationConfig.from_dict(evaluate.options).metrics_for(train.config.task)


def thresholds(given: object) -> Mapping[str, Mapping[str, float]] | None:
    """What `evaluate(thresholds=...)` was given, if it has the right shape.

    Raises:
      BeamfleetError: says how to write it.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise BeamfleetError(
            f'thresholds is {given!r}, expected bounds by metric, such as {{"accuracy": '
            '{"min": 0.7}}'
        )
    for metric, bounds in given.items():
        numbers = isinstance(bounds, Mapping) and all(
            isinstance(bound, int | float) for bound in bounds.values()
        )
        if not numbers:
            side = "max" if metric in LOWER_IS_BETTER else "min"
            bound = bounds if isinstance(bounds, int | float) else 0.7
            raise BeamfleetError(
                f"thresholds[{metric!r}] is {bounds!r}, expected named numbers, such as "
                f'{{"{metric}": {{"{side}": {bound}}}}}'
            )
    return given


def _is_there(path: str) -> bool:
    # Of a pattern such as `x**.csv` Beam has an idea of its own.
    if "://" in path or "{" in path or re.search(r"\*\*[^/]|[^/]\*\*", path):
        return True
    matching = glob.iglob(path, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute one
    return Path(path).exists() or next(matching, None) is not None


def _paths(recorded: Mapping[type[Step], Step]) -> Iterator[str]:
    read, bulk = recorded.get(steps.ReadExamples), recorded.get(steps.BulkInfer)
    schema, images = recorded.get(steps.WithSchema), recorded.get(steps.ReadImages)
    if isinstance(images, steps.ReadImages):
        yield from images.images
        yield from filter(None, [images.references])
    if isinstance(read, steps.ReadExamples):
        yield from read.config.source.paths
        if isinstance(read.config.splits, GivenSplit):
            yield from read.config.splits.eval_paths
    if isinstance(bulk, steps.BulkInfer):
        yield from bulk.source.paths
    if isinstance(schema, steps.WithSchema):
        yield schema.path
    online = recorded.get(steps.PredictOnline)
    if isinstance(online, steps.PredictOnline):
        yield online.requests
    tuned = recorded.get(steps.WithHyperparameters)
    if isinstance(tuned, steps.WithHyperparameters) and tuned.path:
        yield tuned.path
    model = recorded.get(steps.WithModel)
    if isinstance(model, steps.WithModel) and model.path:
        yield model.path


def payload(recorded: Mapping[type[Step], Step]) -> str:
    """What the examples carry: the first of PAYLOADS, Parquet, that all of their readers read.

    Raises:
      BeamfleetError: two readers have none in common.
    """
    readers = {kind: kind.payloads for kind in recorded if hasattr(kind, "payloads")}
    for candidate in PAYLOADS:
        if all(candidate in readable for readable in readers.values()):
            return candidate
    words = ", ".join(
        f"{method_name(kind)}() reads {' or '.join(p)}" for kind, p in readers.items()
    )
    raise BeamfleetError(f"no payload suits all steps: they read {words}; leave one out")


def check_user_function(dotted_path: str, parameters: tuple[str, ...], optional: str = "") -> None:
    """The function exists and takes these parameters, found without running the user's module.

    Raises:
      BeamfleetError: names what is missing and the signature that was expected.
    """
    names = _parameter_names(dotted_path)
    allowed = (*parameters, optional) if optional else parameters
    if names[: len(parameters)] != parameters or not set(names) <= set(allowed):
        wanted = ", ".join(parameters) + (f"[, {optional}]" if optional else "")
        raise BeamfleetError(
            f"{dotted_path}({', '.join(names)}) has the wrong parameters, expected ({wanted})"
        )


def _parameter_names(dotted_path: str) -> tuple[str, ...]:
    """Reads the source, because importing a user's module may import a whole framework."""
    module_name, _, name = dotted_path.rpartition(".")
    for node in _module_body(module_name, dotted_path):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            return tuple(argument.arg for argument in arguments)
    # Not a plain `def` there: imported, decorated into place or a callable object.
    return tuple(inspect.signature(load_function(dotted_path)).parameters)


def _module_body(module_name: str, dotted_path: str) -> list[ast.stmt]:
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(module_name) if module_name else None
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        load_function(dotted_path)  # says what is wrong with the path
        return []
    try:
        return ast.parse(Path(spec.origin).read_bytes(), spec.origin).body
    except SyntaxError as error:
        raise BeamfleetError(
            f"{spec.origin} line {error.lineno} is not valid Python: {error.msg}"
        ) from None
