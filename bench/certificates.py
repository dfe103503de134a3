"""The certificate of the TLS works, made with the `openssl` program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its key."""

    cert: Path
    key: Path

    @property
    def bundle(self) -> Path:
        """Both in one file, as HAProxy wants them."""
        path = self.cert.with_suffix(".bundle")
        path.write_bytes(self.cert.read_bytes() + self.key.read_bytes())
        return path


def self_signed(directory: Path) -> Pair:
    """ECDSA P-256, for 127.0.0.1. Raises OSError without `openssl`, CalledProcessError."""
    pair = Pair(directory / "bench.pem", directory / "bench.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "30", "-subj", "/CN=bench"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(pair.key), "-out", str(pair.cert)]
    subprocess.run(command, check=True, capture_output=True)
    return pair
