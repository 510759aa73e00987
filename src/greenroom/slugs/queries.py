"""Reads slugs: what a dyno mounts for one, and what on disk belongs to none."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

from greenroom.apps.models import App
from greenroom.engine import names
from greenroom.engine.contract import Mount, interpreter_mount
from greenroom.slugs.models import Slug
from greenroom.slugs.rules import cyclonedx

ENV_TARGET = "/app/.heroku/python"
NODE_TARGET = "/greenroom/node"
"""Where dynos see a Node.js that Greenroom downloaded; links in the slug lead there."""


def mounts(slug: Slug) -> tuple[Mount, ...]:
    """The mounts of a slug: its files at /app and its environment, whose writes end with the dyno, and the interpreter
    if it is not in /usr.
    """
    return (
        Mount(target="/app", mode="overlay", lower=(slug.artefact,)),
        _environment(slug),
        *interpreter_mounts(slug),
    )


def env_layers(slug: Slug, *more: str) -> tuple[str, ...]:
    """The artefacts that make up the slug's environment, the lowest first; ``more`` keys are laid over them."""
    return tuple(names.environment(key) for key in (*slug.env_keys, *more))


def env_identity(slug: Slug) -> str:
    """The identity of the slug's environment, as part of its digest."""
    return "+".join(slug.env_keys)


def _environment(slug: Slug) -> Mount:
    return Mount(target=ENV_TARGET, mode="overlay", lower=env_layers(slug))


def interpreter_mounts(slug: Slug) -> tuple[Mount, ...]:
    """The interpreter's folder at its own path, unless it is in /usr, which every dyno sees; Node.js and pipenv, if the
    app has them at run time.
    """
    prefix, tool = (slug.manifest.get("interpreter") or {}).get("prefix", ""), slug.manifest.get("tool_key", "")
    found = (*interpreter_mount(prefix), *_node(slug))
    return (
        (*found, Mount(target=f"{ENV_TARGET}/pipenv", source=names.environment(tool)))
        if tool and _has_pipenv(slug)
        else found
    )


def buildpack_parts(slug: Slug) -> frozenset[str]:
    """The parts of the slug beside Python: ``node``, ``apt``."""
    return frozenset(name for name in ("node", "apt") if slug.manifest.get(name))


def _node(slug: Slug) -> tuple[Mount, ...]:
    """The mount of a downloaded Node.js; none for that of the host, which is in /usr."""
    tool = (slug.manifest.get("node") or {}).get("tool", "")
    return (Mount(target=NODE_TARGET, source=names.tool(tool)),) if tool else ()


def _has_pipenv(slug: Slug) -> bool:
    return slug.manifest.get("package_manager") == "pipenv"


def of_app(app: App) -> list[Slug]:
    """The app's slugs, newest first."""
    return list(Slug.objects.filter(app=app).order_by("-created_at"))


def collectable(home: Path) -> list[str]:
    """Folders below home that no slug in the table needs, relative to home: old slugs and environments. Running builds
    may need them.
    """
    digests = set(Slug.objects.values_list("digest", flat=True))
    rows = Slug.objects.values_list("env_key", "manifest__tool_key")
    envs = tuple({key for row in rows for key in row if key})
    found = [f"slugs/{child.name}" for child in _children(home / "slugs") if child.name not in digests]
    made = {child.name.removesuffix(".json") for child in _children(home / "envs")}
    return sorted([*found, *(f"envs/{key}" for key in made if not key.startswith(envs))])


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def manifest(slug: Slug, home: Path) -> dict[str, Any]:
    """The contents of the slug: the row's facts, the packages with versions, sizes and hashes, and every file with
    its digest.

    packages and files are those that were written down beside the tree when it was stored; empty for a slug older than
    that.
    """
    try:
        stored = json.loads((home / "slugs" / slug.digest / "manifest.json").read_text())
    except (FileNotFoundError, ValueError):
        stored = {}
    whole = {**stored, **slug.manifest, "commit": slug.commit, "digest": slug.digest, "env_key": slug.env_key}
    return {**whole, "files": stored.get("files", {}), "packages": stored.get("packages", {})}


def bill_of_materials(slug: Slug, home: Path) -> dict[str, Any]:
    """The slug's SBOM, CycloneDX 1.6 as JSON values."""
    created = slug.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return cyclonedx(app=slug.app.name, digest=slug.digest, created=created, manifest=manifest(slug, home))
