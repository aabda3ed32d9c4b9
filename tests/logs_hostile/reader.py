# Reads lines of JSON strictly: file, secret, how many numbered lines there must be.
import json
import sys

path, canary, count = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])


def unique(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), keys
    return dict(pairs)


def no(constant):
    raise ValueError(constant + " is not JSON")


seen = set()
lines = longest = 0
with open(path, "rb") as file:
    for raw in file:
        assert raw.endswith(b"\n"), raw[-80:]
        assert canary not in raw, raw
        text = raw[:-1].decode("utf-8")
        # Also what Unicode calls a line's end.
        assert len(text.splitlines()) == 1, text
        record = json.loads(text, object_pairs_hook=unique, parse_constant=no)
        assert isinstance(record, dict)
        for key in ("timestamp", "severity", "message", "target"):
            assert isinstance(record[key], str), record
        assert record["severity"] in ("INFO", "WARN", "ERROR"), record
        if "n" in record:
            assert record["n"] not in seen, record
            seen.add(record["n"])
        lines += 1
        longest = max(longest, len(raw))
assert seen == set(range(count)), (len(seen), count)
print(f"Python read {lines} lines, the longest of {longest} bytes")
