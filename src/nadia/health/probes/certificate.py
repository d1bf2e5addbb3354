"""Whether browsers trust the certificate of the pages' public address, and for how long."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final
from urllib.parse import urlsplit

from nadia.clock import Clock, utc_now
from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding

_HAS_EXPIRED: Final = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h."""

_RENEW: Final = "renew the certificate where TLS ends, most likely in the reverse proxy"


@dataclass(frozen=True, kw_only=True)
class CertificateProbe:
    """Shakes hands with the public address as a browser does.

    Parameters
    ----------
    url : str, optional
        The public address; without one, or without TLS, there is nothing to expire.
    days : float
        Days before the end from which there is a warning.
    clock : callable
        Returns the present.
    trust : callable
        Returns whom to trust; the system's authorities by default.
    """

    id: ClassVar[str] = "certificate"
    title: ClassVar[str] = "Certificate"
    group: ClassVar[str] = "installation"

    url: str | None
    days: float
    clock: Clock = utc_now
    trust: Callable[[], ssl.SSLContext] = ssl.create_default_context

    async def measure(self) -> Finding:
        """Say how long it is valid.

        Raises
        ------
        UnavailableError
            If nobody answers at the address, seen from here.
        """
        place = urlsplit(self.url or "")
        if place.scheme != "https" or not place.hostname:
            return Finding(status=HealthStatus.HEALTHY, summary="none: no public https address is configured")
        try:
            end = await self._end(place.hostname, place.port or 443)
        except ssl.SSLCertVerificationError as exc:
            if exc.verify_code == _HAS_EXPIRED:
                return Finding(status=HealthStatus.CRITICAL, summary="it has expired", hint=_RENEW)
            return Finding(
                status=HealthStatus.CRITICAL,
                summary="browsers do not trust it",
                hint="`openssl s_client -connect HOST:443` says why: another name, an unknown issuer, a missing link",
            )
        except OSError as exc:
            raise UnavailableError(
                f"nobody answers at the public address ({type(exc).__name__})",
                hint="look from another machine: NADIA_WEB_PUBLIC_URL may be out of reach from here only",
            ) from exc
        left = (end - self.clock()).total_seconds() / 86_400
        soon = left < self.days
        return Finding(
            status=HealthStatus.WARNING if soon else HealthStatus.HEALTHY,
            summary=f"valid for {left:.0f} more days, until {end:%Y-%m-%d}",
            value=left,
            unit="days",
            threshold=self.days,
            hint=_RENEW if soon else None,
        )

    async def _end(self, host: str, port: int) -> datetime:
        _, writer = await asyncio.open_connection(host, port, ssl=self.trust(), server_hostname=host)
        try:
            found = writer.get_extra_info("peercert")
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC)
