"""What an S3 operation touches: its bucket or object, a copy's source, every key of a batch delete.

An operation that is made of others is decided as those, so that a rule about the simple operation can't be gone around:
a copy is a GetObject and a PutObject, each step of a multipart upload is a PutObject, a SELECT over an object is a
GetObject, a batch delete is a DeleteObject of each key, and an upload that also sets an ACL, tags or a lock needs those
operations too. What reaches objects in a way that can't be told from the request is refused.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes
from xml.parsers import expat

from adapters.aws_operation import Call
from adapters.aws_resource import resource
from adapters.aws_rest import bucket_and_key
from adapters.backend import Access, BackendRequest, UnclassifiedError
from adapters.bounded_json import plain_body

# 1,000 keys (AWS's own limit) of 1,024 bytes, with their markup.
MAX_DELETE_BYTES: Final = 2 * 1024 * 1024
MAX_DELETE_KEYS: Final = 1000

_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_COPY_SOURCE: Final = b"x-amz-copy-source"
_VERSION: Final = re.compile(r"versionId=[!-%'-*,-~]+")
_DECIDED_AS: Final = {
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    # IAM has no action of its own for it either.
    "SelectObjectContent": "GetObject",
}
# Operations that are themselves and also another one.
_ALSO: Final = {"GetObjectTorrent": "GetObject"}
# The names of access points: each is another name for some bucket's objects, and no bucket may be called so.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_ALIASES: Final = ("-s3alias", "--ol-s3", "--op-s3", ".mrap")
_COPIES: Final = frozenset(("CopyObject", "UploadPartCopy"))
# Headers by which an upload does more than upload, and the operation that does the same alone.
_OBJECT_EXTRAS: Final = (
    (b"x-amz-acl", "PutObjectAcl"),
    (b"x-amz-grant-", "PutObjectAcl"),
    (b"x-amz-tagging", "PutObjectTagging"),
    (b"x-amz-object-lock-legal-hold", "PutObjectLegalHold"),
    (b"x-amz-object-lock-mode", "PutObjectRetention"),
    (b"x-amz-object-lock-retain-until-date", "PutObjectRetention"),
    (b"x-amz-object-lock-event-hold", "PutObjectRetention"),
    (b"x-amz-object-lock-event-hold-", "PutObjectRetention"),
)
_UNLOCKS: Final = ((b"x-amz-bypass-governance-retention", "BypassGovernanceRetention"),)
_EXTRAS: Final[Mapping[str, tuple[tuple[bytes, str], ...]]] = {
    "PutObject": _OBJECT_EXTRAS,
    "CopyObject": _OBJECT_EXTRAS,
    "CreateMultipartUpload": _OBJECT_EXTRAS,
    "DeleteObject": _UNLOCKS,
    "DeleteObjects": _UNLOCKS,
    "PutObjectRetention": _UNLOCKS,
    "CreateBucket": ((b"x-amz-acl", "PutBucketAcl"), (b"x-amz-grant-", "PutBucketAcl")),
}


def s3_accesses(backend: str, call: Call, request: BackendRequest) -> tuple[Access, ...]:
    """Return everything that the S3 operation touches; raises UnclassifiedError where that can't be told."""
    place = bucket_and_key(request.segments)
    if place is None:
        raise UnclassifiedError("the first path segment must be a bucket's name")
    _check_bucket(place[0])
    if call.operation == "RestoreObject":
        raise UnclassifiedError(
            "s3:RestoreObject is not served: its body can select from the object and write the result elsewhere; "
            "restore archived objects with AWS itself"
        )
    if len(place) == 1 and b"multipart/form-data" in call.headers.get(b"content-type", b"").lower():
        raise UnclassifiedError("a form upload names its object in the form: upload with PutObject")
    if call.operation in _COPIES:
        source = _copy_source(call.headers[_COPY_SOURCE])
    elif _COPY_SOURCE in call.headers:
        raise UnclassifiedError(f"x-amz-copy-source has no meaning for s3:{call.operation}")
    else:
        source = None
    if call.operation == "DeleteObjects":
        keys = dict.fromkeys(_deleted_keys(plain_body(request, MAX_DELETE_BYTES)))
        actions = ["s3:" + name for name in ("DeleteObject", *_extras(call))]
        return tuple(Access(resource(backend, "s3", place[0], key), action) for key in keys for action in actions)
    own = resource(backend, "s3", *place) if place != ("",) else resource(backend, "s3")
    accesses = [Access(own, "s3:" + _DECIDED_AS.get(call.operation, call.operation))]
    if call.operation in _ALSO:
        accesses.append(Access(own, "s3:" + _ALSO[call.operation]))
    if source is not None:
        accesses.append(Access(resource(backend, "s3", *source), "s3:GetObject"))
    accesses.extend(Access(own, "s3:" + extra) for extra in _extras(call))
    return tuple(accesses)


def _check_bucket(bucket: str) -> None:
    if bucket.endswith(_ALIASES):
        raise UnclassifiedError(
            f"{bucket!r} is an access point's name for the objects of some bucket: name the bucket itself"
        )


def _extras(call: Call) -> Iterator[str]:
    table = _EXTRAS.get(call.operation)
    if table is None:
        return
    found = [extra for wanted, extra in table if any(_is(name, wanted) for name in call.headers)]
    yield from dict.fromkeys(found)


def _is(name: bytes, wanted: bytes) -> bool:
    return name.startswith(wanted) if wanted.endswith(b"-") else name == wanted


def _copy_source(value: bytes) -> tuple[str, str]:
    """Return the bucket and key of `/bucket/key?versionId=…`, percent-encoded (S3 API reference, CopyObject)."""
    path, mark, version = value.decode("latin-1").partition("?")
    if not value.isascii() or "+" in path or (mark and not _VERSION.fullmatch(version)):
        raise UnclassifiedError(
            "x-amz-copy-source must be bucket/key, percent-encoded, with at most ?versionId=… after it"
        )
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise UnclassifiedError("x-amz-copy-source must spell UTF-8") from None
    place = bucket_and_key(decoded.removeprefix("/").split("/"))
    if place is None or len(place) != 2:
        raise UnclassifiedError("x-amz-copy-source must name a bucket and a key; access point ARNs are not accepted")
    _check_bucket(place[0])
    return place[0], place[1]


def _deleted_keys(body: bytes) -> list[str]:
    """Return the keys of a DeleteObjects body; raises UnclassifiedError for anything beside the documented elements."""
    reader = _DeleteReader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.XmlDeclHandler = reader.declaration
    parser.StartDoctypeDeclHandler = reader.not_accepted
    parser.CommentHandler = reader.not_accepted
    parser.ProcessingInstructionHandler = reader.not_accepted
    parser.StartCdataSectionHandler = reader.not_accepted
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        # Decoded here, so that neither a byte order mark nor a declaration chooses how.
        parser.Parse(body.decode(), True)
    except (expat.ExpatError, ValueError):
        raise UnclassifiedError("the DeleteObjects body is not well-formed XML") from None
    if not reader.keys:
        raise UnclassifiedError("the DeleteObjects body names no key")
    return reader.keys


class _DeleteReader:
    """Takes `<Delete><Object><Key>` and nothing that two XML readers could understand differently."""

    _children: Final = {
        "": {"Delete"},
        "Delete": {"Object", "Quiet"},
        "Object": {"Key", "VersionId", "ETag", "LastModifiedTime", "Size"},
    }

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._open: list[str] = []
        self._text: list[str] = []
        self._keys_in_object = 0

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise UnclassifiedError("the DeleteObjects body must be UTF-8")

    def not_accepted(self, *_: object) -> None:
        # Readers differ in whether `a<!-- -->b` is one text or two, and in what entities stand for.
        raise UnclassifiedError("the DeleteObjects body must have no document type, comment, instruction or CDATA")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        parent = self._open[-1] if self._open else ""
        if namespace not in ("", _NAMESPACE) or attributes or local not in self._children.get(parent, ()):
            raise UnclassifiedError(f"the DeleteObjects body has an unexpected element <{local}>")
        self._open.append(local)
        self._text.clear()
        if local == "Object":
            self._keys_in_object = 0

    def end(self, name: str) -> None:
        local = self._open.pop()
        text = "".join(self._text)
        if local == "Key":
            self._keys_in_object += 1
            if not text or text != text.strip():
                raise UnclassifiedError(
                    "the DeleteObjects body holds a key that is empty or begins or ends with a space"
                )
            self.keys.append(text)
            if len(self.keys) > MAX_DELETE_KEYS:
                raise UnclassifiedError(f"a DeleteObjects body names at most {MAX_DELETE_KEYS} keys")
        elif local == "Object" and self._keys_in_object != 1:
            raise UnclassifiedError("each object of a DeleteObjects body has one key")
        self._text.clear()

    def text(self, data: str) -> None:
        self._text.append(data)
