import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from nadia.llm.client import OpenAIClient
from nadia.llm.errors import ModelError, Outcome
from nadia.llm.models import ChatMessage, Completion
from nadia.llm.registry import OpenAIModel
from support.openai_server import OpenAIServer


def certificate_for(name: str, folder: Path) -> tuple[Path, Path]:
    """Make a certificate that is good for one host name and no address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


async def ask_localhost(certified_name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Completion:
    certificate, key = certificate_for(certified_name, folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with OpenAIServer(tls=tls) as server:
        model = OpenAIModel.model_validate(
            {
                "provider": "openai",
                "model": "scripted-1",
                "base_url": server.base_url.replace("127.0.0.1", "localhost"),
                "private_network": True,
                "input_price_per_million": 0,
                "output_price_per_million": 0,
            }
        )
        client = OpenAIClient(model=model, api_key=SecretStr("a-key"))
        try:
            return await client.complete([ChatMessage("user", "Hi")], temperature=0, max_output_tokens=9, timeout=10)
        finally:
            await client.close()


async def test_the_certificate_is_checked_against_the_name_while_the_address_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await ask_localhost("localhost", tmp_path, monkeypatch)).text == "Hello!"


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError) as error:
        await ask_localhost("elsewhere.example", tmp_path, monkeypatch)
    assert error.value.outcome is Outcome.CONNECTION
