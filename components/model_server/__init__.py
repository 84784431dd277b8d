"""Serves entity models or an ensemble over the Open Inference Protocol (V2), on KServe.

    python -m components.model_server /models/census --port 8080
    curl localhost:8080/v2/models/model                  names the inputs and outputs
    curl localhost:8080/v2/models/model/infer -H 'Content-Type: application/json' -d '{"inputs": [
        {"name": "education", "shape": [1], "datatype": "BYTES", "data": ["HS-grad"]},
        {"name": "age", "shape": [1], "datatype": "INT64", "data": [39]}]}'

    python -m components.model_server /models/captions --port 8081
    echo '{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES",
        "data": ["'$(base64 -w 0 photo.jpg)'"]}]}' |
    curl localhost:8081/v2/models/model/infer -H 'Content-Type: application/json' -d @-

What lies there says whether it is entity models or an ensemble; `entity_tensors` and
`ensemble_tensors` say what requests and responses hold.

A request is answered as a whole or refused as a whole, with {"error": "<one sentence>"}: 400 not a
request that the models take, 404 no such path, 408 the body did not arrive, 413 too large, 415 not
JSON, 422 rows without prediction (named), 500 a failure of the server (the log has it), 503 too
many requests wait, or a stored model was removed or damaged (the server is not ready then), 504 the
prediction took too long. With a challenger beside the champion (docs/serving.md) `parameters.label`
says which of them answered, and /v2/models/model/traffic what both did. There is no login, no TLS
and no gRPC: it listens on the loopback unless told otherwise; put a proxy before it to go further.
"""

from components.model_server.config import ServerConfig
from components.model_server.server import serve

__all__ = ["ServerConfig", "serve"]
