"""The page of the audit trail, newest entry first."""

from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.shortcuts import render
from django.views.decorators.http import require_safe

from audit.models import AuditEntry


@require_safe
@login_required
@permission_required("audit.view_auditentry", raise_exception=True)
def trail(request):
    entries = AuditEntry.objects.select_related("actor")
    text = request.GET.get("q", "").strip()[:60]
    if text:
        entries = entries.filter(
            Q(subject__icontains=text)
            | Q(action__icontains=text)
            | Q(actor__username__icontains=text)
        )
    page = Paginator(entries, 50).get_page(request.GET.get("page"))
    return render(request, "audit/trail.html", {"page": page, "q": text})
