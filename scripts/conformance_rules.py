"""The rules: number -> (what Heroku does, what Greenroom does otherwise on purpose; empty: the same). Data alone."""

from __future__ import annotations

SECTIONS = {
    "1": "Order",
    "2": "Detection",
    "3": "Python version",
    "4": "Installing Python",
    "5": "Package managers",
    "6": "Cache",
    "7": "Hooks",
    "8": "NLTK",
    "9": "collectstatic",
    "10": "Environment",
    "12": "Slug and limits",
    "13": "Procfile, release phase, releases, rollback",
    "14": "Config vars, add-ons, app.json",
}

RULES: dict[str, tuple[str, str]] = {
    "1.1": (
        "pre_compile runs after detection and before anything else is read, and may write the dependency files",
        "",
    ),
    "1.2": (
        (
            ".heroku/python of the app's own is refused first, a committed environment after the choice of the package"
            " manager"
        ),
        "",
    ),
    "1.3": (
        (
            "an end-of-life version is refused before a runtime.txt that uv does not take; warnings never come with a"
            " refusal"
        ),
        "",
    ),
    "1.4": (
        "a Django app with psycopg2 gets a database at its first deployment",
        (
            "each app has one from its beginning, whatever its driver; a release without DATABASE_URL is refused, with"
            " the command"
        ),
    ),
    "2.1": ("a Python app is known by any of 16 files, 7 misspelled names and 3 folders in the root folder", ""),
    "2.2": ("a tree without any is refused, with the root folder's listing and the likely causes", ""),
    "3.1": ("runtime.txt comes first and must hold python-N.N or python-N.N.N", ""),
    "3.2": ("a misspelled .python-version is refused even beside the right one", ""),
    "3.3": (".python-version holds exactly one N.N or N.N.N; four errors with ids of their own", ""),
    "3.4": ("Pipfile.lock gives the version when no file does; read no earlier; two errors with ids", ""),
    "3.5": ("without any, N.N of the last build counts", ""),
    "3.6": (
        "else the default is 3.14",
        "the newest interpreter of this host, when it has no 3.14 and none can be fetched",
    ),
    "3.7": ("N.N means its newest patch", "the newest on this host"),
    "3.8": ("below 3.10 and above 3.14 are refused", "[policy] python_eol may allow an old one that the host has"),
    "3.9": (
        "an unknown patch is refused",
        "one that exists is fetched; where that is not possible the next patch on this host is used, with a warning",
    ),
    "3.10": ("uv needs .python-version, and refuses runtime.txt", ""),
    "3.11": ("runtime.txt and no version at all are warned about", ""),
    "3.12": (
        "3.10 and a patch that is not the newest are warned about",
        "[policy] python_default may refuse an app without a version",
    ),
    "3.13": ("one line says which Python it is and where that stands; Pipfile.lock gives no warning", ""),
    "4.1": (
        "an interpreter is downloaded for each app",
        (
            "those of the host are used; one that it lacks is fetched by uv, where the network or a mirror allows; else"
            " it is refused, with what can be had"
        ),
    ),
    "4.2": ("one that was downloaded is used again", "for all apps"),
    "5.1": (
        "exactly one of Pipfile.lock, requirements.txt, poetry.lock, uv.lock",
        "[policy] package_managers may warn instead",
    ),
    "5.2": ("Pipfile without its lock is refused at once", ""),
    "5.3": ("setup.py alone, and nothing at all, are refused with ids of their own", ""),
    "5.4": (
        "pip installs requirements.txt",
        "uv does pip's work, resolved once and with hashes; pip is there at run time",
    ),
    "5.5": ("pipenv install --deploy with pipenv 2026.7.1, which is there at run time", ""),
    "5.6": ("poetry sync --only main with Poetry 2.4.1", ""),
    "5.7": ("uv sync --locked --no-default-groups", ""),
    "5.8": ("a failed installation is install-dependencies::NAME, known causes are explained", ""),
    "5.9": (
        "an installer sees PIP_EXTRA_INDEX_URL and no other config var",
        "poetry and uv also their index credentials, and each those of the app's list (builds:vars)",
    ),
    "5.10": ("(users' wish) credentials of an index, and values of secret config vars, appear in no output", ""),
    "5.11": ("a lock that is out of date is refused (pipenv, poetry)", ""),
    "5.12": ("each refusal says what to do", ""),
    "5.13": ("CI installs requirements-test.txt, --dev, all groups", "over the environment that is deployed"),
    "5.14": ("a dependency file may be a link to another file of the tree", ""),
    "5.15": ("requirements.txt may be UTF-16 or have a byte order mark", ""),
    "5.16": ("when one requirement has a hash, all must be pinned and have one", ""),
    "5.17": ("a branch of a repository is asked again at each build", "a requirements file at a URL too"),
    "5.19": ("-e ./folder, -e git+URL, --find-links and --index-url are what pip makes of them", ""),
    "5.22": (
        "pip's ways of writing options (-rbase.txt, -e., quotes)",
        "--config-settings and --global-option of one requirement are refused",
    ),
    "5.20": (
        "pip, and up to Python 3.12 setuptools 70.3.0, are installed beside the requirements",
        "not where those name them",
    ),
    "5.21": (
        "a missing gdal-config, a missing sqlite3.h and metadata before celery 5.2.1 are explained",
        "pg_config, Python.h and others too",
    ),
    "5.18": (
        "${NAME} in a requirements file is the value of an environment variable",
        "of a config var on the app's list",
    ),
    "6.1": ("the major version of the last build sticks", ""),
    "6.2": ("a failed build leaves the cache and the running release as they were", ""),
    "6.3": (
        "a changed requirements.txt or Pipfile.lock wipes the cache, even a comment",
        "what is asked for names the environment: a comment costs nothing",
    ),
    "6.4": ("files named by -r are not tracked", "they count"),
    "6.5": ("a removed package is gone after the next build", ""),
    "6.6": (
        "(trap) a build that is cut short leaves a damaged cache",
        "everything is put in its place by a rename: killed anywhere, it is sound",
    ),
    "6.7": ("another package manager starts from nothing", ""),
    "6.8": ("builds:cache:purge lets the next build start from nothing", ""),
    "6.9": ("another stack or patch of Python starts from nothing", ""),
    "7.1": (
        "bin/pre_compile and bin/post_compile are made executable and run in the app's folder, output indented",
        "",
    ),
    "7.2": ("they see the config vars, but for PATH, PYTHONHOME, LD_* and others", ""),
    "7.3": ("post_compile sees the installed environment", ""),
    "7.4": ("a hook that fails is hooks::NAME", ""),
    "7.5": (
        "what a hook writes into the environment stays",
        "in a layer of this slug; the cached environment is never written",
    ),
    "7.6": (
        "they know BUILD_DIR, CACHE_DIR and ENV_DIR (a file for each config var)",
        "ENV_DIR has no file for PATH and the others of 7.2",
    ),
    "7.7": (
        "what they write to CACHE_DIR is kept when the build succeeds",
        "one that removes CACHE_DIR leaves the cache as it was, instead of failing",
    ),
    "8.1": ("nltk.txt names what is downloaded, into .heroku/python/nltk_data", ""),
    "8.2": ("NLTK_DATA leads there", ""),
    "8.3": ("a failed download is nltk-downloader", ""),
    "8.4": ("without nltk.txt a note, without nltk silence", ""),
    "9.1": (".heroku/collectstatic_disabled leaves it out, with a warning", ""),
    "9.2": ("DISABLE_COLLECTSTATIC other than empty and 0 leaves it out", ""),
    "9.3": ("without Django silence; a local folder django counts", ""),
    "9.4": ("the shallowest manage.py within three levels; none: left out, with a line", ""),
    "9.5": ("manage.py collectstatic --noinput, with the config vars", ""),
    "9.6": ("a failure fails the build, with one of five ids", "and names what is missing where the traceback tells"),
    "9.7": ("PYTHONPATH is . unless it is set", ""),
    "9.8": ("DEBUG_COLLECTSTATIC=1 shows the environment of a failed collectstatic", "config vars by name alone"),
    "10.1": (
        "WEB_CONCURRENCY from the memory of the dyno, 256 MB each, at most 2 x cores + 1",
        "the limit that the engine sets for the dyno, under cgroup v1 and v2, or less where the machine has less",
    ),
    "10.2": (
        (
            "PORT, DYNO and HOME cannot be overridden by config vars, PATH and LD_LIBRARY_PATH follow those of the"
            " Python; PORT only for web"
        ),
        "PYTHONHOME is not set, LD_LIBRARY_PATH only where the app sets it",
    ),
    "10.3": ("an editable install of the tree is imported from /app", ""),
    "10.5": ("builds have DYNO, STACK, SOURCE_VERSION and HOME, whatever config vars say", ""),
    "10.6": ("GUNICORN_CMD_ARGS and PYTHONPATH have defaults, PYTHONUNBUFFERED and FORWARDED_ALLOW_IPS are forced", ""),
    "10.4": ("profile scripts are sourced before the command", ""),
    "12.1": (".slugignore without negation, applied before anything looks at the tree", ""),
    "12.2": ("a build may take 15 minutes", "and 2 GB of memory"),
    "12.3": ("a slug above 500 MB is refused", "a warning with the largest packages"),
    "13.1": ("Procfile: type: command, one a line", "a line that is none refuses the push and is named"),
    "13.2": (
        "the release command runs with the new slug and config vars, 60 minutes at most; its failure fails the release",
        "one with the word migrate is pointed out and run only by [policy] migrate_in_release",
    ),
    "13.3": ("the first deployment starts one web dyno and none of the others", ""),
    "13.4": ("a rollback goes to the last good release, or to a named one with code", ""),
    "13.5": ("a process type that left the Procfile loses its dynos", ""),
    "13.6": ("a type may have - and _; the file may have a byte order mark and lines of Windows", ""),
    "14.1": (
        "app.json is read once, when the app is made",
        "at each build; a key that it requires must be set before a release starts",
    ),
    "14.2": ("scripts.postdeploy runs once, after the first deployment", ""),
    "14.3": ("formation of app.json counts at the first deployment", ""),
    "14.4": ("a bad app.json is refused", ""),
    "14.5": ("keys are letters, digits and _, and begin neither with __ nor with HEROKU_", "nor with GREENROOM_"),
    "14.6": ("vars that are set together make one release, which names them", ""),
    "14.7": ("env of app.json gives values and random secrets", "to keys that nobody has ever set or removed"),
    "14.9": (
        "addons of app.json are provisioned",
        "the database is there; others are pointed out, with the config var that takes their place",
    ),
    "14.8": ("all config vars together are limited", "64 KB, as newer pages of Heroku say"),
}
