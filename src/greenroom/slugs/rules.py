"""A slug's bill of materials in CycloneDX 1.6 (JSON): the app, its interpreter and its packages. Pure; the same slug
gives the same text.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

NAMESPACE = uuid.UUID("6f4a1c1e-8f6b-5c39-9a55-0f6c1f8f0b21")
ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


def cyclonedx(*, app: str, digest: str, created: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The document. manifest: of the slug's row, with ``packages`` as ``{name: {version, size, record, hashes}}``.

    A package's ``hashes`` are those that the lock allows; where it allows several files they are properties, since one
    of them was taken.
    created: an ISO time with Z. The serial number is made from the digest and the commit.
    """
    commit = str(manifest.get("commit", ""))
    packages = manifest.get("packages") or {}
    root = f"pkg:generic/{app}@{commit}"
    components = [_interpreter(manifest), *(_package(name, packages[name]) for name in sorted(packages))]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, f'{digest} {commit}')}",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "tools": {
                "components": [
                    {"type": "application", "name": name, "version": version} for name, version in _tools(manifest)
                ]
            },
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": app,
                "version": commit,
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "properties": [{"name": "greenroom:tree", "value": str(manifest.get("tree", ""))}],
            },
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def _tools(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    return sorted((str(name), str(version)) for name, version in (manifest.get("tools") or {}).items())


def _interpreter(manifest: Mapping[str, Any]) -> dict[str, Any]:
    version = str(manifest.get("python_version", ""))
    return {"type": "platform", "bom-ref": f"pkg:generic/cpython@{version}", "name": "cpython", "version": version}


def _package(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{facts['version']}"
    allowed = [value.partition(":") for value in facts.get("hashes", [])]
    properties = [{"name": "greenroom:record-sha256", "value": facts["record"]}] if facts.get("record") else []
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": facts["version"],
        "purl": purl,
    }
    if len(allowed) == 1:
        found["hashes"] = [{"alg": ALGORITHMS.get(kind, kind), "content": value} for kind, _, value in allowed]
    else:
        properties += [{"name": f"greenroom:allowed-{kind}", "value": value} for kind, _, value in allowed]
    return found | ({"properties": properties} if properties else {})
