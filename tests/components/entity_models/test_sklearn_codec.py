"""Every estimator on the list comes back with the same predictions and the same bytes."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import (
    calibration,
    compose,
    decomposition,
    dummy,
    ensemble,
    feature_selection,
    impute,
    linear_model,
    naive_bayes,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

from components.entity_models import allowed
from components.entity_models.codecs import decode, encode
from components.entity_models.prepared import PreparedModel
from components.errors import BeamfleetError

RNG = np.random.default_rng(0)
ROWS = 120
FRAME = pd.DataFrame(
    {
        "word": RNG.choice(["a", "b", "ü/../", "d"], ROWS).astype(object),
        "count": RNG.integers(0, 9, ROWS),
        "size": RNG.normal(size=ROWS),
    }
)
LABEL = pd.Series(np.where(FRAME["size"] + (FRAME["word"] == "a") > 0.5, "yes", "no"))
VALUE = pd.Series(FRAME["size"] * 3 + FRAME["count"])

CLASSIFIERS = [
    tree.DecisionTreeClassifier(max_depth=4, random_state=0),
    tree.ExtraTreeClassifier(random_state=0, class_weight={"yes": 2.0, "no": 1.0}),
    ensemble.RandomForestClassifier(5, random_state=0, n_jobs=2),
    ensemble.ExtraTreesClassifier(5, random_state=0),
    ensemble.AdaBoostClassifier(n_estimators=3, random_state=0, algorithm="SAMME"),
    ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=0),
    ensemble.VotingClassifier(
        [("a", linear_model.LogisticRegression()), ("b", naive_bayes.GaussianNB())], voting="soft"
    ),
    calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2),
    dummy.DummyClassifier(),
    linear_model.LogisticRegression(),
    linear_model.LogisticRegressionCV(Cs=2, cv=2),
    linear_model.RidgeClassifier(),
    linear_model.RidgeClassifierCV(),
    linear_model.SGDClassifier(loss="log_loss", random_state=0),
    naive_bayes.GaussianNB(),
    naive_bayes.BernoulliNB(),
    naive_bayes.MultinomialNB(),
    naive_bayes.ComplementNB(),
    neural_network.MLPClassifier((4,), max_iter=5, random_state=0),
    svm.LinearSVC(),
]
REGRESSORS = [
    tree.DecisionTreeRegressor(max_depth=4, random_state=0),
    tree.ExtraTreeRegressor(random_state=0),
    ensemble.RandomForestRegressor(5, random_state=0),
    ensemble.ExtraTreesRegressor(5, random_state=0),
    ensemble.AdaBoostRegressor(n_estimators=3, random_state=0),
    ensemble.HistGradientBoostingRegressor(max_iter=5, random_state=0),
    ensemble.HistGradientBoostingRegressor(
        loss="quantile", quantile=0.3, max_iter=5, random_state=0
    ),
    ensemble.VotingRegressor([("a", linear_model.LinearRegression())]),
    compose.TransformedTargetRegressor(
        linear_model.Ridge(), transformer=preprocessing.StandardScaler()
    ),
    dummy.DummyRegressor(strategy="median"),
    linear_model.LinearRegression(),
    linear_model.Ridge(),
    linear_model.RidgeCV(),
    linear_model.Lasso(),
    linear_model.LassoCV(cv=2),
    linear_model.ElasticNet(),
    linear_model.ElasticNetCV(cv=2),
    linear_model.HuberRegressor(),
    linear_model.BayesianRidge(),
    linear_model.ARDRegression(),
    linear_model.QuantileRegressor(),
    linear_model.SGDRegressor(random_state=0),
    neural_network.MLPRegressor((4,), max_iter=5, random_state=0),
    svm.LinearSVR(),
]
NUMBERS = ["count", "size"]
TRANSFORMERS = [
    preprocessing.MinMaxScaler(),
    preprocessing.StandardScaler(),
    preprocessing.MaxAbsScaler(),
    preprocessing.RobustScaler(),
    preprocessing.Normalizer(),
    preprocessing.Binarizer(),
    preprocessing.PowerTransformer(),
    preprocessing.QuantileTransformer(n_quantiles=10),
    preprocessing.PolynomialFeatures(2),
    preprocessing.KBinsDiscretizer(3),
    preprocessing.FunctionTransformer(np.square),
    preprocessing.OneHotEncoder(handle_unknown="ignore"),
    preprocessing.OneHotEncoder(drop="if_binary"),
    preprocessing.OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist"),
    preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    preprocessing.TargetEncoder(random_state=0),
    impute.SimpleImputer(add_indicator=True),
    feature_selection.VarianceThreshold(),
    decomposition.PCA(1),
    decomposition.TruncatedSVD(1, random_state=0),
    pipeline.FeatureUnion([("a", preprocessing.MinMaxScaler()), ("b", decomposition.PCA(1))]),
]


def _with_words(model):
    words = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return pipeline.make_pipeline(
        compose.make_column_transformer(
            (words, ["word"]),
            (preprocessing.MinMaxScaler(), compose.make_column_selector(dtype_include=np.number)),
        ),
        model,
    )


def _same(first, second):
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda m: type(m).__name__)
def test_classifier(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = _with_words(model).fit(FRAME, LABEL)
    framework, payload = encode(fitted)
    loaded = decode(framework, payload)
    assert framework == "sklearn"
    _same(loaded.predict(FRAME), fitted.predict(FRAME))
    _same(loaded.classes_, fitted.classes_)
    if hasattr(fitted, "predict_proba"):
        _same(loaded.predict_proba(FRAME), fitted.predict_proba(FRAME))
    # n_jobs is not kept, so the third generation is compared with the second.
    assert encode(decode(*encode(loaded))) == encode(loaded)


@pytest.mark.parametrize("model", REGRESSORS, ids=lambda m: type(m).__name__)
def test_regressor(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = _with_words(model).fit(FRAME, VALUE)
    loaded = decode(*encode(fitted))
    _same(loaded.predict(FRAME), fitted.predict(FRAME))
    assert encode(loaded) == encode(fitted)


@pytest.mark.parametrize("model", TRANSFORMERS, ids=lambda m: type(m).__name__)
def test_transformer(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = model.fit(FRAME[NUMBERS], LABEL)
    loaded = decode(*encode(fitted))
    first, second = loaded.transform(FRAME[NUMBERS]), fitted.transform(FRAME[NUMBERS])
    _same(getattr(first, "toarray", lambda: first)(), getattr(second, "toarray", lambda: second)())
    assert encode(loaded) == encode(fitted)


def test_each_class_on_the_list_exists_and_is_tested():
    seen = {type(m).__name__ for m in [*CLASSIFIERS, *REGRESSORS, *TRANSFORMERS]}
    for name in allowed.CLASSES:
        allowed.load_class(name)
    # These are part of the models above.
    parts = {
        "Pipeline",
        "ColumnTransformer",
        "make_column_selector",
        "_RemainderColsList",
        "MissingIndicator",
        "LabelEncoder",
        "LabelBinarizer",
        "_BinMapper",
        "_CalibratedClassifier",
        "_SigmoidCalibration",
        "PreparedModel",
    }
    assert {name.rpartition(".")[2] for name in allowed.CLASSES} == seen | parts


def test_prepared_model_speaks_words():
    prepare = preprocessing.OrdinalEncoder().fit(FRAME)
    classes, codes = np.unique(LABEL, return_inverse=True)
    inner = tree.DecisionTreeClassifier(random_state=0).fit(prepare.transform(FRAME), codes)
    model = decode(*encode(PreparedModel(inner, prepare, classes)))
    assert (model.predict(FRAME) == LABEL).all()
    assert list(model.classes_) == ["no", "yes"]
    assert model.predict_proba(FRAME).shape == (ROWS, 2)


def _module_function(frame):
    return frame


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (preprocessing.FunctionTransformer(_module_function), "FunctionTransformer.func"),
        (preprocessing.FunctionTransformer(np.load), "FunctionTransformer.func"),
        (svm.SVC(), "sklearn.svm._classes.SVC"),
        (ensemble.GradientBoostingClassifier(), "GradientBoostingClassifier"),
        ({"a": 1}, "dict"),
        (FRAME, "DataFrame"),
    ],
)
def test_what_may_not_be_loaded_cannot_be_saved(model, what):
    with pytest.raises(BeamfleetError, match=what):
        encode(model)


def test_a_model_that_contains_itself_is_refused():
    model = linear_model.Ridge()
    model.own = [model]
    with pytest.raises(BeamfleetError, match="contains itself"):
        encode(model)


def test_splits_by_category_are_refused_with_advice():
    model = ensemble.HistGradientBoostingRegressor(categorical_features=[0], max_iter=2)
    codes = FRAME.assign(word=FRAME["word"].astype("category").cat.codes)
    with pytest.raises(BeamfleetError):
        encode(model.fit(codes, VALUE))
