"""Why a command of the Heroku CLI works only partly here, or not; each pattern is a whole name, or one that ends with
``*``.
"""

from __future__ import annotations

PARTLY = {
    "apps:create": "one region, one stack; `--team` and `--space` are refused with what to use instead",
    "apps:transfer": (
        "no mail is sent: the recipient accepts with `greenroom transfers:accept APP`; to accounts, not to teams"
    ),
    "apps:stacks:set": "there is one stack",
    "addons:create": (
        "plans: `heroku-postgresql` or `heroku-postgresql:essential-0`; another plan or service is refused with what to"
        " use instead"
    ),
    "addons:destroy": "by name, attachment or, where the app has one of it, by service",
    "addons:info": "by name, attachment or, where the app has one of it, by service",
    "addons:docs": "of services (`heroku-postgresql`): leads to Heroku's page",
    "buildpacks:add": "`heroku/python` alone; others are refused with what to use instead",
    "buildpacks:set": "`heroku/python` alone; others are refused with what to use instead",
    "buildpacks:remove": "afterwards it is detected: the same one",
    "buildpacks:clear": "afterwards it is detected: the same one",
    "certs:auto*": "certificates of the installation's own CA, renewed by themselves; not of a public CA",
    "features:enable": "nothing can be switched: what is always on is accepted, the rest is refused with a reason",
    "features:disable": "nothing can be switched: what is always on is refused with a reason",
    "labs:enable": "nothing can be switched: what is always on is accepted, the rest is refused with a reason",
    "labs:disable": "nothing can be switched: what is always on is refused with a reason",
    "keys*": "keys are kept and listed, but there is no SSH transport: git goes over HTTPS",
    "pg:backups:cancel": "gives up what has not begun",
    "pg:backups:restore": "of this installation's own backups alone",
    "pg:kill": "by `psql`: only sessions of the app's own role",
    "pg:psql": "needs `psql` on the host, which must be the installation's own or reach its PostgreSQL by a tunnel",
    "pg:copy": "between databases of this installation; the target is saved and replaced as by a restore",
    "pg:pull": (
        "by the own computer's pg_dump and pg_restore, not older than the server, which must reach its PostgreSQL"
    ),
    "pg:push": (
        "by the own computer's pg_dump and pg_restore, not older than the server, which must reach its PostgreSQL"
    ),
    "webhooks*": "for apps, not for pipelines",
    "ci": "test runs are the check runs `tests` of the pipeline's apps; without `--watch`",
    "ci:rerun": (
        "by way of the proxy (`greenroom up --proxy-port N`, `greenroom env --proxy`); the result says nothing to the"
        " gate"
    ),
    "ci:run": (
        "by way of the proxy (`greenroom up --proxy-port N`, `greenroom env --proxy`); the result says nothing to the"
        " gate"
    ),
    "pipelines:create": "a pipeline is owned by who makes it; there are no teams",
    "pipelines:promote": (
        "pending migrations of a target hold it there; the header `Greenroom-Force` (`HEROKU_HEADERS`) overrides"
    ),
    "reviewapps:*": "of branches of the pipeline's first app; there are no pull requests",
    "releases:rollback": (
        "one to code that the database has left behind takes no traffic; across migrations: said first, made when asked"
        " again in five minutes"
    ),
    "ps:type": "sizes limit the memory; nothing is priced",
    "console": "runs, but a Django app has no such command: `heroku run python manage.py shell`",
    "rake": "runs, but a Django app has no such command: `heroku run python manage.py COMMAND`",
}
TEAMS = "there are no teams: `heroku access:add` lets people in"
SPACES = "there are no private spaces: dynos of different apps never reach each other"
LOCAL = "on the own computer alone; Greenroom has no part in it"
TIER = "the CLI refuses it for the plan that databases have here, without asking"
HOST = "goes to a host of Heroku's that no variable moves; see above"
SQL = "plain SQL by the host's `psql`; not tested one by one"
NOT = {
    "access:update": TEAMS,
    "addons:open": "an add-on has no page: found by its name or service, its address is null",
    "addons:upgrade": "there is one plan; by name or service, another one is refused with that text",
    "apps:errors": HOST,
    "apps:favorites*": HOST,
    "apps:join": TEAMS,
    "apps:lock": TEAMS,
    "apps:unlock": TEAMS,
    "auth:2fa*": "there is no two-factor sign-in; the first says that it is off",
    "accounts*": LOCAL,
    "autocomplete*": LOCAL,
    "certs:generate": LOCAL,
    "clients*": "there are no OAuth clients: `heroku authorizations:create` makes a token",
    "container:*": "there is no container registry: `git push heroku HEAD:master`",
    "dashboard": HOST,
    "data:*": "the databases are not of the Advanced tier: `heroku pg:*`",
    "local*": LOCAL,
    "mcp*": LOCAL,
    "members*": TEAMS,
    "notifications": HOST,
    "orgs*": TEAMS,
    "teams": TEAMS,
    "repl": LOCAL,
    "status": "asks for the status of Heroku itself",
    "version*": LOCAL,
    "pg:calls": "needs the extension pg_stat_statements",
    "pg:outliers": "needs the extension pg_stat_statements",
    "pg:extensions": "asks for a setting of Heroku's own servers; `heroku pg:psql -c '\\dx'`",
    "pg:connection-pooling*": TIER,
    "pg:credentials:create": TIER,
    "pg:credentials:destroy": TIER,
    "pg:credentials:repair-default": TIER,
    "pg:credentials:rotate": TIER,
    "pg:diagnose": HOST,
    "pg:fdwsql": TIER,
    "pg:links*": "there are no links between databases",
    "pg:mandelbrot": SQL,
    "pg:settings*": TIER,
    "pg:stats-reset": TIER,
    "pg:unfollow": "there are no followers",
    "pg:upgrade*": "the server is upgraded with Greenroom",
    "ps:autoscale*": "dynos are scaled by hand: `heroku ps:scale`",
    "ps:copy": "a dyno that runs is not entered: `heroku run bash`",
    "ps:exec": "a dyno that runs is not entered: `heroku run bash`",
    "ps:forward": "a dyno that runs is not entered: `heroku run bash`",
    "ps:socks": "a dyno that runs is not entered: `heroku run bash`",
    "run:inside": "a dyno that runs is not entered: `heroku run bash`",
    "redis*": "there is no Redis",
    "spaces*": SPACES,
    "telemetry*": "there are no telemetry drains: `heroku drains:add`",
    "usage:addons": "nothing is billed",
    "pipelines:connect": HOST,
    "pipelines:setup": HOST,
    "pipelines:diff": HOST,
    "pipelines:open": HOST,
    "pipelines:transfer": TEAMS,
    "ci:open": HOST,
    "ci:debug": f"{HOST}; `heroku run bash` instead",
    "ci:migrate-manifest": LOCAL,
}
