"""The classes, types and functions that a scikit-learn payload may name, and no others."""

import importlib
import re
from functools import cache
from typing import Any

import numpy as np

from components.errors import BeamfleetError

_MODULES: dict[str, tuple[str, ...]] = {
    "sklearn.pipeline": ("Pipeline", "FeatureUnion"),
    "sklearn.compose._column_transformer": (
        "ColumnTransformer",
        "make_column_selector",
        "_RemainderColsList",
    ),
    "sklearn.compose._target": ("TransformedTargetRegressor",),
    "sklearn.preprocessing._encoders": ("OneHotEncoder", "OrdinalEncoder"),
    "sklearn.preprocessing._target_encoder": ("TargetEncoder",),
    "sklearn.preprocessing._label": ("LabelEncoder", "LabelBinarizer"),
    "sklearn.preprocessing._data": (
        "MinMaxScaler",
        "StandardScaler",
        "MaxAbsScaler",
        "RobustScaler",
        "Normalizer",
        "Binarizer",
        "PowerTransformer",
        "QuantileTransformer",
    ),
    "sklearn.preprocessing._polynomial": ("PolynomialFeatures",),
    "sklearn.preprocessing._discretization": ("KBinsDiscretizer",),
    "sklearn.preprocessing._function_transformer": ("FunctionTransformer",),
    "sklearn.impute._base": ("SimpleImputer", "MissingIndicator"),
    "sklearn.feature_selection._variance_threshold": ("VarianceThreshold",),
    "sklearn.decomposition._pca": ("PCA",),
    "sklearn.decomposition._truncated_svd": ("TruncatedSVD",),
    "sklearn.dummy": ("DummyClassifier", "DummyRegressor"),
    "sklearn.naive_bayes": ("GaussianNB", "BernoulliNB", "MultinomialNB", "ComplementNB"),
    "sklearn.linear_model._base": ("LinearRegression",),
    "sklearn.linear_model._ridge": ("Ridge", "RidgeCV", "RidgeClassifier", "RidgeClassifierCV"),
    "sklearn.linear_model._logistic": ("LogisticRegression", "LogisticRegressionCV"),
    "sklearn.linear_model._coordinate_descent": ("Lasso", "ElasticNet", "LassoCV", "ElasticNetCV"),
    "sklearn.linear_model._huber": ("HuberRegressor",),
    "sklearn.linear_model._bayes": ("BayesianRidge", "ARDRegression"),
    "sklearn.linear_model._quantile": ("QuantileRegressor",),
    "sklearn.linear_model._stochastic_gradient": ("SGDClassifier", "SGDRegressor"),
    "sklearn.svm._classes": ("LinearSVC", "LinearSVR"),
    "sklearn.tree._classes": (
        "DecisionTreeClassifier",
        "DecisionTreeRegressor",
        "ExtraTreeClassifier",
        "ExtraTreeRegressor",
    ),
    "sklearn.ensemble._forest": (
        "RandomForestClassifier",
        "RandomForestRegressor",
        "ExtraTreesClassifier",
        "ExtraTreesRegressor",
    ),
    "sklearn.ensemble._voting": ("VotingClassifier", "VotingRegressor"),
    "sklearn.ensemble._weight_boosting": ("AdaBoostClassifier", "AdaBoostRegressor"),
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting": (
        "HistGradientBoostingClassifier",
        "HistGradientBoostingRegressor",
    ),
    "sklearn.ensemble._hist_gradient_boosting.binning": ("_BinMapper",),
    "sklearn.neural_network._multilayer_perceptron": ("MLPClassifier", "MLPRegressor"),
    "sklearn.calibration": (
        "CalibratedClassifierCV",
        "_CalibratedClassifier",
        "_SigmoidCalibration",
    ),
    "components.entity_models.prepared": ("PreparedModel",),
}
CLASSES = frozenset(f"{module}.{name}" for module, names in _MODULES.items() for name in names)
"""Left out on purpose: text vectorisers (input="filename" reads files), stacking (calls methods by
stored name), and libsvm, neighbour trees and classic gradient boosting (their C code trusts sizes
that a file could change)."""

UFUNCS: dict[str, np.ufunc] = {
    ufunc.__name__: ufunc
    for ufunc in (np.log, np.log1p, np.log2, np.log10, np.exp, np.expm1, np.sqrt, np.square)
}
"""Functions for FunctionTransformer; each acts on numbers only."""

_DROPPED = {
    "MLPClassifier": frozenset({"_optimizer", "_random_state"}),
    "MLPRegressor": frozenset({"_optimizer", "_random_state"}),
    "SGDClassifier": frozenset({"_loss_function_", "loss_function_"}),
    "SGDRegressor": frozenset({"_loss_function_", "loss_function_"}),
    "VotingClassifier": frozenset({"named_estimators_"}),
    "VotingRegressor": frozenset({"named_estimators_"}),
    "HistGradientBoostingClassifier": frozenset({"_loss", "_feature_subsample_rng", "_scorer"}),
    "HistGradientBoostingRegressor": frozenset({"_loss", "_feature_subsample_rng", "_scorer"}),
}
_NUMBERS = frozenset(np.dtype(c).str for c in ("?", *"bBhHiIlL", *"efd", "F", "D"))


def dropped(class_name: str) -> frozenset[str]:
    """Attributes that only training needs, or that `checks.restore` makes again."""
    return _DROPPED.get(class_name.rpartition(".")[2], frozenset())


@cache
def load_class(name: str) -> type:
    """Imports a class of the list.

    Raises:
      BeamfleetError: it is not on the list.
    """
    if name not in CLASSES:
        raise BeamfleetError(f"the model payload names {name!r}, which may not be loaded")
    module_name, _, class_name = name.rpartition(".")
    kind: type = getattr(importlib.import_module(module_name), class_name)
    return kind


@cache
def sklearn_version() -> str:
    import sklearn

    return str(sklearn.__version__)


def check_version(written: Any) -> None:
    """Attributes of fitted estimators mean the same only within one minor release.

    Raises:
      BeamfleetError: the model was written by another minor release.
    """
    here = sklearn_version()
    if not isinstance(written, str) or written.split(".")[:2] != here.split(".")[:2]:
        raise BeamfleetError(
            f"the model was trained with scikit-learn {written}, here is {here}; train again, or "
            "install that version"
        )


def dtype_code(dtype: np.dtype[Any], path: str) -> str:
    """The name of a dtype in a payload.

    Raises:
      BeamfleetError: arrays of this dtype may not be saved.
    """
    if dtype.str in _NUMBERS or dtype.kind in "US":
        return str(dtype.str)
    raise BeamfleetError(f"cannot save {path}: an array of {dtype}")


@cache
def dtype_of(code: str) -> np.dtype[Any]:
    if code in _NUMBERS or re.fullmatch(r"(<U|\|S)[1-9]\d{0,8}", code):
        return np.dtype(code)
    raise ValueError(f"dtype {code!r}")
