"""Explains the output of a failed npm, yarn, pnpm or script of package.json. Pure; standard library only."""

from __future__ import annotations

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compilers

LOCK = {
    "npm": ("package-lock.json does not match package.json; builds install the locked packages.",
            "npm install && git add package.json package-lock.json"),
    "yarn": ("yarn.lock does not match package.json; builds install the locked packages.",
             "yarn install && git add package.json yarn.lock"),
    "pnpm": ("pnpm-lock.yaml does not match package.json; builds install the locked packages.",
             "pnpm install && git add package.json pnpm-lock.yaml"),
}  # fmt: skip
OUTDATED = (
    "can only install packages when your package.json and",
    "can only install with an existing package-lock.json",
    "Your lockfile needs to be updated",
    "ERR_PNPM_OUTDATED_LOCKFILE",
    "ERR_PNPM_LOCKFILE_CONFIG_MISMATCH",
)
VARIABLE = re.compile(
    r"(?:Failed to replace env in config: |environment variable.{0,40})\$\{([A-Za-z_][A-Za-z0-9_]*)\}"
)
GONE = re.compile(r"(?:404 Not Found - GET \S+/|No matching version found for |Couldn't find package \")([@\w./%-]+)")
CAUSES = (
    (("EINTEGRITY", "ERR_PNPM_TARBALL_INTEGRITY", "Integrity check failed"),
     "A package does not match its locked hash.", "find out why it changed, then lock again"),
    (("ERESOLVE",), "Packages require versions of another package that exclude each other (ERESOLVE).",
     "npm install, correct the versions that it names, then: git add package.json package-lock.json"),
    (("EBADENGINE", "ERR_PNPM_UNSUPPORTED_ENGINE", "The engine \"node\" is incompatible"),
     "A package needs another version of Node.js.", "set engines.node in package.json to a version that it allows"),
    (("E401", "E403", "401 Unauthorized", "403 Forbidden", "ERR_PNPM_FETCH_401", "ERR_PNPM_FETCH_403"),
     "The npm registry refused the credentials, or there are none.",
     "greenroom config:set NPM_TOKEN=..., and in .npmrc: //HOST/:_authToken=${NPM_TOKEN}"),
    (("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "ECONNRESET", "EAI_AGAIN", "ERR_SOCKET_TIMEOUT", "network timeout",
      "ERR_PNPM_META_FETCH_FAIL", "There appears to be trouble with your network"),
     "The npm registry could not be reached.", "try again later, or ask the operator about the npm registry"),
    (("ENOSPC", "No space left on device"), "There is no space left on the disk of this host.", "greenroom doctor"),
    (("heap out of memory",), "Node.js ran out of memory.",
     "greenroom config:set NODE_OPTIONS=--max-old-space-size=1536"),
    (("gyp ERR!",), "A package is compiled from source with node-gyp, and that failed.",
     "use a version of the package that has a prebuilt binary for this Node.js"),
)  # fmt: skip
"""(marks, cause, remedy): the first one whose mark the output contains."""
MISSING = re.compile(r"(?:sh: (?:\d+: )?|bash: (?:line \d+: )?)([\w.@/-]+): (?:command )?not found")
MODULE = re.compile(r"Cannot find (?:module|package) '([^'.][^']{0,100})'")


def installer(manager, text, code):
    """(message, hint) for a failed installation."""
    if any(mark in text for mark in OUTDATED):
        return LOCK.get(manager, LOCK["npm"])
    variable = VARIABLE.search(text)
    if variable:
        return (
            ".npmrc uses ${%s}, which installers cannot read." % variable.group(1),
            "greenroom config:set %s=... && greenroom builds:vars:add %s" % (variable.group(1), variable.group(1)),
        )
    missing = compilers.explain(text) if "gyp ERR!" in text else None
    if missing:
        return missing
    gone = GONE.search(text)
    if gone:
        return "The npm registry does not have %s." % gone.group(1).rstrip(
            "."
        ), "correct its name or version, then lock again"
    for marks, message, hint in CAUSES:
        if any(mark in text for mark in marks):
            return message, hint
    return "%s failed (exit code %d).\n%s" % (manager, code, last(text)), "read the output above"


def script(name, text, code):
    """(message, hint) for a failed script of package.json."""
    message = 'The script "%s" of package.json ended with exit code %d.' % (name, code)
    missing = MISSING.search(text)
    if missing:
        return (
            "%s %s was not found." % (message, missing.group(1)),
            "npm install --save-dev PACKAGE for the package that has %s, and commit the lock file" % missing.group(1),
        )
    module = MODULE.search(text)
    if module:
        return "%s The package %s is missing." % (
            message,
            module.group(1),
        ), "npm install %s, and commit the lock file" % (module.group(1))
    for marks, cause, hint in CAUSES:
        if any(mark in text for mark in marks):
            return "%s %s" % (message, cause), hint
    return message + "\n" + last(text), "run it on your machine: npm ci && npm run " + name


def last(text):
    """The last lines of an output, without npm's own remarks."""
    noise = ("npm error A complete log", "npm ERR! A complete log", "npm notice", "info Visit ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(noise)]
    return "\n".join(lines[-6:])[:1500]
