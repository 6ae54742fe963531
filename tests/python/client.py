"""Another implementation of varlink, in another language, calls every method of the service.

Run with the address of a service that has no variables yet: client.py unix:/path
"""

import base64
import sys

import varlink

NAUGHTY = "newline\nquote\" escape\x1b delete\x7f backslash\\ tab\t \u65e5\u672c"


def main(address):
    with varlink.Client.new_with_address(address) as client:
        with client.open("org.varlink.service") as service:
            interfaces = service.GetInfo()["interfaces"]
            assert interfaces == ["io.globstash", "org.varlink.service"], interfaces
            for name in interfaces:
                definition = service.GetInterfaceDescription(name)["description"]
                assert varlink.Interface(definition).name == name
        with client.open("io.globstash") as stash:
            use(stash)


def use(stash):
    assert stash.Get("foo") == {"defined": False, "value": "", "revision": 0}
    assert stash.Set("foo", "bar") == {"revision": 1}
    assert stash.Get("foo")["value"] == "bar"

    entry = stash.Get("foo", True)["entry"]
    assert entry["writer"]["pid"] > 0 and entry["modifiedUSec"] > 0, entry

    stash.Set("naughty", NAUGHTY)
    assert stash.Get("naughty")["value"] == NAUGHTY

    data = bytes(range(256))
    stash.Set(key="binary", data=base64.b64encode(data).decode())
    assert base64.b64decode(stash.Get("binary")["data"]) == data

    keys = ["binary", "foo", "naughty"]
    assert [entry["key"] for entry in stash.List()["entries"]] == keys
    replies = list(stash.List(_more=True))
    assert [entry["key"] for reply in replies for entry in reply["entries"]] == keys
    assert [entry["key"] for entry in stash.List(["f*"])["entries"]] == ["foo"]

    for wrong, parameters in [
        ("io.globstash.ConditionFailed", {"key": "foo", "value": "x", "condition": {"revision": 7}}),
        ("io.globstash.InvalidKey", {"key": "a=b", "value": "x"}),
        ("org.varlink.service.InvalidParameter", {"key": "foo", "value": "x", "data": ""}),
    ]:
        try:
            stash.Set(**parameters)
        except varlink.VarlinkError as error:
            assert error.error() == wrong, error
        else:
            raise AssertionError(f"{wrong} was not raised")

    # A call without a reply, then one with: the replies do not get mixed up.
    stash.Set("quiet", "yes", _oneway=True)
    assert stash.Get("quiet")["value"] == "yes"

    assert stash.Delete(patterns=["**"])["count"] == 4
    status = stash.GetStatus()
    assert status["variables"] == 0 and status["errors"] == 3, status


main(sys.argv[1])
