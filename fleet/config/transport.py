"""How clients and replicas are connected to: listeners, sockets and TLS, as frozen models."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    SecretStr,
    model_validator,
)
from pydantic_core import CoreSchema

from fleet.config import patterns
from fleet.config.addresses import check_listen_address, check_network, check_server_name
from fleet.config.base import Model
from fleet.config.files import Pem
from fleet.config.units import PositiveDuration
from fleet.tls import ClientTls, KeyPair, ServerTls, check_authorities, check_pair

ListenAddress = Annotated[str, AfterValidator(check_listen_address)]
ServerName = Annotated[str, AfterValidator(check_server_name)]
Network = Annotated[str, AfterValidator(check_network)]


def _authorities(pem: SecretStr) -> SecretStr:
    check_authorities(pem.get_secret_value())
    return pem


def _off(value: object) -> object:
    """YAML reads a bare `off` as false."""
    return "off" if value is False else value


Authorities = Annotated[Pem, AfterValidator(_authorities)]


class Certificate(Model):
    """A certificate and its key, as files in PEM."""

    cert: Pem = Field(description="The certificate, then those that link it to its authority.")
    key: Pem = Field(description="Its private key, without a passphrase.")

    @property
    def pair(self) -> KeyPair:
        """Both, as text."""
        return KeyPair(cert=self.cert.get_secret_value(), key=self.key.get_secret_value())

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        check_pair(self.pair)
        return self


class ListenerTls(Model):
    """TLS towards clients."""

    certificates: tuple[Certificate, ...] = Field(
        min_length=1,
        description="The one that names the host a client asks for is shown to it, else the "
        "first. The files are watched.",
    )
    client_ca: Authorities | None = Field(
        None, description="Authorities of client certificates, as a file in PEM."
    )
    client_auth: Literal["none", "optional", "required"] = Field(
        "none",
        description="Whether clients are asked for a certificate. What it says is passed on as "
        "`X-Forwarded-Client-Cert`.",
    )
    min_version: Literal["1.2", "1.3"] = Field("1.2", description="Least version of TLS.")
    handshake_timeout: PositiveDuration = Field(
        10.0, description="A client that takes longer is disconnected."
    )
    http2: bool = Field(
        True, description="Offer HTTP/2 beside HTTP/1.1, for the client to choose (ALPN)."
    )

    @property
    def settings(self) -> ServerTls:
        """As contexts are made of it."""
        return ServerTls(
            certificates=tuple(certificate.pair for certificate in self.certificates),
            client_ca=self.client_ca.get_secret_value() if self.client_ca is not None else None,
            client_auth=self.client_auth,
            min_version=self.min_version,
            handshake_timeout=self.handshake_timeout,
            http2=self.http2,
        )


class Listener(Model):
    """Where clients connect, and how. An address alone stands for a listener with nothing else."""

    address: ListenAddress = Field(
        description="`host:port`, or `unix://` and the absolute path of a socket."
    )
    mode: str = Field(
        "0660",
        pattern=patterns.MODE,
        description="Permissions of a Unix socket, in octal and in quotes.",
    )
    tls: ListenerTls | None = Field(None, description="Speak TLS. Default: plain HTTP.")
    proxy_protocol: Annotated[Literal["off", "accept"], BeforeValidator(_off)] = Field(
        "off",
        description="`accept`: every connection begins with a PROXY header, version 1 or 2, that "
        "says who the client is; one without is closed. Only for listeners that nobody but the "
        "proxy reaches.",
    )


class UpstreamTls(Model):
    """TLS to replicas with an `https` endpoint."""

    ca: Authorities | None = Field(
        None, description="Authorities trusted, as a file in PEM. Default: the system's."
    )
    server_name: ServerName | None = Field(
        None,
        description="Name asked for and expected in the certificate. Default: the endpoint's host.",
    )
    verify: bool = Field(
        True, description="Check the certificate. false: anyone may pose as the replica."
    )
    cert: Pem | None = Field(None, description="Client certificate, as a file in PEM.")
    key: Pem | None = Field(None, description="Its private key, without a passphrase.")

    @property
    def settings(self) -> ClientTls:
        """As contexts are made of it."""
        pair = None
        if self.cert is not None and self.key is not None:
            pair = KeyPair(cert=self.cert.get_secret_value(), key=self.key.get_secret_value())
        return ClientTls(
            ca=self.ca.get_secret_value() if self.ca is not None else None,
            server_name=self.server_name,
            verify=self.verify,
            pair=pair,
        )

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (pair := self.settings.pair) is not None:
            check_pair(pair)
        return self


class _OneOrMany:
    """JSON Schema of a list of listeners as `fleet.config.shorthand` reads it."""

    @staticmethod
    def __get_pydantic_json_schema__(core: CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        many = handler(core)
        text, listener = {"type": "string"}, many["items"]
        return {"anyOf": [text, listener, {**many, "items": {"anyOf": [text, listener]}}]}


Listeners = Annotated[tuple[Listener, ...], Field(min_length=1), _OneOrMany]
