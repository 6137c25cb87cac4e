"""Evaluates what it reads, one JSON object a line, with the OpenFeature SDK and its OFREP provider."""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

api.set_provider(OFREPProvider(base_url=sys.argv[1]))
client = api.get_client()
evaluations = {
    "bool": client.get_boolean_details,
    "int": client.get_integer_details,
    "number": client.get_float_details,
    "string": client.get_string_details,
    "list": client.get_object_details,
    "object": client.get_object_details,
}
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    wanted = json.loads(line)
    context = EvaluationContext(wanted.get("targetingKey"), wanted["attributes"])
    details = evaluations[wanted["type"]](wanted["key"], wanted["default"], context)
    print(
        json.dumps(
            {
                "value": details.value,
                "variant": details.variant,
                "reason": details.reason,
                "error": details.error_code,
                "metadata": dict(details.flag_metadata),
            }
        ),
        flush=True,
    )
