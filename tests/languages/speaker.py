"""Speaks Python for tests/languages: a line is a request, a line is the answer. Values are in
hexadecimal, and "-" is the empty one. See speakers.rs."""

import sys

import globstash


def told(value):
    data = value.encode() if isinstance(value, str) else value
    return data.hex() or "-"


def meant(word):
    data = b"" if word == "-" else bytes.fromhex(word)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def answer(stash, watches, verb, key, *more):
    if verb == "set":
        stash.set(key, meant(more[0]))
        return "done"
    if verb == "set_for":
        stash.set(key, meant(more[0]), ttl=int(more[1]) / 1000)
        return "done"
    if verb == "get":
        value = stash.get(key)
        return "none" if value is None else f"value {told(value)}"
    if verb == "delete":
        return "deleted" if stash.delete(key) else "none"
    if verb == "take":
        value = meant(more[0])
        try:
            with stash.batch() as batch:
                batch.check(key, if_value=value)
                batch.delete(key)
                batch.set(f"{key}/taken", value)
        except globstash.ConditionFailed:
            return "refused"
        return "done"
    if verb == "watch":
        watches[key] = stash.watch(key, initial=False)
        return "done"
    if verb == "next":
        event = next(watches[key])
        assert event.key == key
        return f"set {told(event.value)}" if event.change == "set" else event.change
    raise ValueError(verb)


stash, watches = globstash.Stash(), {}
for line in sys.stdin:
    try:
        print(answer(stash, watches, *line.split()), flush=True)
    except Exception as error:
        print("failed", repr(error), flush=True)
