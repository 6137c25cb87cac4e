"""A service in Python that asks rototo, for each request, how hard it may work.

OFREP_ENDPOINT is the address of the agent, and LISTEN that of the service. The rest is the OpenFeature SDK as its
documentation has it.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

# The policy while there is no answer: the agent is gone, or has nothing loaded yet.
FALLBACK = {"mode": "normal", "max_concurrency": 50}

api.set_provider(OFREPProvider(os.environ.get("OFREP_ENDPOINT", "http://127.0.0.1:8016")))
client = api.get_client()


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        facts = parse_qs(urlparse(self.path).query)
        # The agent puts the targeting key into the attribute account.id.
        context = EvaluationContext(
            targeting_key=facts.get("account_id", [""])[0],
            attributes={"service": {"queue_pressure": facts.get("queue_pressure", ["low"])[0]}},
        )
        details = client.get_object_details("service-degradation-policy", FALLBACK, context)
        answer = {
            "policy": details.value,
            "variant": details.variant,
            "reason": details.reason,
            "error": details.error_message,
            "fingerprint": details.flag_metadata.get("fingerprint"),
        }
        body = json.dumps(answer, indent=2).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, port = os.environ.get("LISTEN", "127.0.0.1:8080").rsplit(":", 1)
    print(f"listening on http://{host}:{port}", flush=True)
    ThreadingHTTPServer((host, int(port)), Service).serve_forever()
