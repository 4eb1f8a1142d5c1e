"""What a mail server's or provider's answer means: try later, give up, or ask a person."""

from dataclasses import dataclass
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException, SMTPServerDisconnected

from anymail.exceptions import (
    AnymailAPIError,
    AnymailError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)

from billing.models.emails import LONGEST_DETAIL, EmailState

# Errors of handing over an email. Others are faults of the product, and end the run.
ERRORS = (SMTPException, OSError, AnymailError)
TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an email wasn't sent. `state` is pending if it is worth another attempt."""

    state: EmailState
    detail: str


def judge(error: Exception) -> Failure:
    """Judge an error that occurred after the email was handed over.

    A server that answered with a code says that it didn't take the email. If the connection broke, no one knows
    whether it did: sending again could send twice, so a person decides.

    >>> judge(SMTPResponseException(451, b"try later")).state.value
    'pending'
    >>> judge(SMTPResponseException(550, b"no such user")).state.value
    'failed'
    >>> judge(TimeoutError("timed out")).state.value
    'unconfirmed'
    """
    return Failure(_state_of(error), describe(error))


def _state_of(error: Exception) -> EmailState:
    if isinstance(error, SMTPRecipientsRefused):
        return _by_codes([code for code, _ in error.recipients.values()])
    if isinstance(error, SMTPResponseException):
        return _by_codes([error.smtp_code])
    if isinstance(error, (AnymailRecipientsRefused, AnymailInvalidAddress)):
        return EmailState.FAILED
    if isinstance(error, (AnymailSerializationError, AnymailUnsupportedFeature)):
        return EmailState.FAILED
    if isinstance(error, AnymailAPIError):
        status = error.status_code or 0
        if status == TOO_MANY_REQUESTS:
            return EmailState.PENDING
        return EmailState.FAILED if 400 <= status < 500 else EmailState.UNCONFIRMED
    if isinstance(error, SMTPException) and not isinstance(error, SMTPServerDisconnected):
        return EmailState.FAILED  # the server lacks something: nothing was sent
    return EmailState.UNCONFIRMED


def _by_codes(codes: list[int]) -> EmailState:
    """Codes of 500 and more are final, by RFC 5321."""
    return EmailState.FAILED if any(code >= 500 for code in codes) else EmailState.PENDING


def describe(error: Exception) -> str:
    """Describe an error in a line, with the server's own words."""
    if isinstance(error, SMTPRecipientsRefused):
        answers = (f"{address}: {code} {_text(answer)}" for address, (code, answer) in error.recipients.items())
        text = "; ".join(answers)
    elif isinstance(error, SMTPResponseException):
        text = f"{error.smtp_code} {_text(error.smtp_error)}"
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.replace("\x00", " ").split())[:LONGEST_DETAIL]


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
