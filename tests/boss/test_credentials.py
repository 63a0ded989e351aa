"""Where the token comes from, and when it is not sent."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from ndex.boss.connection import Connection
from ndex.boss.credentials import EMBEDDED_TOKEN, find_credentials, is_loopback
from ndex.boss.flow import Flow
from ndex.boss.pace import Pace
from ndex.errors import AccessError, JobError
from ndex.job import Boss, Rate, Retry

TOKEN = "a%b-c0ffee"
HOST = "boss.example.org"


def test_order(tmp_path: Path) -> None:
    token_file, config_file = tmp_path / "token", tmp_path / "boss.cfg"
    token_file.write_text(f"{TOKEN}-file\n")
    config_file.write_text(f"[Default]\nprotocol = http\nhost = localhost:8000\ntoken = {TOKEN}-config\n")
    environ = {"BOSS_TOKEN": f"{TOKEN}-environ"}

    both = find_credentials(Boss(host=HOST, token_file=token_file, config_file=config_file), environ)
    assert (both.token, both.url) == (f"{TOKEN}-file", "http://localhost:8000")
    config = find_credentials(Boss(host=HOST, config_file=config_file), environ)
    assert (config.token, config.url) == (f"{TOKEN}-config", "http://localhost:8000")
    assert find_credentials(Boss(host=HOST), environ).token == f"{TOKEN}-environ"
    assert find_credentials(Boss(host=HOST, token_env="OTHER"), environ).token == "public"
    assert find_credentials(Boss(host=HOST), {"BOSS_TOKEN": " \n"}).token == "public"


def test_config_file_may_leave_out_the_host(tmp_path: Path) -> None:
    path = tmp_path / "boss.cfg"
    path.write_bytes(b"\xef\xbb\xbf[Default]\r\ntoken = 100%25%\r\n")
    found = find_credentials(Boss(host=HOST, config_file=path), {})
    assert (found.token, found.url) == ("100%25%", f"https://{HOST}")


def test_embedded() -> None:
    boss = Boss(root=Path("somewhere"), host="127.0.0.1:9999")
    found = find_credentials(boss, {EMBEDDED_TOKEN: TOKEN, "BOSS_TOKEN": "of-the-real-one"})
    assert (found.token, found.url) == (TOKEN, "http://127.0.0.1:9999")
    with pytest.raises(AccessError, match=EMBEDDED_TOKEN):
        find_credentials(boss, {"BOSS_TOKEN": "of-the-real-one"})


@pytest.mark.parametrize("key", ["token_file", "config_file"])
@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff\xfe\x00", b"[Default]\nhost = x\n"])
def test_files_without_a_token(tmp_path: Path, key: str, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AccessError) as caught:
        find_credentials(Boss(host=HOST, **{key: path}), {"BOSS_TOKEN": TOKEN})
    assert f"boss.{key}={path}" in str(caught.value)


@pytest.mark.parametrize("content", [f"token = {TOKEN}", f"[Default]\n{TOKEN}\n", f"[a]\nx=1\n[a]\ntoken={TOKEN}"])
def test_a_broken_config_file_is_not_quoted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "boss.cfg"
    path.write_text(content)
    with pytest.raises(AccessError) as caught:
        find_credentials(Boss(host=HOST, config_file=path), {})
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("token", ["two words", "one\ntwo", "tab\there", "schlüssel", "nul\0"])
def test_impossible_tokens(token: str) -> None:
    with pytest.raises(AccessError) as caught:
        find_credentials(Boss(host=HOST), {"BOSS_TOKEN": token})
    assert "BOSS_TOKEN" in str(caught.value)
    assert token not in str(caught.value)


def test_a_token_does_not_travel_in_clear() -> None:
    with pytest.raises(AccessError, match="in clear"):
        find_credentials(Boss(host=HOST, protocol="http"), {"BOSS_TOKEN": TOKEN})
    assert find_credentials(Boss(host=HOST, protocol="http"), {}).token == "public"
    assert find_credentials(Boss(host="localhost:80", protocol="http"), {"BOSS_TOKEN": TOKEN}).token == TOKEN


@pytest.mark.parametrize(
    ("host", "there"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1:5", True),
        ("127.1.2.3", True),
        ("[::1]:5", True),
        ("[::2]", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_loopback(host: str, there: bool) -> None:
    assert is_loopback(host) is there


@pytest.mark.parametrize("host", [None, "", "https://boss.example.org", "boss.example.org/v1", "me:pw@host", "a b"])
def test_impossible_hosts(host: str | None) -> None:
    with pytest.raises(JobError, match=r"boss\.host") as caught:
        find_credentials(Boss(host=host), {"BOSS_TOKEN": TOKEN})
    assert "pw@" not in str(caught.value)


def test_a_missing_host_is_told_before_a_missing_token() -> None:
    with pytest.raises(JobError, match=r"boss\.host"):
        find_credentials(Boss(root=Path("x")), {EMBEDDED_TOKEN: TOKEN})


def test_no_repr_shows_the_token() -> None:
    found = find_credentials(Boss(host=HOST), {"BOSS_TOKEN": TOKEN})
    assert TOKEN not in f"{found!r} {found} {Connection(found, 1, Pace(Rate(), Retry()), Flow(1))!r}"
    assert pickle.loads(pickle.dumps(found)) == found


def test_remotes_keep_certificates_checked_and_files_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from ndex.boss.connection import _new_remote

    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:3128")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    remote = _new_remote(find_credentials(Boss(host=HOST), {"BOSS_TOKEN": TOKEN}), 600)
    for service in (remote.project_service, remote.metadata_service, remote.volume_service):
        assert not service.session.trust_env
        assert service.session_send_opts["verify"] is True
        assert service.session_send_opts["proxies"]["https"] == "http://proxy.example.org:3128"
        assert TOKEN not in str(vars(service))
    local = _new_remote(find_credentials(Boss(host="localhost:1", protocol="http"), {}), 600)
    assert local.volume_service.session_send_opts["proxies"] == {}
