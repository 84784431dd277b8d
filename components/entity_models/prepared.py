"""Models that need their input prepared and their classes named."""

from typing import Any

import numpy as np
import pandas as pd


class PreparedModel:
    """A model behind a fitted transformer, that speaks the words of the label.

    XGBoost and Keras know classes as 0..n-1 and take numbers only. Example:

        prepare = make_column_transformer((OneHotEncoder(), words), ...).fit(features)
        classes, codes = np.unique(label, return_inverse=True)
        network.fit(prepare.transform(features), codes)
        return PreparedModel(network, prepare, classes)
    """

    def __init__(self, model: Any, prepare: Any = None, classes: Any = None) -> None:
        """Wraps fitted parts.

        Args:
          model: with `predict_proba`, or whose `predict` gives (rows, classes) probabilities or
            (rows,) probabilities of the second class; for regression (rows,) or (rows, 1) values.
          prepare: fitted transformer of the DataFrame, None to pass it on as it is.
          classes: the label that each code stands for; None for regression.
        """
        self.model = model
        self.prepare = prepare
        self._classes = None if classes is None else np.asarray(classes)

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """(n,) labels in the order of the codes."""
        if self._classes is None:
            raise AttributeError("a regression has no classes_")
        return self._classes

    def predict(self, features: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Gives (rows,) classes or values."""
        if self._classes is not None:
            most = self.predict_proba(features).argmax(axis=1)
            return np.asarray(self._classes[most])
        return self._call(features).reshape(len(features))

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Gives (rows, classes) probabilities."""
        values = self._call(features)
        if values.ndim == 1 or values.shape[1] == 1:
            positive = values.reshape(-1)
            values = np.stack([1 - positive, positive], axis=1)
        return values

    def _call(self, features: pd.DataFrame) -> np.ndarray[Any, Any]:
        inputs: Any = features if self.prepare is None else self.prepare.transform(features)
        if self._classes is not None and hasattr(self.model, "predict_proba"):
            values = self.model.predict_proba(inputs)
        elif any(kind.__module__.startswith("keras.") for kind in type(self.model).__mro__):
            dense = inputs.toarray() if hasattr(inputs, "toarray") else np.asarray(inputs)
            # `predict` builds a data pipeline of its own: 50 ms a call.
            values = self.model(dense.astype(np.float32), training=False)
        elif hasattr(self.model, "inplace_predict"):  # an XGBoost Booster
            values = self.model.inplace_predict(inputs)
        else:
            values = self.model.predict(inputs)
        return np.asarray(values, dtype=np.float64)
