"""Lets the audit trail know whose request is being answered. The user is only looked up when needed."""

from audit.recorder import current_request


def remember_request(get_response):
    def middleware(request):
        token = current_request.set(request)
        try:
            return get_response(request)
        finally:
            current_request.reset(token)

    return middleware
