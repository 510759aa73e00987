"""Reasons why a command of the Heroku CLI works only partly here, or not at all. A pattern is a whole name, or ends
with ``*``.
"""

from __future__ import annotations

PARTLY = {
    "apps:create": "one region, one stack; `--team` and `--space` are refused, with the alternative",
    "apps:transfer": (
        "no mail is sent: the recipient accepts with `greenroom transfers:accept APP`; to accounts, not to teams"
    ),
    "apps:stacks:set": "there is one stack",
    "addons:create": (
        "plans: `heroku-postgresql` or `heroku-postgresql:essential-0`; another plan or service is refused, with the"
        " alternative"
    ),
    "addons:destroy": "by name, by attachment, or by service if the app has one of it",
    "addons:info": "by name, by attachment, or by service if the app has one of it",
    "addons:docs": "for services (`heroku-postgresql`): links to Heroku's page",
    "buildpacks:add": (
        "`heroku/python`, `heroku/nodejs` and `heroku-community/apt`; others are refused, with the alternative"
    ),
    "buildpacks:set": (
        "`heroku/python`, `heroku/nodejs` and `heroku-community/apt`; others are refused, with the alternative"
    ),
    "buildpacks:remove": "`heroku/python` stays on the list",
    "buildpacks:clear": "the next build takes those of app.json, else `heroku/python`",
    "certs:auto*": "issued and renewed by the installation's own CA, or by a public one, which has no wildcards",
    "features:enable": (
        "nothing can be changed: features that are always on are accepted, others are refused with a reason"
    ),
    "features:disable": "nothing can be changed: features that are always on are refused with a reason",
    "labs:enable": "nothing can be changed: features that are always on are accepted, others are refused with a reason",
    "labs:disable": "nothing can be changed: features that are always on are refused with a reason",
    "keys*": "keys are stored and listed, but there is no SSH transport: git uses HTTPS",
    "pg:backups:cancel": "cancels backups that have not started",
    "pg:backups:restore": "only backups of this installation",
    "pg:kill": "with `psql`: only sessions of the app's own role",
    "pg:psql": (
        "needs `psql` on the computer, which must be that of the installation or reach its PostgreSQL through a tunnel"
    ),
    "pg:copy": (
        "between databases of this installation; a snapshot of the target is taken, then it is replaced as in a restore"
    ),
    "pg:pull": (
        "with pg_dump and pg_restore of your computer, not older than the server; it must reach the server's PostgreSQL"
    ),
    "pg:push": (
        "with pg_dump and pg_restore of your computer, not older than the server; it must reach the server's PostgreSQL"
    ),
    "webhooks*": "for apps, not for pipelines",
    "ci": "test runs are the check runs `tests` of the pipeline's apps; without `--watch`",
    "ci:rerun": (
        "through the proxy (`greenroom up --proxy-port N`, `greenroom env --proxy`); the gate ignores the result"
    ),
    "ci:run": (
        "through the proxy (`greenroom up --proxy-port N`, `greenroom env --proxy`); the gate ignores the result"
    ),
    "pipelines:create": "the user who creates a pipeline owns it; there are no teams",
    "pipelines:promote": (
        "pending migrations of a target hold it there; the header `Greenroom-Force` (`HEROKU_HEADERS`) overrides"
    ),
    "reviewapps:*": "for branches of the pipeline's first app; there are no pull requests",
    "releases:rollback": (
        "code that does not work on the current schema takes no traffic; across migrations, the same command again"
        " within five minutes confirms"
    ),
    "ps:type": "sizes limit the memory; there are no prices",
    "console": "starts, but a Django app has no such command: `heroku run python manage.py shell`",
    "rake": "starts, but a Django app has no such command: `heroku run python manage.py COMMAND`",
}
TEAMS = "there are no teams: use `heroku access:add`"
SPACES = "there are no private spaces: dynos of different apps never reach each other"
LOCAL = "works only on your computer; Greenroom is not involved"
TIER = "the CLI refuses it for this plan, without a request"
HOST = "calls a fixed host of Heroku; see above"
SQL = "plain SQL with `psql`; not tested individually"
NOT = {
    "access:update": TEAMS,
    "addons:open": "an add-on has no page; its URL is null",
    "addons:upgrade": "there is one plan; others are refused",
    "apps:errors": HOST,
    "apps:favorites*": HOST,
    "apps:join": TEAMS,
    "apps:lock": TEAMS,
    "apps:unlock": TEAMS,
    "auth:2fa*": "there is no two-factor sign-in; `auth:2fa` says that it is off",
    "accounts*": LOCAL,
    "autocomplete*": LOCAL,
    "certs:generate": LOCAL,
    "clients*": "there are no OAuth clients: `heroku authorizations:create` creates a token",
    "container:*": "there is no container registry: `git push heroku HEAD:master`",
    "dashboard": HOST,
    "data:*": "there is no Advanced tier: use `heroku pg:*`",
    "local*": LOCAL,
    "mcp*": LOCAL,
    "members*": TEAMS,
    "notifications": HOST,
    "orgs*": TEAMS,
    "teams": TEAMS,
    "repl": LOCAL,
    "status": "shows the status of Heroku itself",
    "version*": LOCAL,
    "pg:calls": "needs the extension pg_stat_statements",
    "pg:outliers": "needs the extension pg_stat_statements",
    "pg:extensions": "needs a setting of Heroku's servers; use `heroku pg:psql -c '\\dx'`",
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
    "ps:autoscale*": "there is no autoscaling: use `heroku ps:scale`",
    "ps:copy": "running dynos cannot be entered: use `heroku run bash`",
    "ps:exec": "running dynos cannot be entered: use `heroku run bash`",
    "ps:forward": "running dynos cannot be entered: use `heroku run bash`",
    "ps:socks": "running dynos cannot be entered: use `heroku run bash`",
    "run:inside": "running dynos cannot be entered: use `heroku run bash`",
    "redis:upgrade": "a store runs the version of the installation",
    "spaces*": SPACES,
    "telemetry*": "there are no telemetry drains: use `heroku drains:add`",
    "usage:addons": "there is no billing",
    "pipelines:connect": HOST,
    "pipelines:setup": HOST,
    "pipelines:diff": HOST,
    "pipelines:open": HOST,
    "pipelines:transfer": TEAMS,
    "ci:open": HOST,
    "ci:debug": f"{HOST}; `heroku run bash` instead",
    "ci:migrate-manifest": LOCAL,
}
