"""The egress of an app: its policy and the targets that a closed policy allows.

Both belong to the app, not to a release: a rollback must not open what an operator has closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps import queries, rules
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App, EgressRule
from greenroom.basics import clock, targets
from greenroom.basics.errors import UserError
from greenroom.basics.targets import Target


@transaction.atomic
def change(
    *, actor: Actor, app: App, policy: str | None = None, allow: Sequence[str] = (), remove: Sequence[str] = ()
) -> rules.EgressChange:
    """Set the policy, add and remove rules. UserError for an unknown policy, a text that is no target, a rule that does
    not exist, or too many rules. Allowing a target again changes nothing.
    """
    if len(allow) + len(remove) > 2 * targets.MOST:
        raise UserError(f"A change has at most {2 * targets.MOST} targets.", hint=f"greenroom egress -a {app.name}")
    wished, unwanted = _parsed(app, allow), _parsed(app, remove)
    row = lock_app(app.pk)
    try:
        found = rules.change_egress(
            row.egress, queries.egress_targets(app), wanted=policy, allow=wished, remove=unwanted
        )
    except ValueError as error:
        hint = f"allowed: {', '.join(rules.EGRESS)}" if policy not in (None, *rules.EGRESS) else ""
        raise UserError(str(error), hint=hint or f"greenroom egress -a {app.name}") from None
    if found.nothing:
        return found
    for it in found.removed:
        EgressRule.objects.filter(app=app, host=it.host, port=it.port).delete()
    EgressRule.objects.bulk_create(
        EgressRule(app=app, host=it.host, port=it.port, account_id=actor.account_id) for it in found.added
    )
    _note(app, row, found)
    detail = {"added": [it.text for it in found.added], "removed": [it.text for it in found.removed]}
    audit(actor=actor, action="egress.change", app=app, detail={**detail, "policy": app.egress})
    return found


def _note(app: App, row: App, found: rules.EgressChange) -> None:
    app.egress, app.egress_at = found.policy or row.egress, clock.now() if found.reaches_dynos else row.egress_at
    app.save(update_fields=["egress", "egress_at", "updated_at"])


@transaction.atomic
def copy(*, actor: Actor, source: App, app: App) -> None:
    """Give a new app, which has no dynos yet, the policy and the rules of another one."""
    policy = App.objects.values_list("egress", flat=True).get(pk=source.pk)
    change(actor=actor, app=app, policy=policy, allow=[it.text for it in queries.egress_targets(source)])


def _parsed(app: App, texts: Iterable[str]) -> list[Target]:
    found = []
    for text in texts:
        try:
            found.append(targets.parse(text))
        except ValueError as error:
            message = str(error)
            hint = f"{targets.FORMS}; for example: greenroom egress:allow api.example.org:443 -a {app.name}"
            raise UserError(f"{message[0].upper()}{message[1:]}.", hint=hint) from None
    return found
