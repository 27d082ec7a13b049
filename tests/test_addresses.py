"""Addresses as text: what they name, and what of them is shown."""

from __future__ import annotations

import pytest
from conftest import Sew

from sewcli.inputs.names import plain_name, plain_stem
from sewcli.inputs.urls import is_url, needs_network, presentable, protocols, unsigned


@pytest.mark.parametrize(
    ("given", "links", "network", "name", "stem"),
    [
        ("https://host/a/talk.wav", ["https"], True, "talk.wav", "talk"),
        ("HTTP://host/a/two%20words.flac?key=a/b.wav#x", ["http"], True, "two words.flac", "two words"),
        ("http://host/", ["http"], True, "input", "input"),
        ("http://host", ["http"], True, "input", "input"),
        ("s3://bucket/a.b/c.d.wav", ["s3"], True, "c.d.wav", "c.d"),
        ("zip://in/a.wav::/tmp/b.zip", ["zip"], False, "a.wav", "a"),
        ("zip://in/a.wav::b.zip", ["zip"], False, "a.wav", "a"),
        ("zip://a.wav::https://host/b.zip", ["zip", "https"], True, "a.wav", "a"),
        ("simplecache::https://host/b.wav", ["simplecache", "https"], True, "b.wav", "b"),
        ("file:///tmp/b.wav", ["file"], False, "b.wav", "b"),
    ],
)
def test_an_address_tells_its_protocols_and_the_name_of_its_file(
    given: str, links: list[str], network: bool, name: str, stem: str
) -> None:
    assert is_url(given)
    assert (protocols(given), needs_network(given)) == (links, network)
    assert (plain_name(given), plain_stem(given)) == (name, stem)


@pytest.mark.parametrize("given", ["a.wav", "/a/b.wav", "a:b.wav", "a::b.wav", "C:\\a.wav", "-", "://x"])
def test_a_path_is_no_address(given: str) -> None:
    assert not is_url(given)


@pytest.mark.parametrize(
    ("signed", "left"),
    [
        ("https://h/a.wav", "https://h/a.wav"),
        ("https://h/a.wav?v=2&sv=3&Expires=9", "https://h/a.wav?v=2&sv=3&Expires=9"),
        (
            "https://h/a.wav?versionId=7&X-Amz-Algorithm=x&X-Amz-Date=1&X-Amz-Expires=9&X-Amz-Signature=b",
            "https://h/a.wav?versionId=7",
        ),
        ("https://h/a.wav?X-Goog-Date=1&X-Goog-Signature=b&generation=5", "https://h/a.wav?generation=5"),
        ("https://h/a.wav?Expires=1&Signature=b&Key-Pair-Id=K&Policy=p", "https://h/a.wav"),
        ("https://h/a.wav?AWSAccessKeyId=A&Expires=1&Signature=b&part=1", "https://h/a.wav?part=1"),
        ("https://h/a.wav?GoogleAccessId=A&Expires=1&Signature=b", "https://h/a.wav"),
        ("https://h/a.wav?sv=1&st=2&se=3&sr=b&sp=r&sig=x&snapshot=4", "https://h/a.wav?snapshot=4"),
    ],
)
def test_what_signs_an_address_is_no_part_of_it(signed: str, left: str) -> None:
    assert unsigned(signed) == left


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("https://me:secret@host/a.wav?x=1", "https://me:***@host/a.wav?x=1"),
        ("zip://b.wav::https://me:p:w@host:80/a.zip", "zip://b.wav::https://me:***@host:80/a.zip"),
        ("https://host/a.wav?X-Amz-Signature=secret&X-Amz-Date=1", "https://host/a.wav"),
        ("https://host:80/a@b:c.wav", "https://host:80/a@b:c.wav"),
        ("s3://bucket/a.wav", "s3://bucket/a.wav"),
    ],
)
def test_messages_have_no_secrets_of_an_address(sew: Sew, url: str, left: str) -> None:
    assert presentable(url) == left
    failed = sew("transcribe", url, "--offline")
    assert "secret" not in failed.err
