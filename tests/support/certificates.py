"""Certificates for tests, made with the `openssl` program."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from tests.support.servers import program

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """An authority with its files in `directory`."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        directory.mkdir(exist_ok=True)
        self._directory = directory
        self.cert = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        self._serial = 0
        _openssl(
            "req", "-x509", *_CURVE, "-days", "30", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign",
            "-keyout", self._key, "-out", self.cert,
        )  # fmt: skip

    def issue(self, name: str, *names: str, subject: str | None = None) -> Pair:
        """A certificate for `names` in the form of openssl, such as `DNS:a.example` or
        `IP:127.0.0.1`, in the files NAME.pem and NAME.key; what was there is replaced.
        """
        self._serial += 1
        pair = Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        new = Pair(pair.cert.with_suffix(".pem.new"), pair.key.with_suffix(".key.new"))
        request, extensions = self._directory / "request", self._directory / "extensions"
        extensions.write_text(f"subjectAltName={','.join(names)}\n" if names else "")
        _openssl(
            "req", *_CURVE, "-utf8", "-subj", subject or f"/CN={name}",
            "-keyout", new.key, "-out", request,
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-days", "30",
            "-set_serial", str(self._serial), "-extfile", extensions, "-out", new.cert,
        )  # fmt: skip
        new.key.replace(pair.key)
        new.cert.replace(pair.cert)
        return pair

    def client(self, pair: Pair | None = None, *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """A client's context that trusts this authority alone."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if alpn:
            context.set_alpn_protocols(alpn)
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        return context

    def server(self, pair: Pair, *, client_required: bool = False) -> ssl.SSLContext:
        """A server's context."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.cert))
        context.load_cert_chain(pair.cert, pair.key)
        if client_required:
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Pair:
    """The files of a certificate and its key."""

    def __init__(self, cert: Path, key: Path) -> None:
        self.cert = cert
        self.key = key

    @property
    def config(self) -> dict[str, str]:
        return {"cert": str(self.cert), "key": str(self.key)}


def _openssl(*arguments: str | Path) -> None:
    command = [program("openssl"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
