#!/usr/bin/env python3
"""Serves one safetensors file on 127.0.0.1 as the Hugging Face hub serves timm/vgg16.tv_in1k, for trying things without it.

  loopback_hub.py WEIGHTS.safetensors [PORT]        then: HF_ENDPOINT=http://127.0.0.1:PORT tsne-grid embed … --sha256 (printed)
"""
import hashlib, http.server, pathlib, sys

REVISION = "3394518cba29aee1ea82a49d971be90d2dd1dab7"
data = pathlib.Path(sys.argv[1]).read_bytes()
digest = hashlib.sha256(data).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != f"/timm/vgg16.tv_in1k/resolve/{REVISION}/model.safetensors":
            return self.send_error(404)
        first, last = 0, len(data) - 1
        if range_ := self.headers.get("Range"):
            first, last = (int(x) for x in range_.removeprefix("bytes=").split("-"))
        self.send_response(206 if range_ else 200)
        for name, value in (("X-Repo-Commit", REVISION), ("ETag", '"x"'), ("X-Linked-ETag", f'"{digest}"'), ("Accept-Ranges", "bytes"),
                            ("Content-Range", f"bytes {first}-{last}/{len(data)}"), ("Content-Length", str(last - first + 1))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[first:last + 1])


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Hub)
print(f"HF_ENDPOINT=http://127.0.0.1:{server.server_port}  --sha256 {digest}", flush=True)
server.serve_forever()
