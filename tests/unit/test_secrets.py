"""Local secrets: sealed for the core's key, read out by ARN or name, and nothing of them in the clear on the disk."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.deployment import libcrypto, secrets
from edge_sim.agent.http import HttpClient
from edge_sim.agent.http_error import HttpError
from edge_sim.agent.patience import Patience
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Resource, Secret
from edge_sim.greengrass.tree import BELOW
from tests.factory import install_core, write_key

CANARY = "correct horse battery staple"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:greengrass-db-AbCdEf"
GROUP = Group(resources=(Resource(id="db", name="db", data=Secret(arn=ARN, staging_labels=("OLD",))),))
DOCUMENT = {"Secrets": {"db": {"Url": "http://cloud/secrets/0"}}}


def answer(**changes: Any) -> dict[str, Any]:
    versions = [
        {"VersionId": "2", "VersionStages": ["AWSCURRENT"], "CreatedDate": 2000, "SecretString": CANARY},
        {"VersionId": "1", "VersionStages": ["OLD"], "CreatedDate": 1000, "SecretBinary": "AAEC"},
    ]
    return {"ARN": ARN, "Name": "greengrass-db", "Versions": versions, **changes}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    install_core(tmp_path, "/greengrass", "1.11.6")
    return tmp_path


def seal(board: Path, group: Group = GROUP, got: Mapping[str, Any] | None = None) -> bytes:
    content = secrets.sealed(group, DOCUMENT, board, "/greengrass", lambda url: got or answer())
    assert content is not None
    (board / "greengrass" / BELOW.secrets).write_bytes(content)
    return content


def value(board: Path, secret_id: str = ARN, stage: str | None = None, allowed: tuple[str, ...] = (ARN,)) -> Any:
    return secrets.value(board, "/greengrass", allowed, secret_id, stage)


def test_what_was_sealed_is_read_out_by_arn_name_and_label(board: Path) -> None:
    content = seal(board)
    assert CANARY.encode() not in content
    current = value(board)
    assert current == {
        "ARN": ARN,
        "Name": "greengrass-db",
        "VersionId": "2",
        "VersionStages": ["AWSCURRENT"],
        "CreatedDate": 2000,
        "SecretString": CANARY,
    }
    assert value(board, "greengrass-db") == current
    assert value(board, stage="OLD")["SecretBinary"] == "AAEC"
    assert secrets.stored(board, "/greengrass") == {ARN}
    assert seal(board) != content, "each deployment has a data key of its own"


def test_only_what_is_attached_and_there_is_read_out(board: Path) -> None:
    seal(board)
    for asked in ((ARN, None, ()), ("db", None, (ARN,)), ("other", None, (ARN,))):
        with pytest.raises(LookupError, match="is not attached to this function, or does not exist"):
            value(board, *asked)
    with pytest.raises(LookupError, match="has no version NEW here, only AWSCURRENT, OLD"):
        value(board, stage="NEW")


@pytest.mark.parametrize("spoil", ["data", "arn", "key", "form"])
def test_what_was_tampered_with_is_not_read_out(board: Path, spoil: str) -> None:
    seal(board)
    path = board / "greengrass" / BELOW.secrets
    file = json.loads(path.read_bytes())
    if spoil == "data":
        file["secrets"][ARN] = file["secrets"][ARN][:-8] + "AAAAAAA="
    elif spoil == "arn":
        file["secrets"] = {ARN + "x": file["secrets"][ARN]}
    elif spoil == "key":
        write_key(board / "greengrass/certs/core.private.key")
    else:
        file = {"version": 1}
    path.write_text(json.dumps(file))
    with pytest.raises(EdgeSimError) as raised:
        value(board, ARN + "x" if spoil == "arn" else ARN, allowed=(ARN, ARN + "x"))
    assert CANARY not in str(raised.value.__dict__)


def test_a_board_without_a_key_says_so_before_anything_is_fetched(board: Path) -> None:
    config = board / "greengrass/config/config.json"
    config.write_text("{}")
    with pytest.raises(UnsupportedEnvironmentError, match="names no private key") as raised:
        seal(board)
    assert "openssl genrsa" in str(raised.value.hint)
    config.write_text('{"crypto": {"principals": {"SecretsManager": {"privateKeyPath": "pkcs11:object=x"}}}}')
    with pytest.raises(InvalidDefinitionError, match="is not a file:/// URI"):
        seal(board)
    config.write_text('{"crypto": {"principals": {"SecretsManager": {"privateKeyPath": "file:///none.key"}}}}')
    with pytest.raises(UnsupportedEnvironmentError, match=r"/none\.key: the core's private key cannot be read"):
        seal(board)


@pytest.mark.parametrize(
    ("got", "text"),
    [
        (answer(ARN="arn:other"), "the response is for another secret"),
        (answer(Versions=answer()["Versions"][:1]), "no version of its secret is labelled OLD"),
        (answer(Versions=None), "the response is for another secret"),
        (answer(Versions=["1"]), "the response is for another secret"),
        (answer(Versions=[{"VersionStages": None}]), "the response is for another secret"),
    ],
)
def test_what_does_not_fit_the_resource_is_refused(board: Path, got: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=text):
        seal(board, got=got)


def test_a_group_without_secrets_has_no_file_and_needs_no_key(tmp_path: Path) -> None:
    def fetch(url: str) -> Mapping[str, Any]:
        raise AssertionError(url)

    assert secrets.sealed(Group(), {}, tmp_path, "/greengrass", fetch) is None
    with pytest.raises(LookupError):
        value(tmp_path)


def test_a_url_that_leads_nowhere_is_told_without_its_query() -> None:
    with pytest.raises(HttpError) as raised:
        secrets.fetch(HttpClient(), "http://127.0.0.1:9/secrets/0?X-Amz-Signature=key", Patience(tries=1))
    assert "key" not in str(raised.value.__dict__)


@pytest.mark.process
@pytest.mark.parametrize("form", ["-traditional", "-out"])
def test_openssls_own_forms_of_keys(tmp_path: Path, form: str) -> None:
    made = tmp_path / "made.pem"
    made.write_bytes(subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout)
    out = ["-traditional"] if form == "-traditional" else []
    pem = subprocess.run(["openssl", "rsa", "-in", made, *out], capture_output=True, check=True).stdout
    key = b"k" * libcrypto.KEY_BYTES
    assert libcrypto.unwrap(pem, libcrypto.wrap(made.read_bytes(), key)) == key


@pytest.mark.process
@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["genrsa", "1024"], "has 1024 bits; at least 2048 are needed"),
        (["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "not an RSA key"),
        (["genrsa", "-aes128", "-passout", "pass:word", "2048"], "in PEM form without a password"),
    ],
)
def test_keys_that_cannot_protect_secrets(argv: list[str], text: str) -> None:
    pem = subprocess.run(["openssl", *argv], capture_output=True, check=True).stdout
    with pytest.raises(libcrypto.CryptoError, match=text):
        libcrypto.wrap(pem, b"k" * libcrypto.KEY_BYTES)


def test_the_cipher_is_aes_256_gcm_and_rsa_oaep_as_others_have_it(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = b"k" * libcrypto.KEY_BYTES
    made = libcrypto.encrypt(key, b"text", b"about")
    assert AESGCM(key).decrypt(made[:12], made[28:] + made[12:28], b"about") == b"text"
    write_key(tmp_path / "key")
    pem = (tmp_path / "key").read_bytes()
    private = serialization.load_pem_private_key(pem, None)
    assert isinstance(private, rsa.RSAPrivateKey)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
    assert private.decrypt(libcrypto.wrap(pem, key), oaep) == key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
