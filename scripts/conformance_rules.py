"""The rules: number -> (Heroku's behaviour, Greenroom's deliberate difference; empty: the same). Data only."""

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
    "15": "Node.js: heroku/nodejs",
    "16": "Debian packages: heroku-community/apt",
}

RULES: dict[str, tuple[str, str]] = {
    "1.1": (
        "pre_compile runs after detection and before anything else is read, and may write the dependency files",
        "",
    ),
    "1.2": (
        (
            "a committed .heroku/python is refused first, a committed virtual environment after the choice of the"
            " package manager"
        ),
        "",
    ),
    "1.3": (
        (
            "an end-of-life version is refused before a runtime.txt that uv does not accept; a refusal prints no"
            " warnings"
        ),
        "",
    ),
    "1.4": (
        "a Django app with psycopg2 gets a database at its first deployment",
        (
            "each app has one from the start, whatever its driver; a release without DATABASE_URL is refused, and the"
            " error names the command"
        ),
    ),
    "2.1": ("a Python app is recognised by any of 16 files, 7 misspelled names and 3 folders in the root folder", ""),
    "2.2": ("a tree without any of them is refused, with a listing of the root folder and the likely causes", ""),
    "3.1": ("runtime.txt takes precedence and must contain python-N.N or python-N.N.N", ""),
    "3.2": ("a misspelled .python-version is refused even if the correct file exists", ""),
    "3.3": (".python-version contains exactly one N.N or N.N.N; four errors with their own ids", ""),
    "3.4": ("Pipfile.lock sets the version if no other file does; two errors with ids", ""),
    "3.5": ("without a version, N.N of the last build is used", ""),
    "3.6": (
        "otherwise the default is 3.14",
        "the newest interpreter of the host if it has no 3.14 and none can be downloaded",
    ),
    "3.7": ("N.N means its newest patch", "the newest on this host"),
    "3.8": ("below 3.10 and above 3.14 are refused", "[policy] python_eol can allow an old version that the host has"),
    "3.9": (
        "an unknown patch is refused",
        "an existing one is downloaded; if that fails, the next patch on the host is used, with a warning",
    ),
    "3.10": ("uv needs .python-version, and refuses runtime.txt", ""),
    "3.11": ("a warning for runtime.txt and for a missing version", ""),
    "3.12": (
        "a warning for 3.10 and for a patch that is not the newest",
        "[policy] python_default can refuse an app without a version",
    ),
    "3.13": ("one line names the Python version and the file that sets it; no warning for Pipfile.lock", ""),
    "4.1": (
        "an interpreter is downloaded for each app",
        (
            "the host's interpreters are used; uv downloads a missing one if the network or a mirror is available;"
            " else it is refused, with a list of available versions"
        ),
    ),
    "4.2": ("a downloaded interpreter is used again", "for all apps"),
    "5.1": (
        "exactly one of Pipfile.lock, requirements.txt, poetry.lock, uv.lock",
        "[policy] package_managers can make it a warning",
    ),
    "5.2": ("Pipfile without its lock is refused at once", ""),
    "5.3": ("setup.py alone, and no file at all, are refused with their own ids", ""),
    "5.4": (
        "pip installs requirements.txt",
        "uv installs, with one resolution and hashes; pip is available at run time",
    ),
    "5.5": ("pipenv install --deploy with pipenv 2026.7.1, which is available at run time", ""),
    "5.6": ("poetry sync --only main with Poetry 2.4.1", ""),
    "5.7": ("uv sync --locked --no-default-groups", ""),
    "5.8": ("a failed installation has the id install-dependencies::NAME, and known causes are explained", ""),
    "5.9": (
        "an installer sees only the config var PIP_EXTRA_INDEX_URL",
        "poetry and uv also see their index credentials, and all see the app's list (builds:vars)",
    ),
    "5.10": ("(requested by users) credentials of an index and values of secret config vars appear in no output", ""),
    "5.11": ("a lock that is out of date is refused (pipenv, poetry)", ""),
    "5.12": ("each refusal names the remedy", ""),
    "5.13": ("CI installs requirements-test.txt, --dev, all groups", "on top of the deployed environment"),
    "5.14": ("a dependency file may be a symlink to another file in the tree", ""),
    "5.15": ("requirements.txt may be UTF-16 or have a byte order mark", ""),
    "5.16": ("if one requirement has a hash, all must be pinned and have one", ""),
    "5.17": ("a branch of a repository is resolved again at each build", "a requirements file at a URL too"),
    "5.19": ("-e ./folder, -e git+URL, --find-links and --index-url work as in pip", ""),
    "5.22": (
        "pip's syntax of options (-rbase.txt, -e., quotes)",
        "--config-settings and --global-option of one requirement are refused",
    ),
    "5.20": (
        "pip, and up to Python 3.12 setuptools 70.3.0, are installed in addition to the requirements",
        "not if the requirements name them",
    ),
    "5.21": (
        "a missing gdal-config, a missing sqlite3.h and the metadata of celery before 5.2.1 are explained",
        "pg_config, Python.h and others too",
    ),
    "5.18": (
        "${NAME} in a requirements file is the value of an environment variable",
        "only of config vars on the app's list",
    ),
    "6.1": ("the major version of the last build is kept", ""),
    "6.2": ("a failed build does not change the cache and the running release", ""),
    "6.3": (
        "a changed requirements.txt or Pipfile.lock wipes the cache, even a comment",
        "the requirements themselves identify the environment: a comment changes nothing",
    ),
    "6.4": ("files named by -r are not tracked", "they are"),
    "6.5": ("a removed package is gone after the next build", ""),
    "6.6": (
        "(pitfall) an aborted build leaves a damaged cache",
        "everything is renamed into place: a kill at any point leaves it intact",
    ),
    "6.7": ("another package manager starts with an empty cache", ""),
    "6.8": ("after builds:cache:purge the next build starts with an empty cache", ""),
    "6.9": ("another stack or Python patch version starts with an empty cache", ""),
    "7.1": (
        "bin/pre_compile and bin/post_compile are made executable and run in the app's folder, output indented",
        "",
    ),
    "7.2": ("they see the config vars except PATH, PYTHONHOME, LD_* and others", ""),
    "7.3": ("post_compile sees the installed environment", ""),
    "7.4": ("a failing hook has the id hooks::NAME", ""),
    "7.5": (
        "files that a hook writes into the environment are kept",
        "in a layer of this slug; the cached environment is never written",
    ),
    "7.6": (
        "BUILD_DIR, CACHE_DIR and ENV_DIR (a file for each config var) are set",
        "ENV_DIR has no file for PATH and the others of 7.2",
    ),
    "7.7": (
        "files that they write to CACHE_DIR are kept if the build succeeds",
        "removing CACHE_DIR leaves the cache unchanged instead of failing the build",
    ),
    "8.1": ("nltk.txt lists the downloads, into .heroku/python/nltk_data", ""),
    "8.2": ("NLTK_DATA points there", ""),
    "8.3": ("a failed download has the id nltk-downloader", ""),
    "8.4": ("a note without nltk.txt, no output without nltk", ""),
    "9.1": (".heroku/collectstatic_disabled disables it, with a warning", ""),
    "9.2": ("DISABLE_COLLECTSTATIC disables it, unless empty or 0", ""),
    "9.3": ("no output without Django; a local folder django counts", ""),
    "9.4": ("the topmost manage.py within three levels; without one it is skipped, with a line", ""),
    "9.5": ("manage.py collectstatic --noinput, with the config vars", ""),
    "9.6": ("a failure fails the build with one of five ids", "and names the missing part if the traceback shows it"),
    "9.7": ("PYTHONPATH is . unless it is set", ""),
    "9.8": ("DEBUG_COLLECTSTATIC=1 shows the environment of a failed collectstatic", "config vars by name only"),
    "10.1": (
        "WEB_CONCURRENCY from the memory of the dyno, 256 MB each, at most 2 x cores + 1",
        "the limit that the engine sets for the dyno, under cgroup v1 and v2, or less if the machine has less",
    ),
    "10.2": (
        (
            "config vars cannot override PORT, DYNO and HOME; their PATH and LD_LIBRARY_PATH come after those of"
            " Python; PORT only for web"
        ),
        "PYTHONHOME is not set, LD_LIBRARY_PATH only if the app sets it",
    ),
    "10.3": ("an editable install of the tree is imported from /app", ""),
    "10.5": ("builds have DYNO, STACK, SOURCE_VERSION and HOME, whatever the config vars are", ""),
    "10.6": ("GUNICORN_CMD_ARGS and PYTHONPATH have defaults, PYTHONUNBUFFERED and FORWARDED_ALLOW_IPS are forced", ""),
    "10.4": ("profile scripts are sourced before the command", ""),
    "12.1": (".slugignore without negation, applied before anything reads the tree", ""),
    "12.2": ("a build may take 15 minutes", "and 2 GB of memory"),
    "12.3": ("a slug above 500 MB is refused", "a warning with the largest packages"),
    "13.1": ("Procfile: type: command, one per line", "an invalid line refuses the push; the error names it"),
    "13.2": (
        "the release command runs with the new slug and config vars, 60 minutes at most; its failure fails the release",
        "one with the word migrate is reported and runs only with [policy] migrate_in_release",
    ),
    "13.3": ("the first deployment starts one web dyno and none of the others", ""),
    "13.4": ("a rollback goes to the last good release, or to a named one with code", ""),
    "13.5": ("a process type that was removed from the Procfile loses its dynos", ""),
    "13.6": ("a type may contain - and _; the file may have a byte order mark and Windows line endings", ""),
    "14.1": (
        "app.json is read once, when the app is created",
        "at each build; a key that it requires must be set before a release starts",
    ),
    "14.2": ("scripts.postdeploy runs once, after the first deployment", ""),
    "14.3": ("formation of app.json applies to the first deployment", ""),
    "14.4": ("a bad app.json is refused", ""),
    "14.5": ("keys are letters, digits and _, and begin neither with __ nor with HEROKU_", "nor with GREENROOM_"),
    "14.6": ("config vars that are set together create one release, which names them", ""),
    "14.7": ("env of app.json sets values and random secrets", "of keys that nobody has ever set or removed"),
    "14.9": (
        "addons of app.json are provisioned",
        "the database exists already; others are reported, with the config var that replaces them",
    ),
    "14.8": ("the total size of config vars is limited", "64 KB, as in newer pages of Heroku"),
    "15.1": ("without heroku/nodejs on the list, package.json is not built", "the push says so"),
    "15.2": (
        "buildpacks run in the order of the list, which app.json gives to a new app",
        "app.json is read at each build; heroku/python is always on the list",
    ),
    "15.3": (
        "engines.node is a range of npm; without it the newest long-term version is used",
        "the newest one of the host that fits, else one of three downloads",
    ),
    "15.4": ("the lock file chooses npm, yarn or pnpm; lock files of two of them are refused", ""),
    "15.5": (
        "heroku-prebuild, the installation, heroku-postbuild or else build, pruning, heroku-cleanup, in this order",
        "",
    ),
    "15.6": ("devDependencies are installed and pruned, unless variables of the package manager say otherwise", ""),
    "15.7": (
        "node_modules is cached",
        "used again only while the lock file and what else decides about it are the same",
    ),
    "15.8": ("NODE_ENV is production; node and node_modules/.bin are on the PATH in builds and dynos", ""),
    "15.9": (
        "install scripts and the scripts of package.json see all config vars",
        "install scripts see those of npm, yarn and pnpm and the app's list (builds:vars)",
    ),
    "15.10": ("a failed build has a reason, and known causes are explained", ""),
    "16.1": (
        "Aptfile names packages, .deb files and repositories",
        "only over https, and no options of apt-get",
    ),
    "16.2": ("packages are unpacked below /app/.apt, without root; maintainer scripts do not run", ""),
    "16.3": ("builds and dynos find programs, libraries and headers there", "also pg_config and other scripts"),
    "16.4": ("the packages are cached while Aptfile is the same", "for a week, and while the host's packages are"),
    "16.5": ("an unknown package, or one that cannot be fetched, fails the build", "the error names it"),
    "16.6": ("without the buildpack, Aptfile is not read", "the push says so"),
}
