"""The list of all commands: topic, name, where the code is, and one line about it; data alone, so that help needs no
imports.

A command's module is imported when the command is called. Host commands are made by ``greenroom_cli.host.commands``.
"""

from __future__ import annotations

TOPICS: dict[str, str] = {
    "host": "this installation",
    "apps": "apps",
    "git": "git remotes",
    "source": "the repository elsewhere that an app follows",
    "config": "config vars",
    "ps": "processes: formation and dynos",
    "run": "one-off dynos",
    "logs": "logs and drains",
    "deliveries": "the journey of each push",
    "builds": "builds",
    "checks": "the gate: checks and overrides",
    "releases": "releases and rollbacks",
    "migrations": "migrations of the app's database",
    "pipelines": "pipelines: stages and promotion",
    "ci": "test runs of a pipeline",
    "reviewapps": "review apps of branches",
    "pg": "the app's database",
    "domains": "host names and certificates",
    "maintenance": "maintenance mode",
    "access": "who may do what",
    "accounts": "accounts and API tokens",
    "audit": "the audit log",
    "shell": "about this command",
}
"""topic -> what its commands are about. The order is that of the help."""

HOST = {
    "up": "start Greenroom",
    "down": "stop Greenroom",
    "status": "show what of Greenroom runs",
    "doctor": "check this machine and this installation",
    "env": "print shell exports for greenroom and for the Heroku CLI",
    "scanners": "list the optional scanners and which of them are installed",
    "scanners:install": "install an optional scanner for all apps",
}

_ROWS = """
apps        create               apps:create               create an app, and a git remote for it
apps        apps                 apps:apps                 list the apps you may see
apps        apps:info            apps:info                 show one app
apps        rename               apps:rename               give an app another name
apps        destroy              apps:destroy              remove an app with all it has
apps        open                 apps:open_app             open the app in a browser
git         git:remote           git_commands:remote          add a git remote for an app to this checkout
source      source:set           source:set_source         let an app follow a branch of a repository elsewhere
source      source:info          source:info               show the source of an app
source      source:sync          source:sync               fetch the source of an app now
source      source:accept        source:accept             follow a source whose branch was rewritten
source      source:rotate-secret source:rotate_secret      make a new secret for the webhook of a source
source      source:unset         source:unset              stop following the source of an app
config      config               config:config             show the config vars
config      config:get           config:get                print one config var
config      config:set           config:set_vars           set config vars and restart
config      config:unset         config:unset              remove config vars and restart
ps          ps                   ps:ps                     list dynos
ps          ps:scale             ps:scale                  set how many dynos run
ps          ps:restart           ps:restart                restart all dynos, or one
ps          ps:stop              ps:stop                   stop one dyno
run         run                  run:run                   run a command in a one-off dyno
logs        logs                 logs:logs                 show the log
logs        drains               drains:drains             list the log drains of an app
logs        drains:add           drains:add                send the log of an app to a URL
logs        drains:remove        drains:remove             send nothing more to a drain
deliveries  deliveries           deliveries:deliveries     list deliveries
deliveries  deliveries:info      deliveries:info           show one delivery
deliveries  deliveries:drop      deliveries:drop           drop the release that is held for its migrations
deliveries  deliveries:retry     deliveries:retry          run again what failed
deliveries  deliveries:wait      deliveries:wait           wait until a commit is live, held or refused
builds      builds               builds:builds             list builds
builds      builds:info          builds:info               show one build
builds      builds:output        builds:output_of          print what a build said
builds      builds:cancel        builds:cancel             cancel a build that runs
builds      builds:cache         builds:cache              show how much the caches of builds take
builds      builds:cache:purge   builds:cache_purge        let the next build start from nothing
builds      builds:vars          build_vars:list_vars      list the config vars that installers see
builds      builds:vars:add      build_vars:add_vars       let installers see config vars
builds      builds:vars:remove   build_vars:remove_vars    take config vars off the list
builds      slugs:info           builds:slug_info          show what the slug of a release is made of
builds      slugs:sbom           builds:sbom               print the bill of materials of a slug
checks      checks               checks:checks             show the checks of a commit
checks      checks:info          checks:info               show one check with its findings
checks      checks:rerun         checks:rerun              run a check again
checks      checks:upload        scans:upload              report a tool's findings from a SARIF file
checks      checks:ignore        scans:ignore              let one finding pass until a day
checks      checks:ignores       scans:ignores             list the findings that are ignored
checks      checks:unignore      scans:unignore            let an ignored finding count again
checks      checks:policy        scans:policy              show or change how strict the gate is
checks      checks:token         check_tokens:token        make a token that reports some checks of one app
checks      checks:tokens        check_tokens:tokens       list the tokens that report checks of an app
checks      checks:unpin         check_tokens:unpin        let any report of a check count again
checks      deploy:override      checks:override           let one commit through in spite of a check
checks      deploy:pause         checks:pause              stop automatic deployment
checks      deploy:resume        checks:resume             let automatic deployment go on
releases    releases             releases:releases         list releases
releases    releases:info        releases:info             show one release
releases    releases:retry       releases:retry            release the newest code again
releases    rollback             releases:rollback         go back to an earlier release
migrations  migrations           migrations:migrations     show pending migrations and who ran what
migrations  migrations:run       migrations:run_them       run the app's migrations
migrations  migrations:rehearse  migrations:rehearse       try the migrations on a copy of the database
migrations  migrations:rehearsal migrations:show_rehearsal the whole report of a rehearsal
pipelines   pipelines            pipelines:pipelines       list pipelines
pipelines   pipelines:info       pipelines:info            show the apps of a pipeline
pipelines   pipelines:create     pipelines:create          make a pipeline with its first app
pipelines   pipelines:add        pipelines:add             add an app to a pipeline
pipelines   pipelines:update     pipelines:update          change the stage of an app
pipelines   pipelines:remove     pipelines:remove          remove an app from its pipeline
pipelines   pipelines:rename     pipelines:rename          rename a pipeline
pipelines   pipelines:destroy    pipelines:destroy         destroy a pipeline
pipelines   pipelines:promote    pipelines:promote         promote the code of an app to other apps
ci          ci                   ci:ci                     list the latest test runs
ci          ci:info              ci:info                   show a test run with what it said
ci          ci:last              ci:last                   show the latest test run
ci          ci:run               ci:run                    run the tests of this folder
ci          ci:cancel            ci:cancel                 end a test run of ci:run
ci          ci:config            ci:config                 show the config vars of the tests
ci          ci:config:get        ci:config_get             print one config var of the tests
ci          ci:config:set        ci:config_set             set config vars of the tests
ci          ci:config:unset      ci:config_unset           remove config vars of the tests
reviewapps  reviewapps           reviewapps:reviewapps     list the review apps
reviewapps  reviewapps:create    reviewapps:create         make a review app of a branch
reviewapps  reviewapps:destroy   reviewapps:destroy        destroy the review app of a branch
reviewapps  reviewapps:enable    reviewapps:enable         let a pipeline have review apps by itself
reviewapps  reviewapps:disable   reviewapps:disable        let a pipeline have no review apps by itself any more
pg          pg:info              pg:info                   show the app's database
pg          pg:snapshots         snapshots:snapshots       list snapshots of the database
pg          pg:snapshots:capture snapshots:capture         take a snapshot of the database
pg          pg:snapshots:info    snapshots:info            show one snapshot
pg          pg:snapshots:pin     snapshots:pin             keep a snapshot until somebody removes it
pg          pg:snapshots:unpin   snapshots:unpin           let a pinned snapshot be removed
pg          pg:snapshots:delete  snapshots:delete          remove a snapshot
pg          pg:restore           snapshots:restore         put the database back to a snapshot
domains     domains              domains:domains           list host names
domains     domains:add          domains:add               add a host name
domains     domains:remove       domains:remove            take a host name away
domains     certs                certs:certs               list the certificates of an app
domains     certs:info           certs:info                show one certificate
domains     certs:add            certs:add                 add a certificate
domains     certs:update         certs:update              replace a certificate
domains     certs:remove         certs:remove              forget a certificate
domains     certs:auto           certs:auto                let the own CA certify the host names of an app
maintenance maintenance          maintenance:maintenance   show whether maintenance mode is on
maintenance maintenance:on       maintenance:on            show visitors a maintenance page
maintenance maintenance:off      maintenance:off           let visitors in again
access      access               access:access             list who may do what
access      access:add           access:add                let somebody in
access      access:remove        access:remove             take somebody's access away
access      transfers            transfers:transfers       list the apps that you offered or were offered
access      transfers:offer      transfers:offer           offer the app to somebody, who then owns it
access      transfers:accept     transfers:accept          take an app that was offered to you
access      transfers:decline    transfers:decline         leave an offered app to its owner
access      transfers:withdraw   transfers:withdraw        take an offer of yours back
accounts    accounts:password    passwords:password        set your password
accounts    whoami               accounts:whoami           show whose token is used
accounts    accounts             accounts:accounts         list accounts (administrators)
accounts    accounts:create      accounts:create           make an account with its first token (administrators)
accounts    accounts:token       accounts:token            make a new token for somebody's account (administrators)
accounts    tokens               accounts:tokens           list your API tokens
accounts    tokens:create        accounts:create_token     make an API token
accounts    tokens:revoke        accounts:revoke_token     end an API token
audit       audit                audit:audit               show who changed what
audit       audit:verify         audit:verify              check that the audit log was not changed (administrators)
shell       help                 shell:help_command        show help for a command or a topic
shell       version              shell:version             show the version
shell       completion           shell:completion          print a script that completes commands in your shell
-           git:credentials      git_commands:credentials     answer git's question for a password
-           addons               pg:addons                 list the app's add-ons
"""

COMMANDS: dict[str, tuple[str, str, str]] = {}
"""name -> (topic, ``module:function``, summary). Topic ``-``: works, but is not listed."""
for _row in _ROWS.strip().splitlines():
    _topic, _name, _place, _summary = _row.split(None, 3)
    COMMANDS[_name] = (_topic, _place, _summary)

ALIASES = {
    "apps:create": "create",
    "apps:destroy": "destroy",
    "apps:delete": "destroy",
    "apps:rename": "rename",
    "apps:open": "open",
    "info": "apps:info",
    "list": "apps",
    "apps:list": "apps",
    "auth:whoami": "whoami",
    "scale": "ps:scale",
    "restart": "ps:restart",
    "stop": "ps:stop",
    "dynos": "ps",
    "releases:rollback": "rollback",
    "config:add": "config:set",
    "config:remove": "config:unset",
    "source": "source:info",
    "source:remove": "source:unset",
    "source:fetch": "source:sync",
    "pg": "pg:info",
    "authorizations": "tokens",
    "authorizations:create": "tokens:create",
    "authorizations:revoke": "tokens:revoke",
    "collaborators": "access",
    "delivery": "deliveries:info",
    "autocomplete": "completion",
    "checks:override": "deploy:override",
}
"""Heroku's other spellings, and slips of the pen that can only mean one thing."""


def topic_of(name: str) -> str:
    """The topic of a command; '' for one that is not listed."""
    if name in HOST:
        return "host"
    topic = COMMANDS.get(name, ("-",))[0]
    return "" if topic == "-" else topic


def of_topic(topic: str) -> list[tuple[str, str]]:
    """(name, summary) of a topic's commands."""
    if topic == "host":
        return list(HOST.items())
    return [(name, row[2]) for name, row in COMMANDS.items() if row[0] == topic]


def related(name: str) -> list[tuple[str, str]]:
    """(name, summary) of the other commands of a command's topic."""
    topic = topic_of(name)
    return [row for row in of_topic(topic) if row[0] != name] if topic else []
