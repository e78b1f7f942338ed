"""AWS: operations and resources from the service models in, Signature Version 4 with the backend's own keys out."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from botocore.credentials import Credentials
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from adapters.aws_logs import MAX_LOGS_BYTES, logs_accesses
from adapters.aws_models import load_service, service_names
from adapters.aws_operation import MAX_FORM_BYTES, Call, OperationFinder, header_map, protocol_of
from adapters.aws_resource import resource
from adapters.aws_s3 import MAX_DELETE_BYTES, s3_accesses
from adapters.aws_signature import CONTENT_HASH, Scope, Unsigned, check_signable, payload_hash, sign
from adapters.backend import Access, BackendRequest, Outbound, UnclassifiedError
from adapters.backend_settings import BackendSettings, RelaxableRule
from adapters.base_url import CALLER_HEADERS, BaseUrl, headers_without
from identity.secret import one_source, read_secret

# DynamoDB's largest batch; other services take less. The body must be hashed for the signature, so it is read first.
MAX_BODY_BYTES: Final = 16 * 1024 * 1024

DEFAULT_SERVICES: Final = (
    "s3", "logs", "sts", "dynamodb", "sqs", "sns", "iam", "kms", "secretsmanager", "ssm", "cloudformation",
    "cloudwatch", "ecs", "ecr", "events", "kinesis",
)  # fmt: skip

_REPLACED: Final = CALLER_HEADERS | {b"date", b"x-amz-date", CONTENT_HASH}


class AwsCredential(BaseModel):
    """The backend's own keys, each from a file or an environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key_id_file: Path | None = None
    access_key_id_env: str | None = None
    secret_access_key_file: Path | None = None
    secret_access_key_env: str | None = None
    session_token_file: Path | None = None
    session_token_env: str | None = None

    @model_validator(mode="after")
    def _one_source_each(self) -> Self:
        one_source("access_key_id", self.access_key_id_file, self.access_key_id_env)
        one_source("secret_access_key", self.secret_access_key_file, self.secret_access_key_env)
        if self.session_token_file or self.session_token_env:
            one_source("session_token", self.session_token_file, self.session_token_env)
        return self

    def read(self, place: str) -> Credentials:
        """Read the keys; raises SecretError."""
        key_id = read_secret(f"{place}.access_key_id", self.access_key_id_file, self.access_key_id_env)
        secret = read_secret(f"{place}.secret_access_key", self.secret_access_key_file, self.secret_access_key_env)
        token: SecretStr | None = None
        if self.session_token_file or self.session_token_env:
            token = read_secret(f"{place}.session_token", self.session_token_file, self.session_token_env)
        return Credentials(
            key_id.get_secret_value(), secret.get_secret_value(), token.get_secret_value() if token else None
        )


class AwsSettings(BackendSettings):
    """An `adapter: aws` entry. `services` are botocore's names; a request of any other service is denied."""

    adapter: Literal["aws"] = "aws"
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] = "us-east-1"
    services: Annotated[tuple[str, ...], Field(min_length=1)] = DEFAULT_SERVICES
    credential: AwsCredential

    @field_validator("url")
    @classmethod
    def _endpoint(cls, url: str) -> str:
        if BaseUrl.parse(url).path:
            raise ValueError("must have no path: AWS reads buckets and operations from the path's beginning")
        host = urlsplit(url).hostname or ""
        if ".amazonaws.com" in host and not host.startswith(("s3.", "s3-")) and (".s3." in host or ".s3-" in host):
            raise ValueError("must be the path-style S3 endpoint, such as https://s3.eu-west-1.amazonaws.com")
        return url

    @field_validator("relax")
    @classmethod
    def _one_key_each(cls, relax: tuple[RelaxableRule, ...]) -> tuple[RelaxableRule, ...]:
        # S3 decodes `%2F` in a key; the data path keeps it, and a rule about `secret/*` would not see `secret%2Ffile`.
        if "encoded_slash" in relax:
            raise ValueError(
                "must not hold encoded_slash: S3 reads `a%2Fb` as the key `a/b`, so rules about that key would be "
                "gone around; clients can write the slash itself"
            )
        return relax

    @field_validator("services")
    @classmethod
    def _known(cls, services: tuple[str, ...]) -> tuple[str, ...]:
        for service in services:
            if service not in service_names():
                raise ValueError(f"botocore knows no service {service!r}; its names are those of `aws help`")
        if len(set(services)) != len(services):
            raise ValueError("names a service twice")
        return services


class AwsAdapter:
    """Classifies by the service models and signs each request anew.

    Native clients carry the caller's token as AWS_SESSION_TOKEN, beside any access key. Raises SecretError at
    construction where the keys can't be read.
    """

    token_header: bytes | None = b"x-amz-security-token"

    def __init__(self, settings: AwsSettings) -> None:
        # Object keys may hold `//`, and a `%` in a key is an escape of an escape.
        self.relaxed: frozenset[str] = frozenset(settings.relax)
        if "s3" in settings.services:
            self.relaxed |= {"empty_segment", "double_escape"}
        self._name = settings.name
        self._base = BaseUrl.parse(settings.url)
        self._region = settings.region
        self._finder = OperationFinder([load_service(name) for name in settings.services])
        self._credentials = settings.credential.read(f"backend {settings.name}, credential")

    def body_limit(self, request: BackendRequest) -> int:
        """Return how much body is needed to classify or to sign: none for S3 but a batch delete, else up to 16 MiB."""
        if request.method in ("GET", "HEAD", "DELETE"):
            return 0
        try:
            protocol = protocol_of(request, header_map(request))
            if protocol == "query":
                # Which service it is stands in the body itself.
                return MAX_FORM_BYTES
            call = self._finder.find(request)
        except UnclassifiedError:
            # classify says the same again, where the refusal is recorded.
            return 0
        if call.service.name == "s3":
            return MAX_DELETE_BYTES if call.operation == "DeleteObjects" else 0
        if protocol == "rest" and CONTENT_HASH in call.headers:
            return 0
        return MAX_LOGS_BYTES if call.service.name == "logs" else MAX_BODY_BYTES

    def classify(self, request: BackendRequest) -> tuple[Access, ...]:
        """Return every resource that the operation touches, as `service:Operation`; raises UnclassifiedError."""
        call = self._finder.find(request)
        check_signable(request)
        _content_hash(call, request)
        match call.service.name:
            case "s3":
                return s3_accesses(self._name, call, request)
            case "logs":
                return logs_accesses(self._name, call, request)
            case service:
                return (Access(resource(self._name, service), f"{service}:{call.operation}"),)

    def outbound(self, request: BackendRequest) -> Outbound:
        """Return the request's own target, its headers without the caller's signature, and the backend's."""
        call = self._finder.find(request)
        headers = headers_without(request.headers, _REPLACED)
        unsigned = Unsigned(
            request.method, self._base.host, request.path, call.parameters, headers, _content_hash(call, request)
        )
        signature = sign(unsigned, Scope(call.service.signing_name, self._region), self._credentials)
        return Outbound(self._base.target(request), [(b"Host", self._base.host), *headers, *signature])


def _content_hash(call: Call, request: BackendRequest) -> bytes:
    return payload_hash(request.body, call.headers.get(CONTENT_HASH), s3=call.service.name == "s3")
