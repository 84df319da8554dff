#!/usr/bin/env python3
"""Writes the table of every field of every kind of Kubernetes: see README.md beside this file."""

import argparse
import glob
import json
import os
import re
import struct
import sys

FIRST, LAST = 32, 37

# Codes of scalars; `src/table.rs` has the same list. Higher codes index the composite types.
SCALARS = [
    "any", "string", "bool", "int32", "int64", "double", "bytes", "time", "micro-time", "quantity", "int-or-string",
    "schema-or-array", "schema-or-bool", "schema-or-strings",
]
COMPOSITE = 32
STRUCT, LIST, MAP = 0, 1, 2

# Schemas whose Go type has a decoder of its own.
OWN = {
    "Quantity": "quantity",
    "IntOrString": "int-or-string",
    "Time": "time",
    "MicroTime": "micro-time",
    "FieldsV1": "any",
    "Patch": "any",
    "RawExtension": "any",
    "JSON": "any",
    "JSONSchemaPropsOrArray": "schema-or-array",
    "JSONSchemaPropsOrBool": "schema-or-bool",
    "JSONSchemaPropsOrStringArray": "schema-or-strings",
}
FORMATS = {
    ("string", None): "string",
    ("string", "byte"): "bytes",
    ("string", "date-time"): "time",
    ("boolean", None): "bool",
    ("integer", None): "int64",
    ("integer", "int32"): "int32",
    ("integer", "int64"): "int64",
    ("number", "double"): "double",
    ("number", None): "double",
}


def resolve(schema):
    """The type of a property as a string ("string") or a tuple (("list", item), ("map", value), ("struct", name))."""
    parts = schema.get("allOf")
    if parts:
        if len(parts) != 1:
            sys.exit(f"allOf of several schemas: {schema}")
        return resolve(parts[0])
    reference = schema.get("$ref")
    if reference:
        name = reference.rsplit("/", 1)[1]
        return OWN.get(name.rsplit(".", 1)[1]) or ("struct", name)
    kind = schema.get("type")
    if kind == "array":
        return ("list", resolve(schema["items"]))
    if kind == "object":
        return ("map", resolve(schema["additionalProperties"])) if "additionalProperties" in schema else "any"
    return FORMATS[(kind, schema.get("format"))]


def read(folder):
    """The schemas by name, and (group, version, kind) -> (schema, namespaced) of what can be created."""
    schemas, kinds = {}, {}
    for file in sorted(glob.glob(os.path.join(folder, "api/openapi-spec/v3/*.json"))):
        with open(file, encoding="utf-8") as stream:
            document = json.load(stream)
        schemas.update(document.get("components", {}).get("schemas", {}))
        for path, item in document.get("paths", {}).items():
            post = item.get("post")
            if not post or "{name}" in path:
                continue
            gvk = post.get("x-kubernetes-group-version-kind")
            body = post.get("requestBody", {}).get("content", {}).get("*/*", {}).get("schema", {})
            if not gvk or "$ref" not in body:
                continue
            key = (gvk["group"], gvk["version"], gvk["kind"])
            namespaced = "{namespace}" in path
            kinds[key] = (body["$ref"].rsplit("/", 1)[1], namespaced or kinds.get(key, (0, False))[1])
    if not kinds:
        sys.exit(f"{folder} has no api/openapi-spec/v3")
    return schemas, kinds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="+", help="folders of the module k8s.io/kubernetes, one for each minor version")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    by_minor = {}
    for folder in arguments.modules:
        found = re.search(r"@v1\.(\d+)\.", folder)
        if not found:
            sys.exit(f"{folder} is not named kubernetes@v1.MINOR.PATCH")
        by_minor[int(found.group(1))] = read(folder)
    if sorted(by_minor) != list(range(FIRST, LAST + 1)):
        sys.exit(f"one folder for each of 1.{FIRST} to 1.{LAST} is needed")

    fields, kinds, structs = {}, {}, []
    for minor, (schemas, posted) in sorted(by_minor.items()):
        reached, queue = set(), []

        def reach(shape):
            while isinstance(shape, tuple):
                if shape[0] == "struct":
                    if shape[1] not in reached:
                        reached.add(shape[1])
                        queue.append(shape[1])
                    return
                shape = shape[1]

        for key, (name, namespaced) in posted.items():
            kinds.setdefault(key, {})[minor] = (name, namespaced)
            reach(("struct", name))
        # What JSON schemas hold is reached through fields with decoders of their own.
        while queue:
            name = queue.pop()
            if name not in structs:
                structs.append(name)
            for field, schema in schemas[name].get("properties", {}).items():
                shape = resolve(schema)
                fields.setdefault((name, field), {})[minor] = shape
                reach(shape)

    structs.sort()
    words = sorted({field for _, field in fields} | {word for key in kinds for word in key})
    word = {text: index for index, text in enumerate(words)}
    types, codes = [], {}

    def code(shape):
        if isinstance(shape, str):
            return SCALARS.index(shape)
        if shape not in codes:
            below = structs.index(shape[1]) if shape[0] == "struct" else code(shape[1])
            codes[shape] = COMPOSITE + len(types)
            types.append(({"struct": STRUCT, "list": LIST, "map": MAP}[shape[0]], below))
        return codes[shape]

    def spans(values):
        """(first, last, value) of each run of equal values."""
        out = []
        for minor in sorted(values):
            if out and out[-1][1] == minor - 1 and out[-1][2] == values[minor]:
                out[-1][1] = minor
            else:
                out.append([minor, minor, values[minor]])
        return out

    by_struct = {name: [] for name in structs}
    for (name, field), values in fields.items():
        for first, last, shape in spans(values):
            by_struct[name].append((field, first, last, shape))
    starts, rows = [], b""
    count = 0
    for name in structs:
        starts.append(count)
        for field, first, last, shape in sorted(by_struct[name], key=lambda row: (row[0].encode(), row[1])):
            rows += struct.pack("<HHBB", word[field], code(shape), first, last)
            count += 1
    starts.append(count)

    kind_rows, kind_count = b"", 0
    for group, version, kind in sorted(kinds, key=lambda key: (key[2], key[0], key[1])):
        for first, last, (name, namespaced) in spans(kinds[(group, version, kind)]):
            row = (word[kind], word[group], word[version], code(("struct", name)), first, last, int(namespaced), 0)
            kind_rows += struct.pack("<HHHHBBBB", *row)
            kind_count += 1

    text, ends = b"", []
    for item in words:
        ends.append(len(text))
        text += item.encode()
    ends.append(len(text))
    if len(text) >= 1 << 16 or count >= 1 << 16:
        sys.exit("the table has outgrown its offsets of 16 bits")
    out = struct.pack("<HHHHH", len(words), len(structs), count, len(types), kind_count)
    out += b"".join(struct.pack("<H", end) for end in ends)
    out += b"".join(struct.pack("<H", start) for start in starts)
    out += rows
    out += b"".join(struct.pack("<HH", tag, below) for tag, below in types)
    out += kind_rows
    out += text
    with open(arguments.out, "wb") as stream:
        stream.write(out)
    print(f"{len(out)} bytes: {len(structs)} structs, {count} fields, {kind_count} kinds, {len(words)} words")


main()
