"""A service as the supervisor sees one: writes its port, answers /health, ends on SIGTERM.

`stubborn` as argument: does not end on SIGTERM. `leaves_a_worker`: starts a process in its group and writes its pid.
`slow`: is ready, and does not answer the next two questions.
"""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


class Health(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        Health.asked += 1
        self.send_response(503 if "slow" in sys.argv and Health.asked in {2, 3} else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


if "broken" in sys.argv:
    sys.exit("the setting X is missing")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: None if "stubborn" in sys.argv else ended.set())
signal.signal(signal.SIGINT, signal.SIG_IGN)
health_file = Path(os.environ["LAKEHOUSE_HEALTH_FILE"])
if "leaves_a_worker" in sys.argv:
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    health_file.with_suffix(".worker").write_text(str(worker.pid), encoding="ascii")
threading.Thread(target=server.serve_forever, daemon=True).start()
draft = health_file.with_suffix(".draft")
draft.write_text(str(server.server_address[1]), encoding="ascii")
draft.replace(health_file)
ended.wait()
