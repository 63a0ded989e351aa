"""What boto3 and S3 say when something goes wrong, in the words of ndex."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import urllib3
from boto3.exceptions import S3UploadFailedError
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from ..errors import AccessError, DamagedData, JobError, Missing, NdexError, PermanentError, TransientError, Unreachable
from ..retry import seconds_to_wait
from .access import Access
from .faults import translated as local

REFUSED = {
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "ExpiredTokenException"),
    *("TokenRefreshRequired", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidSecurity"),
    *("CredentialsNotSupported", "NotSignedUp"),
}
"""Codes for credentials that are not valid; for those that are, but suffice not, it is AccessDenied and others."""
ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
BUSY = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded", "OperationAborted"}
CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
    botocore.MetadataRetrievalError,
)
NOBODY = (botocore.EndpointConnectionError, botocore.ConnectTimeoutError, botocore.ProxyConnectionError)
BROKEN = (
    botocore.HTTPClientError,
    botocore.SSLError,
    botocore.IncompleteReadError,
    botocore.ResponseStreamingError,
    botocore.ReadTimeoutError,
    urllib3.exceptions.HTTPError,
)


WRONG = (botocore.ParamValidationError, botocore.EndpointProviderError, ValueError)
BOTO = (botocore.BotoCoreError, botocore.ClientError, ResponseParserError, urllib3.exceptions.HTTPError, ValueError)


class Absent(PermanentError):
    """No object has this key."""


@dataclass(frozen=True)
class S3Faults:
    """Knows where a bucket and the way to it were set, to name the key that can be changed."""

    key: str
    """Of the address, as `source.path`."""
    bucket: str
    access: Access

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Errors of boto3 in the block become errors of ndex; `what` is the object or the setting it is about."""
        with local(what):  # for the file that is sent
            try:
                yield
            except (S3UploadFailedError, *BOTO) as error:
                cause = error.__context__ if isinstance(error, S3UploadFailedError) else error
                if isinstance(cause, botocore.ClientError):
                    raise self._answered(cause, what) from error
                raise self._unanswered(error, what) from error

    def _answered(self, error: botocore.ClientError, what: str) -> NdexError:
        """Only the code is quoted: the message of a signature that is wrong repeats the request."""
        code = str(error.response.get("Error", {}).get("Code", "?"))
        about = error.response.get("ResponseMetadata", {})
        status = int(about.get("HTTPStatusCode", 0))
        said = f"{what}: S3 answers {code}."
        if code == "NoSuchBucket":
            return Missing(f"{what}: there is no bucket {self.bucket}. Check {self.key}{self._endpoint_too()}.")
        if code in ("NoSuchKey", "404"):
            return Absent(f"{what}: there is no such object.")
        if code in REFUSED:
            return AccessError(f"{said} The credentials are not valid: {self._credentials()}.")
        if code == "RequestTimeTooSkewed":
            return JobError(f"{said} The clock of this machine is wrong.")
        if code in ELSEWHERE or status == 301:
            return JobError(f"{said} The bucket lies in another region: set {self._setting('region')}.")
        if code == "InvalidObjectState":
            return JobError(f"{said} It lies in an archive: restore it first.")
        if status in (401, 403):
            return AccessError(f"{said} These credentials may not do that: {self._credentials()}.")
        if code == "InvalidRange":
            return DamagedData(f"{what} is empty.")
        if status == 412:
            return TransientError(f"{what} has changed while it was read.")
        if code in BUSY or status == 429 or status >= 500:
            return TransientError(said, seconds_to_wait(about.get("HTTPHeaders", {}).get("retry-after")))
        return PermanentError(said)

    def _unanswered(self, error: Exception, what: str) -> NdexError:
        if isinstance(error, botocore.ProfileNotFound):
            return AccessError(f"{self._setting('profile')}={self.access.profile}: there is no such profile in ~/.aws.")
        if isinstance(error, CREDENTIALS):
            return AccessError(
                f"{what}: there are no credentials ({type(error).__name__}). Set AWS_ACCESS_KEY_ID and "
                f"AWS_SECRET_ACCESS_KEY or {self._setting('profile')}, or, for a public bucket, "
                f"{self._setting('anonymous')}=true."
            )
        if isinstance(error, NOBODY):
            return Unreachable(f"{what}: nobody answers at {self._host()}. Check the network{self._endpoint_too()}.")
        if isinstance(error, botocore.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return JobError(
                f"{what}: the certificate of {self._host()} is not trusted. If your institute has its own authority, "
                "name its file in the environment variable AWS_CA_BUNDLE."
            )
        if isinstance(error, BROKEN):
            return TransientError(f"{what}: the connection to {self._host()} broke ({type(error).__name__}).")
        if isinstance(error, ResponseParserError):
            return JobError(
                f"{what}: {self._host()} does not answer as S3 does. Check {self._setting('endpoint_url')}."
            )
        if isinstance(error, WRONG):
            return JobError(f"{what}: {' '.join(str(error).split())}")
        return PermanentError(f"{what}: {type(error).__name__}.")

    def _setting(self, name: str) -> str:
        """The full key of a setting beside the address."""
        return f"{self.key.partition('.')[0]}.{name}"

    def _credentials(self) -> str:
        if self.access.anonymous:
            return f"{self._setting('anonymous')}=true sends none"
        if self.access.profile:
            return f"check {self._setting('profile')}={self.access.profile}"
        return f"check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose {self._setting('profile')}"

    def _host(self) -> str:
        return self.access.endpoint_url or "S3"

    def _endpoint_too(self) -> str:
        return f" and {self._setting('endpoint_url')}" if self.access.endpoint_url else ""
