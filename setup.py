"""The packages and what they need; Beam also ships this file to its workers.

`user_code` is a namespace package (no `__init__.py`): a user's own `user_code` stands beside
ours and is never shadowed by it.
"""

from setuptools import find_namespace_packages, setup

BASE = [
    "apache-beam==2.77.0",
    "duckdb>=2,<3",
    "keras>=3,<4",
    "kserve==0.21.0",
    "ml-metadata==1.21.0",
    "numpy>=1.26,<3",
    "pandas>=2.3,<3",
    "pip",
    "plotly>=7.1,<8",
    "polars>=2.1,<3",
    "protobuf>=6.33,<7",
    "pyarrow>=18.1,<19",
    "rich>=15,<16",
    "scikit-learn==1.5.2",
    "scipy<2",
    "setuptools",
    "tensorboard",
    "tensorflow==2.21.0",
    "tensorflow-data-validation==1.21.0",
    "tensorflow-model-analysis==0.52.0",
    "tfx==1.21.0",
    "tfx-bsl==1.21.0",
    "wheel",
]

setup(
    name="beamfleet",
    version="0.1.0",
    packages=find_namespace_packages(
        include=["pipelines*", "components*", "user_code*"], exclude=["*.__pycache__"]
    ),
    package_data={
        "pipelines": ["templates/**/*", "report/page/*", "py.typed"],
        "components": ["py.typed", "caption_report/page/*"],
    },
    python_requires=">=3.11,<3.14",
    install_requires=BASE,
    extras_require={
        "boosting": ["lightgbm>=4.7,<5", "xgboost-cpu>=3,<4"],
        "captions": [
            "pillow>=12.3,<13",
            "sacrebleu>=2.6,<3",
            "safetensors",
            "torch>=2.13,<2.14",
            "transformers>=5.23,<6",
        ],
        "export": ["mlflow-skinny>=3.17,<4", "openlineage-python>=1.54,<2"],
        "features": ["feast[grpcio]>=0.67,<0.68", "psycopg[binary]>=3.3,<4", "redis>=8,<9"],
        "notebooks": ["ipykernel", "jupyterlab>=4.6,<5", "nbclient>=0.11"],
    },
    entry_points={"console_scripts": ["beamfleet=pipelines.cli:main"]},
)
