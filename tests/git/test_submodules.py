"""Submodules: which URLs are allowed, and how their commits get into the tree, with real git."""

from __future__ import annotations

import tarfile

import pytest

from greenroom.basics.errors import UserError
from greenroom.basics.outgoing import networks
from greenroom.git import actions, queries
from greenroom.git.drivers import additions, modules
from greenroom.git.drivers.modules import MissingError, Policy
from greenroom.git.rules import submodules as rules
from tests.sources.forge import Repo, forging

GITHUB = ("github.com", "git.example.com:8443")
ENTRY = '[submodule "{0}"]\n\tpath = {0}\n\turl = {1}\n'


# -- rules -------------------------------------------------------------------------------------------------------------


def test_gitmodules_is_read_like_git_reads_it():
    text = (
        '# ours\n[core]\n\tsshCommand = touch /tmp/x\n[submodule "kit"]\r\n\tpath = "vendor/my kit" ; where\n\tURL ='
        ' https://github.com/ach/kit.git # it\n\tbranch = main\n\tshallow\n[Submodule "a\\"b"]\npath=b\n'
        'url="../b#1.git"\n'
    )
    found = {path: (entry.name, entry.url) for path, entry in rules.read(text).items()}
    assert found == {"vendor/my kit": ("kit", "https://github.com/ach/kit.git"), "b": ('a"b', "../b#1.git")}
    for line, number in (("[submodule kit\n", 1), ('[submodule "a"]\n= x\n', 2), ('[submodule "a"]\nurl = a\\n\n', 2)):
        with pytest.raises(UserError, match=f"line {number}"):
            rules.read(line)


def place(url, *, origin="", hosts=GITHUB):
    return rules.place_of("vendor", {"vendor": rules.Entry(name="kit", url=url)}, origin=origin, hosts=hosts)


@pytest.mark.parametrize(
    ("url", "origin", "found"),
    [
        ("https://github.com/ach/kit.git", "", "https://github.com/ach/kit.git"),
        ("https://GitHub.com/ach/kit", "", "https://GitHub.com/ach/kit"),
        ("https://git.example.com:8443/kit.git", "", "https://git.example.com:8443/kit.git"),
        ("../kit.git", "https://github.com/ach/shop.git", "https://github.com/ach/kit.git"),
        ("../../lib/kit.git", "git@github.com:ach/shop.git", "https://github.com/lib/kit.git"),
        ("./kit.git", "ssh://git@github.com/ach/shop", "https://github.com/ach/shop/kit.git"),
    ],
)
def test_https_urls_of_allowed_hosts_are_fetched_and_relative_ones_resolved(url, origin, found):
    assert place(url, origin=origin).url == found


@pytest.mark.parametrize(
    ("url", "text", "hint"),
    [
        (
            "git@github.com:ach/kit.git",
            "https URLs without credentials only",
            "submodule.kit.url https://github.com/ach/kit.git",
        ),
        ("ssh://git@github.com/ach/kit.git", "https URLs", "submodule.kit.url https://github.com/ach/kit.git"),
        ("git://github.com/ach/kit.git", "https URLs", "https://github.com/ach/kit.git"),
        ("http://github.com/ach/kit.git", "https URLs", "submodule.kit.url https://github.com/ach/kit.git"),
        (
            "https://me:token@github.com/ach/kit.git",
            "has the URL 'https://github.com/ach/kit.git'",
            "submodule.kit.url https",
        ),
        ("file:///etc", "https URLs", "https://HOST/PATH.git"),
        ("ext::sh -c touch% /tmp/x", "https URLs", "https://HOST/PATH.git"),
        ("/srv/kit", "https URLs", "https://HOST/PATH.git"),
        ("-u./x", "https URLs", "https://HOST/PATH.git"),
        ("https://github.com/a b", "https URLs", "submodule.kit.url https"),
        (
            "https://github.com:22/kit.git",
            "is at github.com:22",
            'HOSTS="git.example.com:8443 github',
        ),
        ("https://evil.example/kit.git", "Allowed: git.example.com:8443, github.com.", "evil.example"),
        ("https://127.0.0.1/kit.git", "is at 127.0.0.1", "GREENROOM_SUBMODULE_HOSTS"),
        ("../kit.git", "a push names no repository", "submodule.kit.url https://HOST/PATH.git"),
    ],
)
def test_any_other_url_is_refused_with_the_remedy(url, text, hint):
    with pytest.raises(UserError) as caught:
        place(url)
    assert text in caught.value.message
    assert hint in caught.value.hint


def test_every_host_can_be_allowed_and_each_submodule_needs_an_entry():
    assert place("https://other.example/kit.git", hosts=("*",)).host == "other.example"
    with pytest.raises(UserError, match=r"'http://other\.example/kit\.git'"):
        place("http://other.example/kit.git", hosts=("*",))
    with pytest.raises(UserError, match="has no entry"):
        rules.place_of("other", {}, origin="", hosts=GITHUB)


# -- fetching ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def forge(tmp_path):
    with forging(tmp_path / "forge") as made:
        yield made


@pytest.fixture
def policy(forge):
    return Policy(hosts=(forge.url.lower(),), allowed=networks(["127.0.0.0/8"]))


@pytest.fixture
def pushed(shop, home, tmp_path, forge):
    """Commits a tree with submodules into the repository of ``shop``: name -> (URL, commit)."""
    stored = actions.create_repository(app=shop, home=home)
    work = Repo(forge, "team/shop")

    def commit(submodules, **files):
        return _commit(work, submodules, target=stored, **files)

    return commit


def _commit(work, submodules, target=None, **files):
    text = "".join(ENTRY.format(path, url) for path, (url, _) in submodules.items())
    (work.work / ".gitmodules").write_text(text)
    for path, content in {"app.py": "top\n", **files}.items():
        (work.work / path).write_text(content)
    work.git("add", "-A")
    for path, (_, sha) in submodules.items():
        work.git("update-index", "--add", "--cacheinfo", f"160000,{sha},{path}")
    work.git("commit", "-q", "-m", "with submodules")
    work.push()
    if target:
        work.git("push", "-q", "--force", str(target), "HEAD:refs/heads/master")
    return work.git("rev-parse", "HEAD")


def written(shop, home, sha, policy, origin=""):
    tree = queries.tree(shop, home, sha)
    fetched = queries.write_tree(shop, home, tree, origin=origin, policy=policy).fetched
    with tarfile.open(home / "sources" / f"{tree.key}.tar") as tar:
        return fetched, {member.name: tar.extractfile(member).read().decode() for member in tar if member.isreg()}


def asked(forge, name):
    return [path for method, path, *_ in forge.asked if method == "POST" and path.startswith(f"/{name}.git")]


@pytest.mark.django_db
def test_submodules_are_fetched_into_the_tree_nested_ones_too_and_only_once(shop, home, forge, policy, pushed):
    inner, kit = Repo(forge, "lib/inner"), Repo(forge, "lib/kit")
    deep = inner.commit("deep", **{"deep.py": "deep\n"})
    old = _commit(
        kit, {"inner": ("../inner.git", deep)}, **{"kit.py": "old\n", ".gitattributes": "kit.py export-ignore\n"}
    )
    kit.commit("new", **{"kit.py": "new\n"})
    sha = pushed({"vendor/kit": (kit.url, old)})
    fetched, files = written(shop, home, sha, policy)
    assert fetched == 2
    assert (files["app.py"], files["vendor/kit/kit.py"]) == ("top\n", "old\n")
    assert files["vendor/kit/inner/deep.py"] == "deep\n"
    before = len(forge.asked)
    again = pushed({"vendor/kit": (kit.url, old)}, **{"app.py": "second\n"})
    fetched, files = written(shop, home, again, policy)
    assert (fetched, files["app.py"], files["vendor/kit/kit.py"]) == (0, "second\n", "old\n")
    assert len(forge.asked) == before
    assert not any(path.name.startswith("incoming") for path in (home / shop.repo_folder / "objects").iterdir())


@pytest.mark.django_db
def test_a_relative_url_is_resolved_against_the_source(shop, home, forge, policy, pushed):
    kit = Repo(forge, "team/kit")
    sha = pushed({"kit": ("../kit.git", kit.commit("one", **{"kit.py": "kit\n"}))})
    with pytest.raises(UserError, match="a push names no repository"):
        written(shop, home, sha, policy)
    assert written(shop, home, sha, policy, f"{forge.url}/team/shop.git")[1]["kit/kit.py"] == "kit\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "text", "hint"),
    [
        ("missing commit", "cannot be fetched", "push the commit 1111"),
        ("missing repository", "not found", "without credentials"),
        ("password", "denied", "without credentials"),
        ("redirect", "redirect", "deliveries:retry"),
        ("private network", "not a public address", "GREENROOM_PRIVATE_TARGETS"),
        ("host", "fetches no submodules", "GREENROOM_SUBMODULE_HOSTS"),
        ("bad file", "file name", "another commit"),
    ],
)
def test_what_cannot_be_fetched_is_said_with_the_remedy_and_leaves_nothing(
    shop, home, forge, policy, pushed, change, text, hint
):
    kit = Repo(forge, "lib/kit")
    url, commit = kit.url, kit.commit("one")
    if change == "missing commit":
        commit = "1" * 40
    if change == "missing repository":
        url = f"{forge.url}/lib/other.git"
    if change == "password":
        forge.password = "secret"
    if change == "redirect":
        forge.mode = "redirect"
    if change == "private network":
        policy = Policy(hosts=policy.hosts)
    if change == "host":
        policy = Policy(allowed=policy.allowed)
        url = url.replace("http://", "https://")
    if change == "bad file":
        (kit.work / "a\x1b[2Jb").write_text("x")
        commit = kit.commit("bad")
    sha = pushed({"kit": (url, commit)})
    with pytest.raises(UserError) as caught:
        written(shop, home, sha, policy)
    assert "'kit'" in caught.value.message
    assert text in caught.value.message
    assert hint in caught.value.hint
    stored = home / shop.repo_folder
    assert not list((stored / modules.FOLDER).iterdir() if (stored / modules.FOLDER).exists() else [])
    assert not any(path.name.startswith("incoming") for path in (stored / "objects").iterdir())


@pytest.mark.django_db
def test_a_tree_that_git_refuses_in_a_push_is_refused_in_a_submodule(shop, home, forge, policy, pushed):
    kit = Repo(forge, "lib/kit")
    blob = kit.git("hash-object", "-w", "--stdin", stdin=b"x")
    raw = b"100644 .git\0" + bytes.fromhex(blob)
    tree = kit.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    commit = kit.git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit-tree", tree, "-m", "x")
    kit.push(commit=commit)
    with pytest.raises(UserError, match="git refuses the objects"):
        written(shop, home, pushed({"kit": (kit.url, commit)}), policy)


@pytest.mark.django_db
def test_numbers_levels_and_sizes_are_limited(shop, home, forge, policy, pushed, monkeypatch):
    inner, kit = Repo(forge, "lib/inner"), Repo(forge, "lib/kit")
    commit = _commit(kit, {"inner": (inner.url, inner.commit("deep"))})
    sha = pushed({"kit": (kit.url, commit)})
    monkeypatch.setattr(rules, "DEPTH", 1)
    with pytest.raises(UserError, match="nested too deeply: 2 levels"):
        written(shop, home, sha, policy)
    monkeypatch.setattr(rules, "DEPTH", 4)
    monkeypatch.setattr(rules, "MOST", 1)
    with pytest.raises(UserError, match="more than 1 submodules"):
        written(shop, home, sha, policy)
    monkeypatch.setattr(rules, "MOST", 50)
    monkeypatch.setattr(rules, "MAX_TREE", 10)
    with pytest.raises(UserError, match="exceed"):
        written(shop, home, sha, policy)
    monkeypatch.setattr(rules, "SECONDS", -1.0)
    other = Repo(forge, "lib/other")
    with pytest.raises(UserError, match="took longer"):
        written(shop, home, pushed({"other": (other.url, other.commit("one"))}), policy)


@pytest.mark.django_db
def test_without_the_cache_a_scan_says_so_and_the_oldest_are_removed(shop, home, forge, policy, pushed):
    kit = Repo(forge, "lib/kit")
    commit = kit.commit("one", **{"kit.py": "kit\n"})
    sha = pushed({"kit": (kit.url, commit)})
    with pytest.raises(MissingError, match="no longer in the cache"):
        written(shop, home, sha, None)
    written(shop, home, sha, policy)
    assert written(shop, home, sha, None)[1]["kit/kit.py"] == "kit\n"
    stored = home / shop.repo_folder
    assert modules.evict(stored, {commit}, most=0) == []
    assert modules.evict(stored, set(), most=0) == [commit]
    bare = queries.tree(shop, home, sha).bare
    queries.write_tree(shop, home, bare)
    with tarfile.open(home / "sources" / f"{bare.key}.tar") as tar:
        assert [name for name in tar.getnames() if name.startswith("kit/")] == []


@pytest.mark.django_db
def test_a_commit_without_parts_keeps_its_id_as_the_name_of_its_tar(shop, home, pushed):
    sha = pushed({})
    tree = queries.tree(shop, home, sha)
    assert (tree.key, tree.found) == (sha, additions.Additions(size=tree.found.size))
