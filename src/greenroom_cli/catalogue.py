"""The table of all commands: topic, name, ``module:function``, summary. Plain data, so that the help imports nothing.

The module of a command is imported when the command is called. ``greenroom_cli.host.commands`` defines the host
commands.
"""

from __future__ import annotations

TOPICS: dict[str, str] = {
    "host": "this installation",
    "apps": "apps",
    "git": "git remotes",
    "source": "deploys from GitHub, GitLab, Gitea or another git server",
    "config": "config vars",
    "ps": "dynos and formation",
    "run": "one-off dynos",
    "jobs": "jobs: commands that run at planned times",
    "logs": "logs and drains",
    "notify": "notifications: who is told of what",
    "deliveries": "deliveries: pushes, config changes and rollbacks",
    "builds": "builds",
    "checks": "the gate: checks, findings and overrides",
    "releases": "releases and rollbacks",
    "migrations": "database migrations",
    "pipelines": "pipelines: stages and promotion",
    "ci": "test runs of a pipeline",
    "reviewapps": "review apps",
    "pg": "database and snapshots",
    "mail": "the mail trap: mail that an app has sent",
    "volumes": "volumes: files that outlive deployments",
    "domains": "domains and certificates",
    "egress": "egress: the targets that dynos may reach",
    "maintenance": "maintenance mode",
    "access": "collaborators, roles and app transfers",
    "accounts": "sign-in, accounts, invitations and API tokens",
    "audit": "the audit log",
    "shell": "help, version and shell completion",
}
"""topic -> description, in the order of the help."""

HOST = {
    "up": "start Greenroom",
    "down": "stop Greenroom",
    "status": "show the status of the components",
    "doctor": "check this machine and this installation",
    "env": "print the environment variables for greenroom and the Heroku CLI",
    "backup": "save everything of the running installation",
    "restore": "create an installation from a backup",
    "upgrade": "let the installed version of Greenroom take over",
    "scanners": "list the optional scanners",
    "scanners:install": "install an optional scanner for all apps",
    "server:install": "install Greenroom as a service of this machine",
    "server:uninstall": "remove the service, and with --purge all data",
    "server:check": "check the service, DNS, ports and certificates of a server",
}

_ROWS = """
apps        prepare              prepare:prepare           write what a Django project needs to go live
apps        create               apps:create               create an app and add its git remote
apps        apps                 apps:apps                 list your apps and the apps you collaborate on
apps        apps:info            apps:info                 show details of an app
apps        rename               apps:rename               rename an app
apps        destroy              apps:destroy              permanently destroy an app
apps        open                 apps:open_app             open the app in a browser
git         git:remote           git_commands:remote       add a git remote for an app to this repository
source      source:set           source:set_source         deploy an app from a branch of another git server
source      source:info          source:info               show the source repository of an app
source      source:sync          source:sync               fetch the source of an app now
source      source:accept        source:accept             accept a rewritten (force-pushed) source branch
source      source:rotate-secret source:rotate_secret      create a new webhook secret
source      source:unset         source:unset              disconnect an app from its source
config      config               config:config             show the config vars
config      config:get           config:get                print the value of a config var
config      config:set           config:set_vars           set config vars and restart the app
config      config:unset         config:unset              remove config vars and restart the app
ps          ps                   ps:ps                     list dynos
ps          ps:scale             ps:scale                  set the number and size of dynos
ps          ps:restart           ps:restart                restart all dynos, or one
ps          ps:stop              ps:stop                   stop a dyno
run         run                  run:run                   run a command in a one-off dyno
jobs        jobs                 jobs:jobs                 list the jobs of an app
jobs        jobs:info            jobs:info                 show the settings of a job
jobs        jobs:runs            jobs:job_runs             list the runs of jobs
jobs        jobs:log             jobs:log                  print the output of a run
jobs        jobs:run             jobs:run                  run a job now
jobs        jobs:add             jobs:add                  add a job
jobs        jobs:remove          jobs:remove               remove a job
jobs        jobs:pause           jobs:pause                pause a job
jobs        jobs:resume          jobs:resume               resume a paused job
logs        logs                 logs:logs                 show the log
logs        drains               drains:drains             list the log drains of an app
logs        drains:add           drains:add                add a log drain
logs        drains:remove        drains:remove             remove a log drain
notify      notify               notify:notify             list who is told of the events of an app
notify      notify:add           notify:add                tell a person or a chat of events
notify      notify:remove        notify:remove             remove a notification
notify      notify:test          notify:test               send a test message
deliveries  deliveries           deliveries:deliveries     list deliveries
deliveries  deliveries:info      deliveries:info           show details of a delivery
deliveries  deliveries:drop      deliveries:drop           drop the held release
deliveries  deliveries:retry     deliveries:retry          retry a failed delivery from its first failed step
deliveries  deliveries:wait      deliveries:wait           wait until a commit is live, held or refused
builds      builds               builds:builds             list builds
builds      builds:info          builds:info               show details of a build
builds      builds:output        builds:output_of          print the build output
builds      builds:cancel        builds:cancel             cancel a running build
builds      builds:cache         builds:cache              show the size of the build cache
builds      builds:cache:purge   builds:cache_purge        purge the build cache of an app
builds      builds:vars          build_vars:list_vars      list the config vars that package installers can read
builds      builds:vars:add      build_vars:add_vars       make config vars readable for package installers
builds      builds:vars:remove   build_vars:remove_vars    hide config vars from package installers
builds      buildpacks           buildpacks:buildpacks     list the buildpacks of an app
builds      buildpacks:add       buildpacks:add            add a buildpack
builds      buildpacks:remove    buildpacks:remove         remove a buildpack
builds      buildpacks:clear     buildpacks:clear          clear the list of buildpacks
builds      slugs:info           builds:slug_info          show the contents of a release's slug
builds      slugs:sbom           builds:sbom               print the software bill of materials (SBOM) of a slug
checks      checks               checks:checks             show the checks of a commit
checks      checks:info          checks:info               show a check and its findings
checks      checks:rerun         checks:rerun              run a check again
checks      checks:upload        scans:upload              upload the findings of a tool as a SARIF file
checks      checks:ignore        scans:ignore              ignore a finding until a date
checks      checks:ignores       scans:ignores             list the ignored findings
checks      checks:unignore      scans:unignore            stop ignoring a finding
checks      checks:policy        scans:policy              show or change the gate policy
checks      checks:token         check_tokens:token        create a token that can report checks of one app
checks      checks:tokens        check_tokens:tokens       list the tokens that can report checks of an app
checks      checks:unpin         check_tokens:unpin        accept reports of a check from any token again
checks      deploy:override      checks:override           override checks of a commit
checks      deploy:pause         checks:pause              pause automatic deploys
checks      deploy:resume        checks:resume             resume automatic deploys
releases    releases             releases:releases         list releases
releases    releases:info        releases:info             show details of a release
releases    releases:retry       releases:retry            release the newest slug again
releases    rollback             releases:rollback         roll back to an earlier release
migrations  migrations           migrations:migrations     show pending migrations and migrate commands
migrations  migrations:run       migrations:run_them       run the pending migrations
migrations  migrations:rehearse  migrations:rehearse       rehearse the pending migrations on a copy of the database
migrations  migrations:rehearsal migrations:show_rehearsal show the report of a rehearsal
pipelines   pipelines            pipelines:pipelines       list pipelines
pipelines   pipelines:info       pipelines:info            show the apps and stages of a pipeline
pipelines   pipelines:create     pipelines:create          create a pipeline with its first app
pipelines   pipelines:add        pipelines:add             add an app to a pipeline
pipelines   pipelines:update     pipelines:update          change the stage of an app
pipelines   pipelines:remove     pipelines:remove          remove an app from its pipeline
pipelines   pipelines:rename     pipelines:rename          rename a pipeline
pipelines   pipelines:destroy    pipelines:destroy         destroy a pipeline
pipelines   pipelines:promote    pipelines:promote         promote the slug of an app to other apps
ci          ci                   ci:ci                     list the latest test runs
ci          ci:info              ci:info                   show a test run and its output
ci          ci:last              ci:last                   show the latest test run
ci          ci:run               ci:run                    run the tests of the current commit
ci          ci:cancel            ci:cancel                 cancel a test run
ci          ci:config            ci:config                 show the config vars of test runs
ci          ci:config:get        ci:config_get             print the value of a test config var
ci          ci:config:set        ci:config_set             set test config vars
ci          ci:config:unset      ci:config_unset           remove test config vars
reviewapps  reviewapps           reviewapps:reviewapps     list the review apps of a pipeline
reviewapps  reviewapps:create    reviewapps:create         create a review app for a branch
reviewapps  reviewapps:destroy   reviewapps:destroy        destroy the review app of a branch
reviewapps  reviewapps:enable    reviewapps:enable         enable automatic review apps
reviewapps  reviewapps:disable   reviewapps:disable        disable automatic review apps
pg          pg:info              pg:info                   show details of the database
pg          pg:snapshots         snapshots:snapshots       list snapshots of the database
pg          pg:snapshots:capture snapshots:capture         take a snapshot of the database
pg          pg:snapshots:info    snapshots:info            show details of a snapshot
pg          pg:snapshots:pin     snapshots:pin             pin a snapshot
pg          pg:snapshots:unpin   snapshots:unpin           unpin a snapshot
pg          pg:snapshots:delete  snapshots:delete          delete a snapshot
pg          pg:restore           snapshots:restore         restore the database from a snapshot
mail        mail                 mail:mail                 list the mail that an app has sent
mail        mail:show            mail:show                 show a mail
mail        mail:info            mail:info                 show the limits and the relay of the mail trap
mail        mail:clear           mail:clear                delete all mail in the trap
mail        mail:allow           mail:allow                allow the relay to send to an address or a domain
mail        mail:deny            mail:deny                 remove an address or a domain from the allow list
mail        mail:relay           mail:relay                set the SMTP server for allowed recipients
volumes     volumes              volumes:volumes           list the volumes and their use
volumes     volumes:create       volumes:create            create a volume
volumes     volumes:info         volumes:info              show details of a volume
volumes     volumes:resize       volumes:resize            change the limit of a volume
volumes     volumes:destroy      volumes:destroy           permanently destroy a volume
volumes     volumes:pull         volumes:pull              copy the files of a volume to this machine
volumes     volumes:push         volumes:push              copy files into a volume
volumes     volumes:snapshots    volume_snapshots:snapshots list the snapshots of a volume
volumes     volumes:snapshot     volume_snapshots:snapshot take a snapshot of a volume
volumes     volumes:snapshots:delete volume_snapshots:delete permanently delete a snapshot of a volume
volumes     volumes:restore      volume_snapshots:restore  restore a volume from a snapshot
domains     domains              domains:domains           list the domains of an app
domains     domains:add          domains:add               add a domain
domains     domains:remove       domains:remove            remove a domain
domains     certs                certs:certs               list the certificates of an app
domains     certs:info           certs:info                show details of a certificate
domains     certs:add            certs:add                 add a certificate
domains     certs:update         certs:update              replace a certificate
domains     certs:remove         certs:remove              remove a certificate
domains     certs:auto           certs:auto                enable or disable automatic certificates
egress      egress               egress:egress             show the egress policy and the allowed targets
egress      egress:close         egress:close              let dynos reach only the allowed targets
egress      egress:open          egress:open_all           let dynos reach all targets
egress      egress:allow         egress:allow              allow targets: names, addresses or networks
egress      egress:remove        egress:remove             remove allowed targets
maintenance maintenance          maintenance:maintenance   show whether maintenance mode is on
maintenance maintenance:on       maintenance:on            turn maintenance mode on
maintenance maintenance:off      maintenance:off           turn maintenance mode off
access      access               access:access             list the collaborators of an app and their roles
access      access:add           access:add                add a collaborator or change a role
access      access:remove        access:remove             remove a collaborator
access      transfers            transfers:transfers       list pending app transfers
access      transfers:offer      transfers:offer           offer an app to another user
access      transfers:accept     transfers:accept          accept an app transfer
access      transfers:decline    transfers:decline         decline an app transfer
access      transfers:withdraw   transfers:withdraw        withdraw an app transfer
accounts    accounts:password    passwords:password        set your password
accounts    login                login:login               sign in to an installation
accounts    logout               login:logout              sign out of an installation
accounts    logins               login:list_logins         list the installations that you are signed in to
accounts    logins:use           login:use                 use another installation
accounts    whoami               accounts:whoami           show the current user
accounts    accounts             accounts:accounts         list accounts (administrators)
accounts    accounts:create      accounts:create           create an account and its first API token (administrators)
accounts    accounts:token       accounts:token            create an API token for another account (administrators)
accounts    accounts:disable     leavers:disable           disable an account (administrators)
accounts    accounts:enable      leavers:enable            enable a disabled account (administrators)
accounts    accounts:promote     leavers:promote           make an account an administrator (administrators)
accounts    accounts:demote      leavers:demote            make an administrator a user (administrators)
accounts    accounts:delete      leavers:delete            permanently delete an account (administrators)
accounts    invitations          invitations:invitations   list pending invitations (administrators)
accounts    invitations:create   invitations:create        create an invitation (administrators)
accounts    invitations:revoke   invitations:revoke        revoke an invitation (administrators)
accounts    tokens               accounts:tokens           list your API tokens
accounts    tokens:create        accounts:create_token     create an API token
accounts    tokens:revoke        accounts:revoke_token     revoke an API token
audit       audit                audit:audit               show the audit log
audit       audit:verify         audit:verify              verify that no audit log entry was changed (administrators)
shell       help                 shell:help_command        show help for a command or a topic
shell       version              shell:version             show the version
shell       completion           shell:completion          print a shell completion script
-           git:credentials      git_commands:credentials  answer git's request for credentials
-           addons               pg:addons                 list the app's add-ons
"""

COMMANDS: dict[str, tuple[str, str, str]] = {}
"""name -> (topic, ``module:function``, summary). Topic ``-``: not listed in the help."""
for _row in _ROWS.strip().splitlines():
    _topic, _name, _function, _summary = _row.split(None, 3)
    COMMANDS[_name] = (_topic, _function, _summary)

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
    "auth:login": "login",
    "auth:logout": "logout",
    "accounts:invite": "invitations:create",
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
"""Heroku's aliases, and common misspellings with a single meaning."""


def topic_of(name: str) -> str:
    """The topic of a command; '' for a command that is not listed."""
    if name in HOST:
        return "host"
    topic = COMMANDS.get(name, ("-",))[0]
    return "" if topic == "-" else topic


def of_topic(topic: str) -> list[tuple[str, str]]:
    """(name, summary) of the commands of a topic."""
    if topic == "host":
        return list(HOST.items())
    return [(name, row[2]) for name, row in COMMANDS.items() if row[0] == topic]


def related(name: str) -> list[tuple[str, str]]:
    """(name, summary) of the other commands of the same topic."""
    topic = topic_of(name)
    return [row for row in of_topic(topic) if row[0] != name] if topic else []
