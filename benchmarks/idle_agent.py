"""How much memory an idle, connected agent holds, against a bare paho-mqtt client that is connected as well.

The agent is that of this Python, and that of a bundle for this machine, which brings its own.

Resident set size in MB (10^6 bytes) as the kernel counts it, some seconds after both have connected to one broker.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import psutil

from edge_sim.cloud.brokers.broker import start_broker
from edge_sim.emulation.bundle import archive

LIMIT_MB = 35.0

BARE = """
import sys, paho.mqtt.client as mqtt
host, port = sys.argv[1].rsplit("//", 1)[1].split(":")
version = getattr(mqtt, "CallbackAPIVersion", None)
client = mqtt.Client(version.VERSION2) if version else mqtt.Client()
client.on_connect = lambda *_: print("connected", flush=True)
client.connect(host, int(port)); client.loop_forever()
"""


def resident_mb(process: subprocess.Popen[bytes], said: bytes, settle_s: float) -> float:
    """Wait until the process says that it is connected, let it settle, and return its resident memory."""
    assert process.stdout is not None
    for line in process.stdout:
        if said in line:
            break
    else:
        raise SystemExit("the process ended before it was connected")
    time.sleep(settle_s)
    return float(psutil.Process(process.pid).memory_info().rss) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settle", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, start_broker(None) as broker:
        config = Path(root) / "agent.json"
        config.write_text(json.dumps({"thing": "idle", "broker": broker.url}))
        arguments = ["agent", "run", "--root", root, "--config", str(config)]
        bundle = archive.bundle(platform.machine(), print, newest=False)
        with tarfile.open(fileobj=io.BytesIO(bundle.packed)) as tar:
            tar.extraction_filter = lambda member, _: member  # ours
            tar.extractall(root)
        sizes = {}
        for name, argv, said in (
            ("agent", [sys.executable, "-m", "edge_sim.cli.main", *arguments], b'"connected"'),
            ("bundle's agent", [f"{root}/{archive.TOP}/bin/edge-sim", *arguments], b'"connected"'),
            ("paho alone", [sys.executable, "-c", BARE, broker.url], b"connected"),
        ):
            process = subprocess.Popen(argv, stdout=subprocess.PIPE)
            try:
                sizes[name] = resident_mb(process, said, args.settle)
            finally:
                process.terminate()
                process.wait(timeout=10)
    ratios = {f"{name} / paho alone": round(sizes[name] / sizes["paho alone"], 2) for name in sizes if "agent" in name}
    result = {
        "resident_mb": {name: round(size, 1) for name, size in sizes.items()},
        "ratios": ratios,
        "limit_mb": LIMIT_MB,
        "ok": max(sizes["agent"], sizes["bundle's agent"]) <= LIMIT_MB,
    }
    if args.format == "json":
        print(json.dumps(result))
    else:
        print(f"idle (limit {LIMIT_MB:g} MB): {', '.join(f'{name} {size:.1f} MB' for name, size in sizes.items())}")
        print(", ".join(f"{name} {ratio}" for name, ratio in ratios.items()))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
